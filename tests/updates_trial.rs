//! What decides whether a version is tried: its kernel's signature, where the firmware asks for one, and the counters of the boot loaders.

#[path = "updates/lab.rs"]
#[allow(dead_code, reason = "each test binary uses its part")]
mod lab;

use std::fs;
use std::path::Path;
use std::process::Command;

use ironwake::appliance::Grubenv;
use ironwake::updates::{BootFiles, install};
use lab::{Keys, Lab, NOW, bundle_with, loader, put};

/// Debian's shim is signed and its iPXE is not.
#[test]
fn where_secure_boot_is_on_a_kernel_that_is_not_signed_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let keys = Keys::new(folder.path());
    let lab = Lab::new(folder.path(), &keys);
    lab.stand_in("true");
    let variable = lab.places.efivars.join("SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c");
    let check = |program: &str, secure: u8, expected: &str| {
        put(variable.clone(), &[6, 0, 0, 0, secure]);
        lab.order(&bundle_with(folder.path(), &keys, "0.2.0", &loader(program)), false);
        let refused = install(&lab.places, NOW).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(refused.starts_with(expected) && refused.is_empty() == expected.is_empty(), "{refused}");
    };
    let before = lab.esp();
    check("snponly.efi", 1, "kernel.efi is not signed, and Secure Boot is on here");
    check("undionly.kpxe", 1, "read ");
    assert_eq!(lab.esp(), before, "nothing was touched");
    check("shimx64.efi", 1, "");
    check("snponly.efi", 0, "");
}

/// The script that decides without the program agrees with it.
#[test]
fn whether_a_version_is_on_trial_is_told_without_the_program_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let keys = Keys::new(folder.path());
    let lab = Lab::new(folder.path(), &keys);
    let script_path = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/usr/lib/ironwake/on-trial");
    let ukis = lab.root.join("efi/EFI/Linux");
    let check = |names: &[&str], expected: bool| {
        fs::remove_dir_all(&ukis).expect("removed");
        names.iter().for_each(|name| put(ukis.join(name), b""));
        let told = Command::new("sh")
            .arg(&script_path)
            .env("IRONWAKE_ROOT", &lab.root)
            .status()
            .expect("sh")
            .success();
        let own =
            ironwake::updates::assess(&lab.places, &"0.1.0".parse().expect("a version")).expect("assessed");
        let own = own != ironwake::updates::Assessment::Settled;
        assert_eq!((told, own), (expected, expected), "{names:?}");
    };
    put(lab.root.join("proc/cmdline"), b"quiet\n");
    check(&["ironwake_0.1.0.efi", "ironwake_0.2.0+3-0.efi"], false);
    check(&["ironwake_0.1.0+2-1.efi"], false);
    check(&["ironwake_0.1.0+2-1.efi", "ironwake_0.0.9.efi"], true);
    check(&["ironwake_0.1.0+3.efi", "ironwake_0.0.9.efi"], true);
    check(&["ironwake_0.1.0+0-3.efi", "ironwake_0.0.9.efi"], true);
    check(&["ironwake_0.1.0+0-4.efi", "ironwake_0.0.9+0-3.efi"], false);
    put(lab.root.join("proc/cmdline"), b"quiet ironwake.boot=bios\n");
    check(&["ironwake_0.1.0+2-1.efi", "ironwake_0.0.9.efi"], false);
    let mut grubenv = Grubenv::default();
    grubenv.try_version(&"0.1.0".parse().expect("a version"));
    BootFiles::open(&lab.places).expect("an ESP").write_grubenv(&grubenv).expect("written");
    check(&["ironwake_0.1.0.efi", "ironwake_0.0.9.efi"], true);
    // Without the ESP nobody knows, and it is restarted as often as a version is tried.
    let restarts = || {
        let mut script = Command::new("sh");
        script.arg(&script_path).env("IRONWAKE_ROOT", &lab.root).status().expect("sh").success()
    };
    fs::rename(lab.root.join("efi/EFI"), lab.root.join("away")).expect("gone");
    assert_eq!(
        [restarts(), restarts(), restarts(), restarts(), restarts()],
        [true, true, true, false, false]
    );
    fs::rename(lab.root.join("away"), lab.root.join("efi/EFI")).expect("back");
    check(&["ironwake_0.1.0.efi", "ironwake_0.0.9.efi"], true);
    fs::rename(lab.root.join("efi/EFI"), lab.root.join("away")).expect("gone");
    assert!(restarts(), "it is counted anew");
    fs::rename(lab.root.join("away"), lab.root.join("efi/EFI")).expect("back");
    ironwake::updates::bless(&lab.places, &"0.1.0".parse().expect("a version")).expect("blessed");
    fs::rename(lab.root.join("efi/EFI"), lab.root.join("away")).expect("gone");
    assert_eq!(
        [restarts(), restarts(), restarts(), restarts()],
        [true, true, true, false],
        "and after a good start"
    );
}
