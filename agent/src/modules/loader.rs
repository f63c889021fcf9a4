//! Loads the modules that the machine's devices ask for.

use std::{
    collections::{HashSet, VecDeque},
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    kmod::{ModuleInitFlags, finit_module},
};

use super::Index;

/// `MODULE_INIT_COMPRESSED_FILE` of linux/module.h: the kernel unpacks the file itself.
const COMPRESSED_FILE: u32 = 4;
/// A modalias is one line; the longest (input devices) are about 1 KiB.
const MODALIAS_BYTES_MAX: u64 = 4096;

/// What one round of loading did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Round {
    /// Modules loaded in this round, in order.
    pub loaded: Vec<String>,
    /// Modules that could not be loaded, and why.
    pub failed: Vec<String>,
}

/// Knows what is loaded and which devices were looked at.
#[derive(Debug)]
pub struct Loader {
    index: Index,
    folder: PathBuf,
    tried: HashSet<String>,
    seen: HashSet<String>,
    waiting: VecDeque<String>,
}

impl Loader {
    /// A loader of the modules below `folder`, which is `/lib/modules` of the image.
    pub fn new(index: Index, folder: &Path) -> Self {
        Self {
            index,
            folder: folder.to_owned(),
            tried: HashSet::new(),
            seen: HashSet::new(),
            waiting: VecDeque::new(),
        }
    }

    /// Looks at all devices and loads some of the modules that they ask for: those of network devices, if any
    /// device asks for one, else one module. `None` when nothing is left to load. Buses appear when their
    /// drivers load, so each round looks again; and the network's come first, since an address takes seconds.
    pub fn round(&mut self, root: &Path) -> Option<Round> {
        let mut round = Round::default();
        for alias in modaliases(root) {
            if self.seen.contains(&alias) {
                continue;
            }
            let names: Vec<String> = self.index.wanted(&alias).into_iter().map(str::to_owned).collect();
            let network = is_network(&alias);
            self.seen.insert(alias);
            for name in names {
                if network {
                    self.load(&name, &mut round);
                } else if !self.tried.contains(&name) && !self.waiting.contains(&name) {
                    self.waiting.push_back(name);
                }
            }
        }
        if round != Round::default() {
            return Some(round);
        }
        let name = self.waiting.pop_front()?;
        self.load(&name, &mut round);
        Some(round)
    }

    /// Loads one module that no device asks for by name, with what it needs.
    pub fn load_by_name(&mut self, name: &str) -> Round {
        let mut round = Round::default();
        self.load(name, &mut round);
        round
    }

    fn load(&mut self, name: &str, round: &mut Round) {
        let order: Vec<(String, String)> =
            self.index.load_order(name).iter().map(|m| (m.name.clone(), m.path.clone())).collect();
        for (name, path) in order {
            if !self.tried.insert(name.clone()) {
                continue;
            }
            match insert(&self.folder.join(&path)) {
                Ok(()) => round.loaded.push(name),
                // Built for hardware that is not there after all: the driver says ENODEV and that is that.
                Err(error) if error.raw_os_error() == Some(Errno::ENODEV as i32) => {}
                Err(error) => round.failed.push(format!("module {name} was not loaded: {error}")),
            }
        }
    }
}

fn insert(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    let compressed = path.extension().is_some_and(|extension| extension != "ko");
    let flags = ModuleInitFlags::from_bits_retain(if compressed { COMPRESSED_FILE } else { 0 });
    match finit_module(file, c"", flags) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// PCI class 02, virtio's network device, Hyper-V's and Xen's.
fn is_network(alias: &str) -> bool {
    (alias.starts_with("pci:") && alias.contains("bc02"))
        || alias.starts_with("virtio:d00000001v")
        || alias.starts_with("vmbus:635161f83edfc546913ff2d2f965ed0e")
        || alias == "xen:vif"
}

/// The modalias of each device on each bus.
fn modaliases(root: &Path) -> Vec<String> {
    let mut aliases = Vec::new();
    for bus in entries(&root.join("sys/bus")) {
        for device in entries(&bus.join("devices")) {
            if let Ok(alias) =
                crate::inventory::sysfs::read_limited(&device.join("modalias"), MODALIAS_BYTES_MAX)
            {
                let alias = String::from_utf8_lossy(&alias).trim().to_owned();
                if !alias.is_empty() {
                    aliases.push(alias);
                }
            }
        }
    }
    aliases
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_modules_come_first_and_each_is_tried_once() {
        let root = tempfile::tempdir().expect("a folder");
        for (device, alias) in [
            ("pci/devices/0000:00:01.0", "pci:v00008086d00002922sv0sd0bc01sc06i01\n"),
            ("pci/devices/0000:00:02.0", "pci:v00008086d000010D3sv0sd0bc02sc00i00\n"),
            ("acpi/devices/IPI0001:00", "acpi:IPI0001:\n"),
        ] {
            let folder = root.path().join("sys/bus").join(device);
            fs::create_dir_all(&folder).expect("a device");
            fs::write(folder.join("modalias"), alias).expect("a modalias");
        }
        let index = "module ahci a.ko -\nmodule e1000e e.ko.xz ptp\nmodule ptp p.ko.xz -\nmodule ipmi_si i.ko -\n\
                     alias pci:v*bc01sc06i01* ahci\nalias pci:v00008086d000010D3* e1000e\nalias acpi*:IPI0001:* ipmi_si\n";
        let folder = root.path().join("lib/modules");
        let mut loader = Loader::new(Index::parse(index).expect("an index"), &folder);
        let mut tried = Vec::new();
        while let Some(round) = loader.round(root.path()) {
            assert!(round.loaded.is_empty(), "there are no files to load");
            tried.extend(round.failed);
        }
        let names: Vec<&str> = tried.iter().filter_map(|line| line.split(' ').nth(1)).collect();
        assert_eq!(names, ["ptp", "e1000e", "ipmi_si", "ahci"]);
        assert_eq!(loader.load_by_name("ahci"), Round::default());
    }

    #[test]
    fn network_devices_are_told_apart() {
        assert!(is_network("pci:v00001AF4d00001000sv00001AF4sd00000001bc02sc00i00"));
        assert!(is_network("virtio:d00000001v00001AF4"));
        assert!(!is_network("virtio:d00000002v00001AF4"));
        assert!(!is_network("pci:v00001AF4d00001001sv00001AF4sd00000002bc01sc00i00"));
    }
}
