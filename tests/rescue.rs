//! Rescue in the lab: a real machine in RAM, and a shell on it through the daemon.

#[path = "lab/mod.rs"]
mod lab;

use std::process::Output;

use ironwake_api::{Operation, OperationState};
use lab::{
    Bus, Dhcp, Disk, Firmware, Lab, LabError, LabOptions, MARKER, MIB, Machine, PoweredOn, digest, enroll,
    image, operation, reaches,
};

fn lab() -> Result<Lab, LabError> {
    Lab::new(LabOptions::new(env!("CARGO_BIN_EXE_ironwake"), Dhcp::Server))
}

/// A machine with a system of its own.
fn machine(firmware: Firmware) -> Machine {
    Machine::new(1, firmware).with_disk(Disk::bootable(Bus::Virtio, "SYSTEM", 64 * MIB))
}

/// Has a machine run something in RAM, until it does.
fn begin(lab: &Lab, on: &PoweredOn<'_>, id: &str, more: &[&str]) -> Result<Operation, LabError> {
    let made = operation(lab, &[&["rescue", id], more].concat())?;
    on.expect("a system that runs", reaches(OperationState::Installing))?;
    Ok(made)
}

/// What a command on the machine gave.
fn shell(lab: &Lab, machine: &str, command: &[&str]) -> Output {
    let mut line = lab.cli().command();
    line.args(["shell", machine, "--"]).args(command);
    line.output().expect("ironwake runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// From a waiting machine to a shell with output, errors, exit code and a terminal; the disk is written by what is typed and
/// by nothing else; then the machine boots it.
fn rescue(firmware: Firmware) -> Result<(), LabError> {
    let (lab, machine) = (lab()?, machine(firmware));
    let (on, id) = enroll(&lab, &machine)?;
    let before = digest(&lab, &machine, 0);
    let made = begin(&lab, &on, &id, &[])?;

    let ran = shell(
        &lab,
        &id,
        &["sh", "-c", "uname -s; echo wrong >&2; grep -c ironwake.url /proc/cmdline; exit 7"],
    );
    assert_eq!(
        (text(&ran.stdout).as_str(), ran.status.code()),
        ("Linux\n1\n", Some(7)),
        "{}",
        text(&ran.stderr)
    );
    assert_eq!(text(&ran.stderr), "wrong\n");
    let disk = shell(&lab, &id, &["cat", "/sys/block/vda/serial"]);
    assert_eq!(text(&disk.stdout).trim(), "SYSTEM");
    assert_eq!(shell(&lab, &id, &["no-such-program"]).status.code(), Some(127));
    assert_eq!(digest(&lab, &machine, 0), before, "nothing was typed that writes");
    let typed = "printf typed | dd of=/dev/vda bs=1 seek=33554432 conv=notrunc && sync";
    let written = shell(&lab, &id, &["sh", "-c", typed]);
    assert!(written.status.success(), "{}", text(&written.stderr));

    // A terminal of its own, as an operator has one.
    let line = lab.cli().command();
    let words: Vec<String> = [line.get_program()]
        .into_iter()
        .chain(line.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .chain(["shell".to_owned(), id.clone()])
        .collect();
    let mut script = std::process::Command::new("script");
    script.args(["-q", "-e", "-c", &words.join(" "), "/dev/null"]);
    script.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut session = script.spawn().expect("script, of the package bsdutils");
    let mut keys = session.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut keys, b"tty; exit 9\r").expect("typed");
    let shown = session.wait_with_output().expect("an end");
    drop(keys);
    assert_eq!(shown.status.code(), Some(9), "{}", text(&shown.stdout));
    assert!(text(&shown.stdout).contains("/dev/pts/"), "{}", text(&shown.stdout));

    let ended = operation(&lab, &["operation", "cancel", &made.id])?;
    assert_eq!(ended.state, OperationState::Ready);
    on.wait_screen(MARKER.trim())?;
    let after = std::fs::read(image(&lab, &machine, 0)).expect("a disk image");
    assert_eq!(&after[32 * MIB as usize..][..5], b"typed");
    let refused = shell(&lab, &id, &[]);
    assert_eq!(refused.status.code(), Some(4), "{}", text(&refused.stderr));
    let events = lab.cli().json(&["events", "--limit", "1000"])?.to_string();
    assert_eq!(events.matches("\"shell_opened\"").count(), 5, "{events}");
    assert!(!events.contains("uname"), "what is typed is not kept");
    Ok(())
}

#[test]
fn lab_rescue_uefi_shell() -> Result<(), LabError> {
    rescue(Firmware::Uefi)
}

#[test]
fn full_rescue_bios_shell() -> Result<(), LabError> {
    rescue(Firmware::Bios)
}

/// A live system that knows nothing of Ironwake: it is started once, and not a byte of the disk changes.
fn memtest(firmware: Firmware) -> Result<(), LabError> {
    let (lab, machine) = (lab()?, machine(firmware));
    let (on, id) = enroll(&lab, &machine)?;
    let before = digest(&lab, &machine, 0);
    let made = begin(&lab, &on, &id, &["--profile", "memtest", "--var", "serial_console=ttyS0"])?;
    on.wait_screen("Memtest86+")?;
    on.power_off();
    assert_eq!(digest(&lab, &machine, 0), before);
    let on = lab.power_on(&machine)?;
    on.wait_screen(MARKER.trim())?;
    let ended = operation(&lab, &["operation", "cancel", &made.id])?;
    assert!(ended.state == OperationState::Cancelled && !ended.may_have_written);
    Ok(())
}

#[test]
fn full_memtest_bios() -> Result<(), LabError> {
    memtest(Firmware::Bios)
}

#[test]
fn full_memtest_uefi() -> Result<(), LabError> {
    memtest(Firmware::Uefi)
}
