//! `./dev lab [FIRMWARE=bios|uefi|secureboot|httpboot] [DHCP=server|proxy] [REBUILD=1]`: a machine that nobody has seen
//! is switched on beside a real daemon, and every stage is shown until its inventory is in. With `REBUILD=1` it is then
//! made into a Debian that phones home, and once more over that one.
//!
//! Settings are words `KEY=VALUE`, or variables of the environment. The daemon is `$IRONWAKE_BIN`, else the
//! release build, else the debug build; it finds the agent and the boot files by itself.
//! Exit codes: 0 it got there, 1 it did not, 2 the settings make no sense.

#[path = "../tests/lab/mod.rs"]
mod lab;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ironwake_api::{Event, EventKind, Millis};
use lab::rebuild::{IMAGE, MEMORY_MIB, image, rebuild, table};
use lab::{
    Bus, Dhcp, Disk, Firmware, Lab, LabError, LabOptions, Machine, PoweredOn, WAIT_MAX, event_line, since,
};

const USAGE: &str = "usage: lab [FIRMWARE=bios|uefi|secureboot|httpboot] [DHCP=server|proxy] [REBUILD=0|1]";

/// Size of the machine's one disk.
const DISK_BYTES: u64 = 8 << 30;

struct Settings {
    firmware: Firmware,
    dhcp: Dhcp,
    rebuild: bool,
    binary: PathBuf,
}

impl Settings {
    /// From the environment, then from words, which win.
    fn read(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let environment = ["FIRMWARE", "DHCP", "REBUILD"]
            .into_iter()
            .filter_map(|key| std::env::var(key).ok().map(|value| format!("{key}={value}")));
        let mut settings =
            Self { firmware: Firmware::Uefi, dhcp: Dhcp::Server, rebuild: false, binary: binary()? };
        for word in environment.chain(words) {
            match word.split_once('=') {
                Some(("FIRMWARE", value)) => settings.firmware = value.parse()?,
                Some(("DHCP", value)) => settings.dhcp = value.parse()?,
                Some(("REBUILD", value @ ("0" | "1"))) => settings.rebuild = value == "1",
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
    let mut machine = Machine::new(1, firmware).with_disk(Disk::blank(Bus::Virtio, "LABDISK1", DISK_BYTES));
    if settings.rebuild {
        machine.memory_mib = MEMORY_MIB;
        let image = image()?;
        lab.cli().run(&["artifact", "import", IMAGE, &image.display().to_string()])?;
        println!("{IMAGE} is imported from {}", image.display());
    }
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
    if settings.rebuild {
        rebuild_twice(&lab, &machine, on, &record.id)?;
    }
    Ok(())
}

/// The second time the machine has a system that has to go.
fn rebuild_twice<'a>(lab: &'a Lab, machine: &Machine, on: PoweredOn<'a>, id: &str) -> Result<(), LabError> {
    lab.cli().run(&["machine", "enroll", id])?;
    println!("rebuild of a blank disk");
    let (on, steps) = rebuild(lab, machine, Some(on), id, &mut live())?;
    println!("\n{}", table(&steps));
    on.power_off();
    println!("\nrebuild over the first system");
    let (_on, steps) = rebuild(lab, machine, None, id, &mut live())?;
    println!("\n{}", table(&steps));
    Ok(())
}

/// Prints events with the time since the first.
fn live() -> impl FnMut(&Event) {
    let mut first: Option<Millis> = None;
    move |event| {
        let first = *first.get_or_insert(event.at);
        println!("{}  {}", since(first, event.at), event_line(&event.kind));
    }
}
