//! An appliance below a folder, the parts of versions, and the keys that sign them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use ironwake::updates::{Order, Places, write_order};

/// When all of it happens, in milliseconds since 1970.
pub const NOW: u64 = 1_900_000_000_000;

/// Bytes of a root filesystem: some pieces, and no whole number of any of them.
const ROOT_BYTES: usize = 3_000_017;

pub fn put(path: PathBuf, bytes: &[u8]) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    fs::write(path, bytes).expect("written");
}

/// Runs a program that must succeed, and gives what it said.
#[track_caller]
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

/// Keys of GnuPG, made for one test.
pub struct Keys(PathBuf);

impl Keys {
    pub fn new(folder: &Path) -> Self {
        let home = folder.join("gnupg");
        fs::create_dir(&home).expect("made");
        fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).expect("its own");
        let keys = Self(home);
        let user = "Ironwake's tests <tests@example.org>";
        run(keys.gpg().args(["--quick-gen-key", user, "ed25519", "sign", "never"]));
        run(keys.gpg().args(["--armor", "--output"]).arg(keys.public()).arg("--export"));
        run(keys.gpg().args(["--armor", "--output"]).arg(keys.secret()).arg("--export-secret-keys"));
        keys
    }

    pub fn gpg(&self) -> Command {
        let mut command = Command::new("gpg");
        command.arg("--homedir").arg(&self.0).args([
            "--batch",
            "--quiet",
            "--passphrase",
            "",
            "--pinentry-mode",
            "loopback",
        ]);
        command
    }

    pub fn public(&self) -> PathBuf {
        self.0.join("public.asc")
    }

    pub fn secret(&self) -> PathBuf {
        self.0.join("secret.asc")
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf").arg("--homedir").arg(&self.0).args(["--kill", "all"]).output();
    }
}

/// What the root filesystem of a version is: the same bytes whenever it is asked for.
pub fn root_of(version: &str) -> Vec<u8> {
    let mut state =
        version.bytes().fold(88_172_645_463_325_252_u64, |seed, byte| seed.rotate_left(7) ^ u64::from(byte));
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..ROOT_BYTES).map(|_| next()).collect()
}

/// The parts of a version, as the image's build leaves them.
pub fn parts(folder: &Path, version: &str) -> PathBuf {
    let parts = folder.join(format!("parts-{version}"));
    put(parts.join("root.squashfs"), &root_of(version));
    for part in ["kernel.efi", "vmlinuz", "initrd", "boot.cfg"] {
        put(parts.join(part), format!("{part} of {version}\n").repeat(100).as_bytes());
    }
    parts
}

/// A loader of the boot files.
pub fn loader(name: &str) -> PathBuf {
    let named = std::env::var_os("IRONWAKE_BOOT").map(PathBuf::from);
    let cached = || PathBuf::from(std::env::var_os("HOME").expect("a home")).join(".cache/ironwake/boot");
    named.unwrap_or_else(cached).join("loaders").join(name)
}

/// The bundle of a version.
pub fn bundle(folder: &Path, keys: &Keys, version: &str) -> PathBuf {
    make(folder, keys, version, parts(folder, version))
}

/// The bundle of a version with this file as what UEFI starts.
pub fn bundle_with(folder: &Path, keys: &Keys, version: &str, kernel: &Path) -> PathBuf {
    let parts = parts(folder, version);
    fs::copy(kernel, parts.join("kernel.efi")).expect("./dev setup fetches boot files");
    make(folder, keys, version, parts)
}

fn make(folder: &Path, keys: &Keys, version: &str, parts: PathBuf) -> PathBuf {
    let output = folder.join(format!("bundles/ironwake-{version}-amd64.update"));
    fs::create_dir_all(output.parent().expect("a folder")).expect("made");
    let version = version.parse().expect("a version");
    ironwake::updates::make(&version, 1_780_000_000, &parts, &keys.secret(), "", &output).expect("a bundle");
    output
}

/// An appliance on which 0.1.0 runs, started by UEFI, with an empty slot.
pub struct Lab {
    pub root: PathBuf,
    pub places: Places,
}

impl Lab {
    pub fn new(folder: &Path, keys: &Keys) -> Self {
        let root = folder.join("root");
        let places = Places::below(&root);
        let lab = Self { root, places };
        lab.boots("0.1.0", "first");
        fs::create_dir_all(&lab.places.efivars).expect("made");
        for folder in [&lab.places.inbox, &lab.places.state, &lab.places.run] {
            fs::create_dir_all(folder).expect("made");
        }
        put(lab.root.join("usr/lib/ironwake/update-keys.asc"), &fs::read(keys.public()).expect("keys"));
        put(lab.root.join("efi/EFI/Linux/ironwake_0.1.0.efi"), b"a kernel");
        for ending in ["vmlinuz", "initrd", "cfg"] {
            put(lab.root.join(format!("efi/ironwake/ironwake_0.1.0.{ending}")), b"of 0.1.0");
        }
        lab
    }

    /// A start of a version.
    pub fn boots(&self, version: &str, boot: &str) {
        let release = format!("ID=debian\nIMAGE_ID=ironwake\nIMAGE_VERSION={version}\n");
        put(self.root.join("usr/lib/os-release"), release.as_bytes());
        // /var is on a disk, with its two slots.
        let mounts = "22 1 254:1 / / ro - squashfs x ro\n30 22 8:5 / /var rw - ext4 /dev/sda5 rw\n";
        put(self.root.join("proc/self/mountinfo"), mounts.as_bytes());
        let disk = self.root.join("sys/devices/pci0/block/sda");
        for (number, name) in [(3, &*format!("ironwake_{version}")), (4, "_empty"), (5, "ironwake-var")] {
            put(disk.join(format!("sda{number}/partition")), format!("{number}\n").as_bytes());
            put(
                disk.join(format!("sda{number}/uevent")),
                format!("PARTN={number}\nPARTNAME={name}\n").as_bytes(),
            );
        }
        let place = self.root.join("sys/dev/block");
        fs::create_dir_all(&place).expect("made");
        let _ = std::os::unix::fs::symlink(disk.join("sda5"), place.join("8:5"));
        put(self.root.join("proc/sys/kernel/random/boot_id"), boot.as_bytes());
    }

    /// Lays a bundle ready, as the daemon does.
    pub fn order(&self, bundle: &Path, allow_older: bool) {
        fs::copy(bundle, self.places.inbox.join("bundle.update")).expect("copied");
        let order = Order { id: "1".into(), allow_older, failed_before: Vec::new() };
        write_order(&self.places, &order).expect("written");
    }

    /// A stand-in for systemd-sysupdate: a folder `slot` is the other slot, and files go to the ESP as it puts them there.
    pub fn stand_in(&self, more: &str) {
        put(self.places.run.join("disk"), b"a disk");
        let script = format!(
            "#!/bin/sh\nset -eu\nroot=$2 version=$4\nsource=$root/var/lib/ironwake-update/source\n{more}\n\
             mkdir -p \"$root/slot\"\ncp \"$source/ironwake_$version.root\" \"$root/slot/\"\n\
             for ending in vmlinuz initrd cfg; do cp \"$source/ironwake_$version.$ending\" \"$root/efi/ironwake/\"; done\n\
             cp \"$source/ironwake_$version.efi\" \"$root/efi/EFI/Linux/ironwake_$version+0-0.efi\"\n"
        );
        put(self.places.sysupdate.clone(), script.as_bytes());
        fs::set_permissions(&self.places.sysupdate, fs::Permissions::from_mode(0o755)).expect("executable");
    }

    /// Names of what the ESP starts.
    pub fn esp(&self) -> Vec<String> {
        let mut names = Vec::new();
        for folder in ["efi/EFI/Linux", "efi/ironwake"] {
            let entries = fs::read_dir(self.root.join(folder)).expect("a folder");
            names
                .extend(entries.map(|entry| entry.expect("a file").file_name().into_string().expect("text")));
        }
        names.sort();
        names
    }
}

/// A tree of Debian 13 that has this program: the appliance's own, or that of its tools (`./dev test` makes them), or one that
/// the environment names.
pub fn tree_with(program: &str) -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("IRONWAKE_CACHE").or_else(|| Some(set("HOME")?.join(".cache/ironwake")));
    let cached = cache.map(|cache| cache.join("appliance")).into_iter();
    let trees = cached.flat_map(|cache| [cache.join("tree/root"), cache.join("tools")]);
    let found = set("IRONWAKE_TREE").into_iter().chain(trees).find(|tree| tree.join(program).exists());
    found.unwrap_or_else(|| {
        panic!("no tree of Debian 13 has {program}: ./dev test makes one, or IRONWAKE_TREE names one")
    })
}

/// Words of a shell that run a program of a tree, with a folder as its /mnt.
pub fn in_tree(tree: &Path, folder: &Path, words: &str) -> String {
    format!(
        "unshare --mount --propagation private sh -eu -c 'mount --bind \"$1\" \"$2/mnt\"; mount --rbind /proc \"$2/proc\"; \
         mount --rbind /dev \"$2/dev\"; exec chroot \"$2\" {words}' sh '{}' '{}'",
        folder.display(),
        tree.display()
    )
}
