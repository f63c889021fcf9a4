//! The console as its operator has it: a real terminal, the real daemon, and a machine that it rebuilds by keys alone.

#[path = "lab/mod.rs"]
mod lab;
mod terminal;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use anyhow::Context as _;
use ironwake::operation::{Purpose, SiteKey};
use lab::{Bus, Dhcp, Disk, Firmware, Lab, LabOptions, MARKER, MIB, Machine, add_marker, image};
use terminal::Terminal;

/// So much takes long enough to be seen, and fits the smallest disk of the lab.
const IMAGE_MIB: u64 = 192;
/// What the machine is called, by whoever sits at the console.
const NAME: &str = "console-1";

/// A system that boots, with bytes behind it that no compressor makes smaller.
fn marker(lab: &Lab) -> PathBuf {
    let path = lab.folder().join("marker.raw");
    Disk::bootable(Bus::Virtio, "", 4 * MIB).create(&path).expect("an image");
    let file = File::options().write(true).open(&path).expect("an image");
    let mut state = 0x1dea_0f4b_ad1d_ea51_u64;
    for number in 4..IMAGE_MIB {
        let block: Vec<u8> = (0..MIB / 8)
            .flat_map(|_| {
                // xorshift (Marsaglia 2003)
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()
            })
            .collect();
        file.write_all_at(&block, number * MIB).expect("written");
    }
    path
}

/// The command that `ironwake console` is, as it would be typed.
fn line(lab: &Lab) -> String {
    let command = lab.cli().command();
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    format!("{} console", words.join(" "))
}

/// The percentage that is shown beside the bar.
fn percent(screen: &str) -> Option<u8> {
    let before = &screen[..screen.find('%')?];
    before.rsplit(' ').next()?.parse().ok()
}

/// The first call of the installed host, with the token that a profile writes to its disk.
fn calls_home(lab: &Lab) -> anyhow::Result<()> {
    let running = lab.machines()?.remove(0).operation.context("an operation that runs")?;
    let key = fs::read(lab.folder().join("state/site.key"))?;
    let key = SiteKey::new(key.try_into().ok().context("a key of 32 bytes")?);
    let token = key.token(Purpose::PhoneHome, &running.id, 1);
    let path = format!("/boot/v1/operations/{}/phone-home/{token}", running.id);
    let answer = lab.post(&path, "{\"hostname\": \"console-1\"}")?;
    assert_eq!(answer.status, 204, "{}", answer.text());
    Ok(())
}

#[test]
fn full_console_rebuilds_a_machine_by_keys_alone() -> anyhow::Result<()> {
    let lab: Lab = Lab::new(LabOptions::new(env!("CARGO_BIN_EXE_ironwake"), Dhcp::Server))?;
    add_marker(&lab, "grow = false\n");
    let written = marker(&lab);
    lab.cli().run(&["artifact", "import", "marker", &written.display().to_string()])?;
    let terminal = Terminal::open(lab.folder(), (120, 36), &line(&lab))?;
    terminal.wait("No machine yet")?;

    let machine = Machine::new(1, Firmware::Bios).with_disk(Disk::bootable(Bus::Virtio, "SYSTEM", 256 * MIB));
    let on = lab.power_on(&machine)?;
    terminal.wait("booting")?;
    on.wait_inventory()?;
    terminal.wait("1 unknown")?;
    terminal.key("e")?;
    terminal.wait("1 known")?;
    terminal.key("Enter")?;
    terminal.wait("Overview")?;
    terminal.key("n")?;
    terminal.types(NAME)?;
    terminal.key("Enter")?;
    terminal.wait(NAME)?;

    terminal.key("b")?;
    terminal.wait("marker")?;
    for _ in 0..20 {
        if terminal.screen()?.lines().any(|line| line.starts_with("▌ ● marker")) {
            break;
        }
        terminal.key("Down")?;
    }
    terminal.wait("▌ ● marker")?;
    terminal.key("Enter")?;
    terminal.wait("This profile needs nothing")?;
    terminal.key("Enter")?;
    terminal.wait("SYSTEM")?;
    terminal.key("Enter")?;
    terminal.wait("cannot be had back")?;
    terminal.types("console-")?;
    terminal.key("Enter")?;
    terminal.wait("Nothing is armed")?;
    assert_eq!(
        lab.machines()?[0].operation.as_ref().map(|running| running.state.to_string()),
        Some("registered".into())
    );
    terminal.types("1")?;
    terminal.key("Enter")?;
    terminal.wait("▲ armed")?;

    // It waits in discovery, is told to restart, and takes its work. The bar is seen to move.
    let mut seen = BTreeSet::new();
    while seen.len() < 2 {
        let screen = terminal.wait_until("a bar that moves", |screen| {
            percent(screen).is_some_and(|percent| !seen.contains(&percent))
        })?;
        seen.extend(percent(&screen));
    }
    // The lab's system says that it runs on its screen alone: what a host of a profile says, the test says for it.
    terminal.wait("first boot")?;
    on.wait_screen(MARKER.trim())?;
    calls_home(&lab)?;
    // What was done with it is told beside what it is.
    terminal.wait("marker  ready")?;
    let disk = fs::read(image(&lab, &machine, 0))?;
    let expected = fs::read(&written)?;
    assert!(disk[..expected.len()] == expected, "what was imported is what is on the disk");
    terminal.types("q")?;
    terminal.wait_end()
}
