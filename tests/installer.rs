//! Debian's own installer in the lab: from `ironwake rebuild` to the mirror's Release file, and as far behind it as the
//! mirror lets it.

#[path = "lab/mod.rs"]
mod lab;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use ironwake_api::{EventKind, Operation, OperationState};
use lab::{Bus, Dhcp, Disk, Firmware, Lab, LabError, LabOptions, Machine, Mirror};

/// The installer's kernel and archive are 60 MB, unpacked by an emulated processor.
const STEP_MAX: Duration = Duration::from_secs(600);
/// From the Release file to the list of the installer's parts, which comes within seconds if it does.
const PARTS_MAX: Duration = Duration::from_secs(60);
/// From the installer's parts to the partitioner, where all of them are there.
const GUARD_MAX: Duration = Duration::from_secs(120);

fn installer() -> PathBuf {
    let folder = std::env::var_os("IRONWAKE_INSTALLER").map(PathBuf::from);
    folder.expect("IRONWAKE_INSTALLER names the folder that `./dev test --all` fills")
}

fn installs(firmware: Firmware) -> Result<(), LabError> {
    let mut options = LabOptions::new(env!("CARGO_BIN_EXE_ironwake"), Dhcp::Server);
    // The installer asks for both where DHCP tells none; the mirror is on this network, by its address.
    options.config = "router = \"10.77.0.1\"\ndns = \"10.77.0.1\"\n".into();
    if firmware == Firmware::SecureBoot {
        options.secure_boot = "on";
    }
    let lab = Lab::new(options)?;
    let folder = installer();
    let upstream = std::fs::read_to_string(folder.join("mirror")).expect("the mirror's URL");
    let mirror = Mirror::start(lab.site(), upstream.trim(), &folder.join("cached"))?;
    for file in ["linux", "initrd.gz"] {
        let path = folder.join(file).display().to_string();
        lab.cli().run(&["artifact", "import", &format!("debian-installer-13/{file}"), &path])?;
    }
    let mut machine = Machine::new(1, firmware)
        .with_disk(Disk::blank(Bus::Virtio, "OTHER", 9 << 30))
        .with_disk(Disk::blank(Bus::Virtio, "SYSTEM", 9 << 30));
    machine.memory_mib = 1536;
    let on = lab.power_on(&machine)?;
    let (record, _) = on.wait_inventory()?;
    lab.cli().run(&["machine", "enroll", &record.id])?;
    let began = Instant::now();
    let say = |what: &str| println!("{:7.1} s  {what}", began.elapsed().as_secs_f32());
    let words = [
        "rebuild",
        &record.id,
        "--profile",
        "debian-installer",
        "--disk",
        "serial=SYSTEM",
        "--yes",
        "--var",
        "mirror_host=10.77.0.1",
        "--var",
        "console=ttyS0,115200n8",
    ];
    let made: Operation = serde_json::from_value(lab.cli().json(&words)?).expect("an operation");
    let reaches = |what: &str, state: OperationState| {
        on.follow(what, STEP_MAX, |event| match &event.kind {
            EventKind::OperationChanged { to, cause, .. } => {
                assert_ne!(*to, OperationState::Failed, "{cause}");
                *to == state
            }
            _ => false,
        })
    };
    reaches("the installer's kernel", OperationState::PxeBooted)?;
    say("kernel served");
    let fetched = reaches("the preseed file", OperationState::Installing)?;
    let EventKind::OperationChanged { cause, .. } = &fetched.kind else { unreachable!() };
    assert!(cause.starts_with("preseed.cfg, to 10.77."), "{cause}");
    say("preseed fetched");
    let served = mirror.wait_asked("/dists/trixie/Release", STEP_MAX);
    assert_eq!(served, Some(true), "{:?}\n{}", mirror.asked(), on.screen());
    say("Release served");
    // The machine asks for its disk again: it is not installed a second time.
    let mac = machine.nics[0].mac.to_string().replace(':', "-");
    let script = lab.get(&format!("/ipxe/{mac}"))?.text();
    assert!(!script.contains("vmlinuz") && script.contains("sanboot"), "{script}");
    // The guard runs once the installer has its parts, right before the first partition is made. A mirror that lacks them, or
    // whose signature does not suit the installer, ends it before: what comes from here on is told and not demanded.
    if mirror.wait_asked("/debian-installer/binary-amd64/Packages.xz", PARTS_MAX) != Some(true) {
        println!("the installer got no list of its parts: {:?}", mirror.asked());
        return Ok(());
    }
    let shown = |id: &str| lab.cli().json(&["operation", "show", id]);
    let guarded = on.follow("the guard", GUARD_MAX, |event| {
        let text = serde_json::to_string(&event.kind).expect("JSON");
        text.contains("guard.sh")
    });
    match guarded {
        Ok(_) => say("guard fetched"),
        Err(error) => println!("the guard was not reached: {error}\n{}", shown(&made.id)?),
    }
    Ok(())
}

#[test]
fn full_debian_installer_uefi_until_release() -> Result<(), LabError> {
    installs(Firmware::Uefi)
}
