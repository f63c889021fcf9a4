//! The appliance is updated: to a version that is good, and to some that are not, after which the one before runs again by itself.
//! The update is on a stick in the machine.

#[path = "appliance/mod.rs"]
mod appliance;
#[path = "lab/mod.rs"]
mod lab;

use appliance::bundle::{self, NEXT, SAY_AND_FIND_STICK, unit_words};
use appliance::kernel;
use appliance::machine::{Attached, Machine};
use appliance::report::Report;
use lab::{Firmware, LabError};
use serde_json::Value;

/// The version that the image has.
const VERSION: &str = env!("CARGO_PKG_VERSION");
const DISK_MIB: u64 = 3072;
/// How often a version on trial is started.
const TRIES: usize = 3;
/// What scripts below begin with.
const INSTALLED: &str =
    "installed() { ironwake update install --stick \"$stick/$1\" --wait 2>&1 | paste -sd ' '; }\n";
/// Installs what is good.
const INSTALL: &str = "say installed \"$(installed good.update)\"\n";
/// Once it is known whether a version stays: how updates stand.
const SETTLED: &str = r#"
until systemctl --quiet is-active ironwake-bless.service; do sleep 0.5; done
say update "$(ironwake update --json | paste -sd ' ')"
say slots "$(ironwake appliance show | sed -n 's/^slot *[^:]*: //p' | paste -sd ';')"
"#;

struct Bench {
    machine: Machine,
    _folder: tempfile::TempDir,
}

impl Bench {
    /// An appliance with a stick, on which is an update with these words for its kernel, and one that was tampered with.
    fn new(firmware: Firmware, words: &str) -> Result<Self, LabError> {
        let folder = tempfile::tempdir().map_err(LabError::io("make a folder"))?;
        let path = |name: &str| folder.path().join(name);
        bundle::make(&path("good.update"), words)?;
        std::fs::copy(path("good.update"), path("bad.update")).map_err(LabError::io("copy an update"))?;
        bundle::tamper(&path("bad.update"))?;
        bundle::stick(&path("stick"), &[&path("good.update"), &path("bad.update")])?;
        let machine = Machine::flashed(firmware, Attached::Virtio, DISK_MIB)?.with_stick(&path("stick"));
        Ok(Self { machine, _folder: folder })
    }

    fn boot(&self, scripts: &[&str]) -> Result<Report, LabError> {
        let script = [&[SAY_AND_FIND_STICK, INSTALLED], scripts].concat().concat();
        let report = self.machine.boot_and(&script, |_| Ok(()))?;
        println!("{report}");
        report.is("failed", "");
        report.is("failed-units", "");
        Ok(report)
    }

    /// It is started as often as it may be, each start counted, and never stays.
    fn fails(&self, firmware: Firmware) -> Result<(), LabError> {
        for done in 1..=TRIES {
            self.machine.boot_until_it_restarts("")?;
            let (esp, left) = (self.machine.esp(), TRIES - done);
            let (counted, counts) = match firmware.is_uefi() {
                true => (format!("ironwake_{NEXT}+{left}-{done}.efi"), esp.names("EFI/Linux")?),
                false => (format!("tries={left}"), esp.grubenv()?),
            };
            assert!(counts.contains(&counted), "no {counted} in {counts:?}");
        }
        Ok(())
    }
}

/// How the last update stands.
#[track_caller]
fn last(report: &Report) -> Value {
    let update: Value = serde_json::from_str(report.value("update")).expect("JSON");
    assert_eq!(update["running"], report.value("version"), "{report}");
    update["last"].clone()
}

#[track_caller]
fn is_installed(report: &Report) {
    report.is("version", VERSION);
    let said = report.value("installed");
    assert!(said.starts_with(&format!("{NEXT} is installed: ")), "{report}");
}

/// The next version runs, is good, and has everything of the one before.
fn stays(bench: &Bench, before: &Report) -> Result<(), LabError> {
    let after = bench.boot(&[SETTLED])?;
    after.is("version", NEXT);
    after.is("slots", &format!("{VERSION};{NEXT}, runs"));
    after.is("verity", "CRYPT-VERITY");
    let last = last(&after);
    assert_eq!((&last["outcome"], &last["from"]), (&"good".into(), &VERSION.into()), "{after}");
    for name in ["machine-id", "host-key"] {
        after.is(name, before.value(name));
    }
    after.is("machines-before", before.value("machines"));
    assert_eq!(bench.machine.esp().grubenv()?, [format!("good={NEXT}")], "no start is counted any more");
    let kernels = bench.machine.esp().names("EFI/Linux")?;
    assert!(kernels.contains(&format!("ironwake_{NEXT}.efi")), "{kernels:?}");
    Ok(())
}

fn updates(firmware: Firmware, words: &str) -> Result<(), LabError> {
    let bench = Bench::new(firmware, words)?;
    let refused = "say refused \"$(installed bad.update)\"\n";
    let before = bench.boot(&[refused, SETTLED, INSTALL])?;
    let why = "root.squashfs.zst of the bundle is not the file that was signed";
    assert!(before.value("refused").contains(why), "{before}");
    before.is("slots", &format!("{VERSION}, runs;empty"));
    is_installed(&before);
    stays(&bench, &before)
}

#[test]
fn full_appliance_update_bios() -> Result<(), LabError> {
    // Nobody looks at the ESP for so long that it is not mounted any more, which does not end who waits for the daemon's health.
    let waits = "[Service]\nExecStartPre=/bin/sh -c 'while systemctl --quiet is-active efi.mount; do sleep 1; done'\n";
    updates(Firmware::Bios, &unit_words("ironwake-healthy.service", waits))
}

#[test]
fn full_appliance_update_uefi() -> Result<(), LabError> {
    updates(Firmware::Uefi, "")
}

/// A version that was started in vain is not there any more, and why is told. `spoil` does with the machine, once the version is
/// installed, what the words for its kernel do not.
fn falls_back(
    firmware: Firmware,
    words: &str,
    spoil: fn(Machine) -> Result<Machine, LabError>,
    why: &str,
) -> Result<(), LabError> {
    let mut bench = Bench::new(firmware, words)?;
    let before = bench.boot(&[INSTALL])?;
    is_installed(&before);
    bench.machine = spoil(bench.machine)?;
    bench.fails(firmware)?;
    bench.machine = bench.machine.with_credentials(&[]);
    let after = bench.boot(&[SETTLED])?;
    after.is("version", VERSION);
    let last = last(&after);
    assert_eq!((&last["outcome"], &last["version"]), (&"fell_back".into(), &NEXT.into()), "{after}");
    assert_eq!(last["boots"], TRIES, "{after}");
    assert!(last["why"].as_str().is_some_and(|told| told.contains(why)), "{after}");
    after.is("machine-id", before.value("machine-id"));
    after.is("machines-before", before.value("machines"));
    assert_eq!(bench.machine.esp().grubenv()?, [format!("good={VERSION}")]);
    Ok(())
}

fn falls_back_in_bios(words: &str, why: &str) -> Result<(), LabError> {
    falls_back(Firmware::Bios, words, Ok, why)
}

/// Of a version none of whose starts comes so far that it could write anything.
const SILENT: &str = "none of its starts came so far that it could say why";

#[test]
fn full_appliance_update_whose_kernel_panics_falls_back() -> Result<(), LabError> {
    falls_back_in_bios("rdinit=/nothing panic=1", SILENT)
}

#[test]
fn full_appliance_update_whose_kernel_panics_falls_back_uefi() -> Result<(), LabError> {
    // Its command line is in the kernel's own file.
    let spoil = |machine: Machine| {
        let (esp, path) = (machine.esp(), format!("EFI/Linux/ironwake_{NEXT}+{TRIES}-0.efi"));
        esp.put(&path, &kernel::that_panics(&esp.get(&path)?))?;
        Ok(machine)
    };
    falls_back(Firmware::Uefi, "", spoil, SILENT)
}

/// It has 15 seconds to become healthy, for three starts are waited for.
const HASTY: &str = "[Service]\nExecStart=\nExecStart=/usr/bin/ironwake appliance healthy --within 15\n";
/// A daemon that finds nothing that machines could boot.
const WITHOUT_LOADERS: &str = "[Service]\nEnvironment=IRONWAKE_BOOT=/nonexistent\n";
const WITHOUT_LOADERS_WHY: &str = "loaders: no loader is usable";

/// The words of a version whose daemon has these lines.
fn unhealthy(daemon: &str) -> String {
    [unit_words("ironwake.service", daemon), unit_words("ironwake-healthy.service", HASTY)].join(" ")
}

#[test]
fn full_appliance_update_whose_daemon_fails_falls_back() -> Result<(), LabError> {
    let daemon = "[Service]\nExecStart=\nExecStart=/usr/bin/false\n";
    falls_back_in_bios(&unhealthy(daemon), "the daemon does not answer")
}

#[test]
fn full_appliance_update_that_is_not_healthy_falls_back() -> Result<(), LabError> {
    falls_back_in_bios(&unhealthy(WITHOUT_LOADERS), WITHOUT_LOADERS_WHY)
}

#[test]
fn full_appliance_update_that_is_not_healthy_falls_back_uefi() -> Result<(), LabError> {
    // The command line is in the kernel itself: the machine gives these lines to whatever starts.
    let spoil = |machine: Machine| {
        Ok(machine.with_credentials(&[
            ("systemd.unit-dropin.ironwake.service", WITHOUT_LOADERS),
            ("systemd.unit-dropin.ironwake-healthy.service", HASTY),
        ]))
    };
    falls_back(Firmware::Uefi, "", spoil, WITHOUT_LOADERS_WHY)
}

/// It is as good as the one before, but could never be marked as good: systemd-boot would start it until it has no tries left.
#[test]
fn full_appliance_update_that_does_not_find_its_esp_falls_back_uefi() -> Result<(), LabError> {
    let spoil = |machine: Machine| {
        Ok(machine.with_credentials(&[
            ("systemd.unit-dropin.efi.mount", "[Mount]\nType=ext4\n"),
            ("systemd.unit-dropin.ironwake-healthy.service", HASTY),
        ]))
    };
    falls_back(Firmware::Uefi, "", spoil, "find the ESP by its folder")
}

#[test]
fn full_appliance_update_whose_power_goes_while_it_is_written() -> Result<(), LabError> {
    let bench = Bench::new(Firmware::Bios, "")?;
    // The slot begins with the magic number of a squashfs: it is being written. It is read as it is written, by way of the disk.
    let begin = r#"
start=$(cat "/sys/class/block/$(basename "$(readlink -f /dev/disk/ironwake/root-other)")/start")
magic() { dd if=/dev/disk/ironwake/disk bs=512 skip="$start" count=1 status=none | head -c 4 | tr -d '\0'; }
ironwake update install --stick "$stick/good.update" --no-wait
until [ "$(magic)" = hsqs ]; do sleep 0.1; done
echo "it is being written" >/dev/ttyS1
sleep infinity
"#;
    bench.machine.boot_until_script_says(&[SAY_AND_FIND_STICK, begin].concat(), "it is being written")?;
    let before = bench.boot(&[SETTLED, INSTALL])?;
    before.is("slots", &format!("{VERSION}, runs;empty"));
    let last = last(&before);
    assert_eq!((&last["outcome"], &last["version"]), (&"failed".into(), &NEXT.into()), "{before}");
    assert!(
        last["why"].as_str().is_some_and(|told| told.contains("went off while it was being written")),
        "{before}"
    );
    is_installed(&before);
    stays(&bench, &before)
}
