//! The appliance as it is published: packed, with all that goes beside it, by the programs of the tests.

#[path = "appliance/mod.rs"]
mod appliance;
#[path = "lab/mod.rs"]
mod lab;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use appliance::image::cache;
use lab::{LabError, run};
use serde_json::Value;

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The time of everything in it, seconds since 1970: any.
const EPOCH: &str = "1780000000";
/// Nobody is there: packages are those of the image for tests, whatever a mirror has by now, and no other test's tree is made anew.
const NO_MIRROR: &str = "http://127.0.0.1:9 trixie\n";
/// Signatures have times: what has one is another each time.
const SIGNED: &[&str] = &[".update", "manifest.json", "manifest.json.asc"];

fn build(folder: &Path) -> Result<(), LabError> {
    let named = |name: &str, otherwise: PathBuf| std::env::var_os(name).map_or(otherwise, PathBuf::from);
    let (root, cache) = (Path::new(env!("CARGO_MANIFEST_DIR")), cache()?);
    let programs = Path::new(env!("CARGO_BIN_EXE_ironwake")).parent().expect("a folder");
    fs::create_dir(folder).map_err(LabError::io("make a folder"))?;
    let mirrors = folder.with_extension("mirrors");
    fs::write(&mirrors, NO_MIRROR).map_err(LabError::io("write a file"))?;
    run(Command::new("sh")
        .arg(root.join("appliance/build"))
        .arg(folder)
        // As `./dev` left them when it made the image for tests.
        .env("APPLIANCE_CACHE", cache.join("appliance"))
        .env("APPLIANCE_MIRRORS", &mirrors)
        .env("APPLIANCE_APT", cache.join("appliance/apt.conf"))
        .env("APPLIANCE_SIGN_KEY", cache.join("appliance/keys/update.key"))
        .env("APPLIANCE_BINARIES", programs)
        .env("APPLIANCE_BOOT", named("IRONWAKE_BOOT", cache.join("boot")))
        .env(
            "APPLIANCE_AGENT",
            named("IRONWAKE_AGENT", root.join("target/x86_64-unknown-linux-musl/agent/ironwake-agent")),
        )
        .env("SOURCE_DATE_EPOCH", EPOCH))
    .map(drop)
}

/// The files below a folder, by their paths in it.
fn files(folder: &Path) -> Result<BTreeSet<String>, LabError> {
    let listed = run(Command::new("find").arg(folder).args(["-type", "f", "-printf", "%P\n"]))?;
    Ok(listed.lines().map(str::to_owned).collect())
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every package of the list is in the SBOM, in the same version.
fn has_what_is_listed(folder: &Path, name: &str) {
    let sbom: Value =
        serde_json::from_str(&read(&folder.join(format!("{name}.spdx.json")))).expect("an SPDX document");
    assert_eq!(sbom["spdxVersion"], "SPDX-2.3");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let known: BTreeSet<(String, String)> = sbom["packages"]
        .as_array()
        .expect("packages")
        .iter()
        .map(|package| (text(&package["name"]), text(&package["versionInfo"])))
        .collect();
    let listed = read(&folder.join(format!("{name}.packages")));
    let packages: Vec<_> = listed
        .lines()
        .filter_map(|line| line.strip_prefix("package "))
        .map(|line| {
            let mut words = line.split_whitespace().map(str::to_owned);
            (words.next().expect("a name"), words.next().expect("a version"))
        })
        .collect();
    assert!(packages.iter().any(|(package, _)| package == "systemd"), "{listed}");
    for package in packages {
        assert!(known.contains(&package), "{package:?} is not in the SBOM");
    }
    assert!(known.iter().any(|(package, _)| package == "tokio"), "crates are in it too");
}

#[test]
fn full_appliance_release_is_the_same_bytes_twice_and_what_is_beside_it_is_right() -> Result<(), LabError> {
    let folder = tempfile::tempdir().map_err(LabError::io("make a folder"))?;
    let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
    build(&first)?;
    build(&second)?;

    let name = format!("ironwake-{VERSION}-amd64");
    let beside = ["img.zst", "img.zst.sha256", "iso", "iso.sha256", "packages", "spdx.json", "update"];
    let parts = ["root.squashfs", "kernel.efi", "vmlinuz", "initrd", "boot.cfg"];
    let expected: BTreeSet<String> = beside
        .iter()
        .map(|ending| format!("{name}.{ending}"))
        .chain(parts.iter().map(|part| format!("update/{part}")))
        .chain(["manifest.json".into(), "manifest.json.asc".into()])
        .collect();
    assert_eq!((files(&first)?, files(&second)?), (expected.clone(), expected.clone()));
    for file in expected.iter().filter(|file| !SIGNED.iter().any(|ending| file.ends_with(ending))) {
        run(Command::new("cmp").args([first.join(file), second.join(file)]))?;
    }
    for image in ["img.zst", "iso"] {
        let digest = format!("{name}.{image}.sha256");
        run(Command::new("sha256sum").args(["--check", &digest]).current_dir(&first))?;
    }
    // As README.md unpacks it.
    run(Command::new("zstd").args(["--test", "--quiet"]).arg(first.join(format!("{name}.img.zst"))))?;
    let manifest: Value = serde_json::from_str(&read(&first.join("manifest.json"))).expect("a manifest");
    assert_eq!(manifest["version"], VERSION);
    run(Command::new("gpg").arg("--list-packets").arg(first.join("manifest.json.asc")))?;
    has_what_is_listed(&first, &name);
    Ok(())
}
