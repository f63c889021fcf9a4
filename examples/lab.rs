//! `./dev lab [FIRMWARE=bios|uefi|secureboot|httpboot] [DHCP=server|proxy]`: a machine that nobody has seen is
//! switched on beside a real daemon, and every stage is shown until its inventory is in.
//!
//! Settings are words `KEY=VALUE`, or variables of the environment. The daemon is `$IRONWAKE_BIN`, else the
//! release build, else the debug build; it finds the agent and the boot files by itself.
//! Exit codes: 0 the inventory is in, 1 it is not, 2 the settings make no sense.

#[path = "../tests/lab/mod.rs"]
mod lab;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ironwake_api::EventKind;
use lab::{Bus, Dhcp, Disk, Firmware, Lab, LabError, LabOptions, Machine, WAIT_MAX, event_line, since};

const USAGE: &str = "usage: lab [FIRMWARE=bios|uefi|secureboot|httpboot] [DHCP=server|proxy]";

/// Size of the machine's one disk.
const DISK_BYTES: u64 = 8 << 30;

struct Settings {
    firmware: Firmware,
    dhcp: Dhcp,
    binary: PathBuf,
}

impl Settings {
    /// From the environment, then from words, which win.
    fn read(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let environment = ["FIRMWARE", "DHCP"]
            .into_iter()
            .filter_map(|key| std::env::var(key).ok().map(|value| format!("{key}={value}")));
        let mut settings = Self { firmware: Firmware::Uefi, dhcp: Dhcp::Server, binary: binary()? };
        for word in environment.chain(words) {
            match word.split_once('=') {
                Some(("FIRMWARE", value)) => settings.firmware = value.parse()?,
                Some(("DHCP", value)) => settings.dhcp = value.parse()?,
                _ => return Err(format!("{word:?} is not a setting")),
            }
        }
        Ok(settings)
    }
}

fn binary() -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os("IRONWAKE_BIN") {
        return Ok(path.into());
    }
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    let tried = ["release", "debug"].map(|profile| target.join(profile).join("ironwake"));
    tried.iter().find(|path| path.is_file()).cloned().ok_or_else(|| {
        let names = tried.map(|path| path.display().to_string()).join(" and ");
        format!("there is no daemon at {names}: run ./dev build")
    })
}

fn main() -> ExitCode {
    let settings = match Settings::read(std::env::args().skip(1)) {
        Ok(settings) => settings,
        Err(problem) => {
            eprintln!("{problem}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match show(&settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:?}");
            ExitCode::FAILURE
        }
    }
}

fn show(settings: &Settings) -> Result<(), LabError> {
    let (firmware, dhcp) = (settings.firmware, settings.dhcp);
    println!("building the lab: {} firmware, DHCP {}", firmware.name(), dhcp.name());
    let mut options = LabOptions::new(&settings.binary, dhcp);
    if firmware == Firmware::SecureBoot {
        options.secure_boot = "on";
    }
    let lab = Lab::new(options)?;
    let machine = Machine::new(1, firmware).with_disk(Disk::blank(Bus::Virtio, "LABDISK1", DISK_BYTES));
    println!("power on: {}, {}", machine.nics[0].mac, machine.identity.serial);
    let on = lab.power_on(&machine)?;
    let powered_at = on.powered_at();
    on.follow("the inventory", WAIT_MAX, |event| {
        println!("{}  {}", since(powered_at, event.at), event_line(&event.kind));
        matches!(event.kind, EventKind::Inventory { .. })
    })?;
    let (record, _) = on.record()?;
    println!("\n{}", lab.cli().run(&["machine", "show", &record.id])?);
    println!("{}", lab::milestones_table(&on.events(), powered_at));
    Ok(())
}
