//! The ways onto an ordinary host: Debian packages and a container.

#[path = "lab/mod.rs"]
mod lab;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ironwake::appliance::{VERSION_CHARS_MAX, Version};
use lab::{LabError, run};

fn tree(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn place(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn cache() -> PathBuf {
    place("IRONWAKE_CACHE").unwrap_or_else(|| place("HOME").expect("a HOME").join(".cache/ironwake"))
}

/// What the schema of compose files says (check-jsonschema ships it; `./dev setup` installs it).
fn judge(file: &Path) -> Result<String, LabError> {
    run(Command::new(cache().join("judges/bin/check-jsonschema"))
        .args(["--builtin-schema", "vendor.compose-spec"])
        .arg(file))
}

#[test]
fn parity_fl1_the_compose_file_is_right_and_gives_no_more_than_the_unit_has() -> Result<(), LabError> {
    let path = tree("appliance/compose.yaml");
    judge(&path)?;
    let text = fs::read_to_string(&path).expect("the compose file");
    let folder = tempfile::tempdir().map_err(LabError::io("make a folder"))?;
    let broken = folder.path().join("compose.yaml");
    fs::write(&broken, text.replace("network_mode: host", "network_modes: host")).expect("written");
    judge(&broken).expect_err("a key that nobody knows is refused");

    let unit = fs::read_to_string(tree("systemd/usr/lib/systemd/system/ironwake.service")).expect("the unit");
    let held = unit.lines().find_map(|line| line.strip_prefix("AmbientCapabilities=")).expect("capabilities");
    let given = held.split(' ').map(|name| name.trim_start_matches("CAP_")).collect::<Vec<_>>().join(", ");
    assert!(
        text.contains(&format!("cap_add: [{given}]")) && text.contains("cap_drop: [ALL]"),
        "{given}\n{text}"
    );
    // Both end it within the same time.
    assert!(unit.contains("\nTimeoutStopSec=10\n") && text.contains("stop_grace_period: 10s"));
    Ok(())
}

#[test]
fn parity_fl14_what_builds_images_is_there_and_configurations_are_checked() -> Result<(), LabError> {
    let help = run(Command::new("sh").arg(tree("dev")).arg("help"))?;
    for command in ["image", "container", "deb", "install"] {
        assert!(help.lines().any(|line| line.starts_with(&format!("  {command} "))), "{command}\n{help}");
    }
    assert!(fs::read_to_string(tree("appliance/Containerfile")).expect("it").contains("\nFROM scratch\n"));
    let shipped = tree("systemd/etc/ironwake/ironwake.toml");
    run(Command::new(env!("CARGO_BIN_EXE_ironwake")).args(["config", "check"]).arg(shipped)).map(drop)
}

/// The builder of images takes the versions that the appliance takes.
#[test]
fn an_image_has_a_version_that_it_could_be_updated_from() {
    let letters = "a".repeat(VERSION_CHARS_MAX);
    let long = format!("{letters}a");
    for version in
        ["0.2.0", "0.2.0-rc1", &letters, &long, "0.2.0~rc1", "0.2_1", "0.2.0+1", "-1", ".1", "0.2 1"]
    {
        let built = Command::new("sh")
            .arg(tree("appliance/build"))
            .env("APPLIANCE_VERSION", version)
            .env("APPLIANCE_CACHE", "/nonexistent")
            .output()
            .expect("sh");
        // Without a folder it builds nothing.
        let told = String::from_utf8_lossy(&built.stderr);
        let expected = if version.parse::<Version>().is_ok() { "usage: " } else { "is no version: " };
        assert!(told.contains(expected), "{version}: {told}");
    }
}

/// A Debian in a folder: the guest that other tests boot.
struct Debian(tempfile::TempDir);

impl Debian {
    fn unpack() -> Result<Self, LabError> {
        let folder = tempfile::tempdir().map_err(LabError::io("make a folder"))?;
        let guest = place("IRONWAKE_GUEST").unwrap_or_else(|| cache().join("guest/root.cpio"));
        run(Command::new("cpio")
            .args([
                "--extract",
                "--quiet",
                "--make-directories",
                "--preserve-modification-time",
                "--directory",
            ])
            .arg(folder.path())
            .arg("--file")
            .arg(guest))?;
        // Maintainer scripts of packages write there.
        run(Command::new("mkdir").arg("-p").arg(folder.path().join("dev")))?;
        fs::write(folder.path().join("dev/null"), "").map_err(LabError::io("make dev/null"))?;
        Ok(Self(folder))
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_default()
    }

    fn run(&self, words: &[&str]) -> Result<String, LabError> {
        run(Command::new("chroot").arg(self.0.path()).args(words).env("DEBIAN_FRONTEND", "noninteractive"))
    }
}

/// `./dev image-usb` runs it: what it is given is an image of the appliance, and arrives whole.
#[test]
fn an_image_is_flashed_and_what_is_none_is_refused() -> Result<(), LabError> {
    let folder = tempfile::tempdir().map_err(LabError::io("make a folder"))?;
    let path = |name: &str| folder.path().join(name);
    let put = |name: &str, bytes: &[u8]| fs::write(path(name), bytes).expect("written");
    let mut image = vec![7; 1 << 20];
    let name: Vec<u8> = "ironwake-esp".encode_utf16().flat_map(u16::to_le_bytes).collect();
    image[1024..1024 + name.len()].copy_from_slice(&name);
    put("image", &image);
    put("noise", &vec![7; 1 << 20]);
    put("disk", &vec![1; 2 << 20]);
    put("small", &[]);
    run(Command::new("zstd").args(["-q", "--content-size"]).arg(path("image")))?;
    let packed = fs::read(path("image.zst")).expect("packed");
    put("half.zst", &packed[..packed.len() / 2]);
    let flash = |words: &[&str], file: &str| {
        let words: Vec<PathBuf> = words.iter().map(|word| path(word)).collect();
        let done = Command::new("sh").arg(tree("appliance/flash")).args(words).env("FILE", file).output();
        let done = done.expect("it runs");
        (done.status.code(), String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned())
    };
    for good in ["image", "image.zst"] {
        put("disk", &vec![1; 2 << 20]);
        let (code, said) = flash(&[good, "disk"], "1");
        assert!(code == Some(0) && said.contains("boots the appliance now"), "{said}");
        let disk = fs::read(path("disk")).expect("read");
        assert!(disk[..1 << 20] == image && disk[1 << 20..].iter().all(|byte| *byte == 1), "{good}");
    }
    let check = |words: &[&str], file: &str, code: i32, expected: &str| {
        let (found, said) = flash(words, file);
        assert!(found == Some(code) && said.contains(expected), "{words:?}: {found:?} {said}");
    };
    check(&["noise", "disk"], "1", 1, "is no image of the appliance");
    check(&["half.zst", "disk"], "1", 1, "half.zst");
    check(&["missing", "disk"], "1", 1, "make it by ./dev image");
    check(&["image", "small"], "1", 1, "the image has 1048576 bytes");
    check(&["image", "disk"], "", 1, "FILE=1 writes to a regular file");
    check(&["image"], "", 2, "usage: appliance/flash IMAGE DEVICE");
    Ok(())
}

#[test]
fn full_parity_pv20_packages_put_the_units_on_a_debian_host_and_purging_takes_all_away()
-> Result<(), LabError> {
    let debian = Debian::unpack()?;
    let made = tree("target/deb-test");
    let mut names = Vec::new();
    for entry in
        fs::read_dir(&made).map_err(LabError::io("read target/deb-test: ./dev test --all makes it"))?
    {
        let path = entry.map_err(LabError::io("read target/deb-test"))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("UTF-8").to_owned();
        if name.ends_with(".deb") {
            fs::copy(&path, debian.path(&name)).map_err(LabError::io("copy a package"))?;
            names.push(format!("/{name}"));
        }
    }
    assert_eq!(names.len(), 2, "{names:?}");
    let before = debian.read("etc/passwd");
    let mut install = vec!["dpkg", "--install"];
    install.extend(names.iter().map(String::as_str));
    debian.run(&install)?;

    for user in ["ironwake", "ironwake-builder", "ironwake-console", "ironwake-ssh"] {
        assert!(debian.read("etc/passwd").contains(&format!("\n{user}:")), "{user}");
    }
    assert!(debian.read("etc/subuid").contains("ironwake-builder:"));
    // As installed: each file of the tree is there, byte for byte.
    let units = tree("systemd/usr");
    for line in run(Command::new("find").arg(&units).args(["-type", "f", "-printf", "%P\n"]))?.lines() {
        let there = fs::read(debian.path("usr").join(line)).unwrap_or_default();
        assert!(there == fs::read(units.join(line)).expect("the tree's"), "{line} is another");
    }
    let enabled = |unit: &str| debian.run(&["systemctl", "is-enabled", unit]).is_ok();
    assert!(enabled("ironwake.service") && enabled("ironwake.socket"));
    assert!(!enabled("ironwake-ssh.service"), "who opens a port, asks for it");
    assert!(!debian.path("etc/ironwake/ironwake.toml").exists(), "nobody is served before it is set up");
    assert!(debian.path("usr/lib/ironwake/boot/kernel/vmlinuz").is_file());
    // This small Debian unpacks no manuals.
    let listed = names.iter().map(|name| debian.run(&["dpkg-deb", "--contents", name]));
    let listed = listed.collect::<Result<Vec<_>, _>>()?.concat();
    let named = run(Command::new("grep").args(["-rhoP", r"(?<=man:)ironwake[a-z-]*(?=\(1\))"]).arg(&units))?;
    assert!(named.lines().any(|name| name == "ironwake-serve"), "{named}");
    for name in named.lines() {
        assert!(listed.contains(&format!("/man1/{name}.1.gz")), "Documentation=man:{name}(1) leads nowhere");
    }
    debian.run(&["systemd-analyze", "verify", "--man=no", "/usr/lib/systemd/system/ironwake.service"])?;

    debian.run(&["dpkg", "--purge", "ironwake", "ironwake-boot"])?;
    for gone in ["usr/bin/ironwake", "usr/lib/ironwake", "var/lib/ironwake", "etc/ironwake"] {
        assert!(!debian.path(gone).exists(), "{gone} stays");
    }
    assert!(!debian.read("etc/subuid").contains("ironwake-builder"));
    // As policy has it, accounts stay: files elsewhere might be theirs.
    assert!(debian.read("etc/passwd").len() > before.len());
    Ok(())
}
