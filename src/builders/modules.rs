//! Modules of a kernel package: which of them are taken, and the index by which the agent loads them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::io::{self, Read as _};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{fs, thread};

use bytes::Bytes;

use super::modinfo::{ModInfo, ModInfoError, modinfo, module_name};
use crate::artifact::Digest;
use crate::artifacts::{ArtifactError, map_file};

/// The largest module once decompressed. Debian's largest has 25 MiB (a GPU driver).
const MODULE_BYTES_MAX: u64 = 64 << 20;

/// Raised when the text of the index changes for the same modules.
pub(super) const INDEX_VERSION: u32 = 1;

/// The modules of one kernel, as a package has them below `/usr/lib/modules/<release>`, and their digests.
#[derive(Debug)]
pub struct ModuleTree {
    dir: PathBuf,
    /// Name → path in `dir` and digest.
    files: HashMap<String, (String, Digest)>,
    built_in: BTreeSet<String>,
}

/// The modules that are taken, in the order of their paths.
#[derive(Debug)]
pub struct Chosen {
    modules: BTreeMap<String, Module>,
    /// Drivers that were asked for and that this kernel has not.
    pub absent: Vec<String>,
}

#[derive(Debug, Clone)]
struct Module {
    /// Path below `/lib/modules`.
    path: String,
    file: Bytes,
    info: ModInfo,
}

/// Why modules could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// A file could not be read.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// `modules.builtin` or `modules.sha256` could not be read.
    #[error("read {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A line of `modules.sha256`.
    #[error("{path}, line {line}: not a digest, two spaces and a path")]
    BadList {
        /// Which file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
    /// The file is not what was recorded when it was unpacked.
    #[error("{path} has SHA-256 {found}, recorded was {expected}")]
    Spoilt {
        /// Which file.
        path: PathBuf,
        /// What it has.
        found: Digest,
        /// What it should have.
        expected: Digest,
    },
    /// Decompressing failed.
    #[error("decompress {path}")]
    Decompress {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Not a module.
    #[error("read module {path}")]
    ModInfo {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ModInfoError,
    },
    /// A dependency that this kernel neither has nor has built in.
    #[error("module {module} needs {needs}, which this kernel has not")]
    Unmet {
        /// Which module.
        module: String,
        /// What it needs.
        needs: String,
    },
}

impl ModuleTree {
    /// Opens `dir`; `digests` is a list in the format of `sha256sum` of every file in it.
    pub fn open(dir: &Path, digests: &Path) -> Result<Self, ModuleError> {
        let read = |path: &Path| {
            fs::read_to_string(path).map_err(|source| ModuleError::Read { path: path.into(), source })
        };
        let mut files = HashMap::new();
        for (at, line) in read(digests)?.lines().enumerate() {
            let bad = || ModuleError::BadList { path: digests.into(), line: at + 1 };
            let (digest, path) = line.split_once("  ").ok_or_else(bad)?;
            let digest = digest.parse().map_err(|_| bad())?;
            if let Some(name) = name_of(path) {
                files.insert(name, (path.to_owned(), digest));
            }
        }
        let built_in = read(&dir.join("modules.builtin"))?.lines().filter_map(name_of).collect();
        Ok(Self { dir: dir.into(), files, built_in })
    }

    /// Takes these drivers and all that they need, several at a time. `progress` hears how many modules have
    /// been read and how many are known to be wanted.
    pub fn choose<'a>(
        &self,
        drivers: impl IntoIterator<Item = &'a str>,
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<Chosen, ModuleError> {
        let mut absent = Vec::new();
        let mut wanted = BTreeSet::new();
        for driver in drivers {
            if self.files.contains_key(driver) {
                wanted.insert(driver.to_owned());
            } else if !self.built_in.contains(driver) {
                absent.push(driver.to_owned());
            }
        }
        let mut modules = BTreeMap::new();
        // Each round reads what the round before asked for; a kernel's chains are some six deep.
        while !wanted.is_empty() {
            let known = modules.len();
            let round: Vec<String> = std::mem::take(&mut wanted).into_iter().collect();
            let read = self.read_all(&round, &|done| progress(known + done, known + round.len()))?;
            modules.extend(round.into_iter().zip(read));
            for module in modules.values() {
                wanted
                    .extend(self.needs(&module.info)?.into_iter().filter(|name| !modules.contains_key(name)));
            }
        }
        Ok(Chosen { modules, absent })
    }

    /// What must be loaded before a module, without what is built in.
    fn needs(&self, info: &ModInfo) -> Result<Vec<String>, ModuleError> {
        let mut needs = Vec::new();
        for name in &info.depends {
            if self.files.contains_key(name) {
                needs.push(name.clone());
            } else if !self.built_in.contains(name) {
                return Err(ModuleError::Unmet { module: info.name.clone(), needs: name.clone() });
            }
        }
        for name in &info.soft_depends {
            // The kernel asks modprobe for a cipher by its alias, and there is no modprobe in the image.
            let generic = format!("{name}_generic");
            needs.extend([name, &generic].into_iter().find(|name| self.files.contains_key(*name)).cloned());
        }
        needs.retain(|name| *name != info.name);
        Ok(needs)
    }

    fn read_all(
        &self,
        names: &[String],
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Vec<Module>, ModuleError> {
        let threads = thread::available_parallelism().map_or(1, NonZero::get).min(names.len());
        let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = || -> Result<Vec<(usize, Module)>, ModuleError> {
            let mut read = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(name) = names.get(at) else { return Ok(read) };
                read.push((at, self.read(name)?));
                progress(done.fetch_add(1, Ordering::Relaxed) + 1);
            }
        };
        let mut read = Vec::with_capacity(names.len());
        thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            for worker in workers {
                read.extend(worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
            }
            Ok::<_, ModuleError>(())
        })?;
        read.sort_unstable_by_key(|(at, _)| *at);
        Ok(read.into_iter().map(|(_, module)| module).collect())
    }

    fn read(&self, name: &str) -> Result<Module, ModuleError> {
        let (path, expected) = &self.files[name];
        let at = self.dir.join(path);
        let file = map_file(&at)?;
        let found = Digest::of(&file);
        if found != *expected {
            return Err(ModuleError::Spoilt { path: at, found, expected: *expected });
        }
        let decompressed;
        let elf = if path.ends_with(".xz") {
            decompressed =
                decompress(&file).map_err(|source| ModuleError::Decompress { path: at.clone(), source })?;
            &decompressed[..]
        } else {
            &file[..]
        };
        let info = modinfo(elf).map_err(|source| ModuleError::ModInfo { path: at, source })?;
        Ok(Module { path: path.clone(), file, info })
    }
}

impl Chosen {
    /// Of these, the drivers that are named and all that they need.
    pub fn only<'a>(
        &self,
        tree: &ModuleTree,
        drivers: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, ModuleError> {
        let mut modules = BTreeMap::new();
        let mut wanted: Vec<String> = drivers.into_iter().map(str::to_owned).collect();
        while let Some(name) = wanted.pop() {
            if let Some(module) = self.modules.get(&name)
                && !modules.contains_key(&name)
            {
                wanted.extend(tree.needs(&module.info)?);
                modules.insert(name, module.clone());
            }
        }
        Ok(Self { modules, absent: self.absent.clone() })
    }

    /// Path below `/lib/modules` and bytes of each module, sorted by path.
    pub fn files(&self) -> Vec<(&str, &[u8])> {
        let mut files: Vec<_> =
            self.modules.values().map(|module| (module.path.as_str(), &module.file[..])).collect();
        files.sort_unstable();
        files
    }

    /// The index: first a line `module <name> <path> <dep,dep,...|->` for each module, sorted by name, then a
    /// line `alias <pattern> <name>` for each alias. The deps are those that are in the image.
    pub fn index(&self, tree: &ModuleTree) -> Result<String, ModuleError> {
        let mut text = String::new();
        for (name, module) in &self.modules {
            let mut needs = tree.needs(&module.info)?;
            if needs.is_empty() {
                needs.push("-".into());
            }
            let _ = writeln!(text, "module {name} {} {}", module.path, needs.join(","));
        }
        for (name, module) in &self.modules {
            for alias in &module.info.aliases {
                let _ = writeln!(text, "alias {alias} {name}");
            }
        }
        Ok(text)
    }
}

/// `kernel/drivers/net/ethernet/intel/e1000e/e1000e.ko.xz` → `e1000e`, if the path is safe as a word of the index.
fn name_of(path: &str) -> Option<String> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"/._+-,".contains(&byte);
    let inside = path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    let file = path.rsplit('/').next()?;
    let stem = file.strip_suffix(".xz").unwrap_or(file).strip_suffix(".ko")?;
    (inside && path.bytes().all(is_word)).then(|| module_name(stem).ok())?
}

fn decompress(file: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(file.len() * 5);
    liblzma::read::XzDecoder::new(file).take(MODULE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MODULE_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it has more than {MODULE_BYTES_MAX} bytes"),
        ));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::super::modinfo::module_file;
    use super::*;

    /// A tree of modules: path and `.modinfo` entries, with `crc16` built in.
    fn tree(modules: &[(&str, &[&str])]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let mut list = String::new();
        for (path, entries) in modules {
            let mut bytes = module_file(entries);
            if path.ends_with(".xz") {
                let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 0);
                encoder.write_all(&bytes).unwrap();
                bytes = encoder.finish().unwrap();
            }
            let at = dir.path().join(path);
            fs::create_dir_all(at.parent().unwrap()).unwrap();
            fs::write(at, &bytes).unwrap();
            let _ = writeln!(list, "{}  {path}", Digest::of(&bytes));
        }
        fs::write(dir.path().join("modules.builtin"), "kernel/lib/crc16.ko\n").unwrap();
        fs::write(dir.path().join("list"), list).unwrap();
        dir
    }

    fn choose(dir: &tempfile::TempDir, drivers: &[&str]) -> Result<(Chosen, String), ModuleError> {
        let tree = ModuleTree::open(dir.path(), &dir.path().join("list"))?;
        let chosen = tree.choose(drivers.iter().copied(), &|done, all| assert!(done <= all))?;
        let index = chosen.index(&tree)?;
        Ok((chosen, index))
    }

    fn sample() -> tempfile::TempDir {
        tree(&[
            ("kernel/net/e1000e.ko.xz", &["name=e1000e", "depends=ptp,crc16", "alias=pci:v8086*", "alias=a"]),
            ("kernel/ptp/ptp.ko", &["name=ptp", "depends=pps-core"]),
            ("kernel/ptp/pps-core.ko.xz", &["name=pps_core", "depends="]),
            ("kernel/net/sctp.ko.xz", &["name=sctp", "softdep=pre: crc32c gone", "depends="]),
            ("kernel/crypto/crc32c_generic.ko.xz", &["name=crc32c_generic", "alias=crc32c"]),
        ])
    }

    #[test]
    fn the_index_names_what_is_needed_and_nothing_else() {
        let (chosen, index) = choose(&sample(), &["e1000e", "crc16", "igb", "sctp"]).unwrap();
        let expected = "\
module crc32c_generic kernel/crypto/crc32c_generic.ko.xz -
module e1000e kernel/net/e1000e.ko.xz ptp
module pps_core kernel/ptp/pps-core.ko.xz -
module ptp kernel/ptp/ptp.ko pps_core
module sctp kernel/net/sctp.ko.xz crc32c_generic
alias crc32c crc32c_generic
alias a e1000e
alias pci:v8086* e1000e
";
        assert_eq!(index, expected);
        assert_eq!(chosen.absent, ["igb"]);
        let paths: Vec<_> = chosen.files().iter().map(|(path, _)| *path).collect();
        assert!(paths.is_sorted() && paths.len() == 5, "{paths:?}");
    }

    #[test]
    fn spoilt_trees_are_refused_by_name() {
        let check = |dir: &tempfile::TempDir, expected: &str| {
            let error = choose(dir, &["e1000e"]).unwrap_err().to_string();
            assert!(error.contains(expected), "{error:?} lacks {expected:?}");
        };
        let dir = sample();
        fs::write(dir.path().join("kernel/ptp/ptp.ko"), "spoilt").unwrap();
        check(&dir, "ptp.ko has SHA-256");
        fs::remove_file(dir.path().join("kernel/ptp/ptp.ko")).unwrap();
        check(&dir, "read ");
        fs::write(dir.path().join("list"), "not a list\n").unwrap();
        check(&dir, "list, line 1: not a digest");
        check(&tree(&[("kernel/e1000e.ko", &["name=e1000e", "depends=gone"])]), "e1000e needs gone");
        check(&tree(&[("kernel/e1000e.ko", &["depends="])]), "read module");
        let dir = tree(&[("kernel/e1000e.ko", &["name=e1000e"])]);
        fs::rename(dir.path().join("kernel/e1000e.ko"), dir.path().join("kernel/e1000e.ko.xz")).unwrap();
        let list = fs::read_to_string(dir.path().join("list")).unwrap();
        fs::write(dir.path().join("list"), list.replace(".ko", ".ko.xz")).unwrap();
        check(&dir, "decompress ");
    }

    #[test]
    fn names_come_from_safe_paths_only() {
        let check = |path: &str, expected: Option<&str>| assert_eq!(name_of(path).as_deref(), expected);
        check("kernel/drivers/ata/acard-ahci.ko.xz", Some("acard_ahci"));
        check("x.ko", Some("x"));
        check("modules.order", None);
        check("../x.ko", None);
        check("/etc/x.ko", None);
        check("kernel/a b.ko", None);
    }
}
