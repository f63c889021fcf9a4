//! The profiles in force: those that the program brings along, and the operator's folder, read again when it changes.
//!
//! A folder's profile of the same name stands before a shipped one. One that is wrong is refused with every mistake at
//! its place, and the one before it stays in force.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};
use std::time::SystemTime;

use tracing::{info, warn};

use crate::profile::{FILE, Profile, Refused, SHIPPED, TEMPLATES_MAX, TEXT_BYTES_MAX};

/// Folders in the operator's directory.
const FOLDERS_MAX: usize = 256;

/// A profile's folder: its files by name.
pub type Files = BTreeMap<String, String>;

/// A profile in force.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What it says.
    pub profile: Profile,
    /// The files that it was read from.
    pub files: Files,
    /// `shipped`, or its folder.
    pub origin: String,
}

/// A folder whose profile is not in force, or not as it is written there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedFolder {
    /// The folder.
    pub folder: String,
    /// Every mistake, with file, line and column.
    pub mistakes: String,
}

/// What was looked at: names, sizes and times of every file.
type Seen = Vec<(PathBuf, u64, Option<SystemTime>)>;

#[derive(Default)]
struct InForce {
    profiles: BTreeMap<String, Arc<Entry>>,
    refused: Vec<RefusedFolder>,
}

/// All profiles.
pub struct Catalog {
    directory: PathBuf,
    in_force: RwLock<InForce>,
    seen: Mutex<Option<Seen>>,
}

impl Catalog {
    /// The shipped profiles, and those in `directory`, which need not exist.
    pub fn open(directory: PathBuf) -> Self {
        let catalog = Self { directory, in_force: RwLock::default(), seen: Mutex::default() };
        catalog.refresh();
        catalog
    }

    /// One profile.
    pub fn get(&self, name: &str) -> Option<Arc<Entry>> {
        self.in_force.read().expect("no panic while held").profiles.get(name).cloned()
    }

    /// Every profile in the order of names.
    pub fn list(&self) -> Vec<Arc<Entry>> {
        self.in_force.read().expect("no panic while held").profiles.values().cloned().collect()
    }

    /// Folders that are refused.
    pub fn refused(&self) -> Vec<RefusedFolder> {
        self.in_force.read().expect("no panic while held").refused.clone()
    }

    /// Reads the directory again if anything in it has changed. Cheap otherwise: to be called about once a second.
    pub fn refresh(&self) {
        let mut seen = self.seen.lock().expect("no panic while held");
        let look = look(&self.directory);
        if seen.as_ref() == Some(&look) {
            return;
        }
        let first = seen.is_none();
        *seen = Some(look);
        let mut next = InForce::default();
        for shipped in SHIPPED {
            let mut files = shipped.templates();
            files.insert(FILE.into(), shipped.profile.into());
            let profile = parse(&files, shipped.name).expect("shipped profiles are right: a test reads them");
            let origin = "shipped".to_owned();
            next.profiles.insert(shipped.name.into(), Arc::new(Entry { profile, files, origin }));
        }
        let before = self.in_force.read().expect("no panic while held").profiles.clone();
        for folder in folders(&self.directory) {
            let shown = folder.display().to_string();
            match read(&folder) {
                Ok(entry) => {
                    if !first {
                        info!(profile = entry.profile.name, folder = shown, "profile read");
                    }
                    next.profiles.insert(entry.profile.name.clone(), Arc::new(entry));
                }
                Err(mistakes) => {
                    warn!(folder = shown, "profile refused:\n{mistakes}");
                    for kept in before.values().filter(|entry| entry.origin == shown) {
                        next.profiles.insert(kept.profile.name.clone(), kept.clone());
                    }
                    next.refused.push(RefusedFolder { folder: shown, mistakes });
                }
            }
        }
        *self.in_force.write().expect("no panic while held") = next;
    }
}

/// Reads a profile from its files; `place` is how mistakes name their folder.
pub fn parse(files: &Files, place: &str) -> Result<Profile, Refused> {
    let mut templates = files.clone();
    let text = templates.remove(FILE).unwrap_or_default();
    Profile::parse(&text, &templates, place)
}

/// Reads the profile of one folder; the error tells every mistake.
pub fn read(folder: &Path) -> Result<Entry, String> {
    let files = files(folder).map_err(|error| error.to_string())?;
    let shown = folder.display().to_string();
    let profile = parse(&files, &shown).map_err(|refused| refused.to_string())?;
    if folder.file_name().is_some_and(|name| name != profile.name.as_str()) {
        return Err(format!(
            "{shown}/{FILE}: the profile is called {:?}, and its folder is not",
            profile.name
        ));
    }
    Ok(Entry { profile, files, origin: shown })
}

/// A file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("read {path}: {source}")]
struct Unreadable {
    path: String,
    source: io::Error,
}

fn files(folder: &Path) -> Result<Files, Unreadable> {
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |source| Unreadable { path, source }
    };
    let mut files = Files::from([(FILE.to_owned(), text(&folder.join(FILE))?)]);
    // One more than allowed, so that too many are refused where all other mistakes are.
    for entry in fs::read_dir(folder).map_err(failed(folder))?.flatten().take(2 * TEMPLATES_MAX) {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let hidden = name.starts_with('.') || name.ends_with('~');
        if name != FILE && !hidden && path.is_file() {
            files.insert(name, text(&path)?);
        }
    }
    Ok(files)
}

fn text(path: &Path) -> Result<String, Unreadable> {
    use std::io::Read;
    let failed = |source| Unreadable { path: path.display().to_string(), source };
    let mut text = String::new();
    let file = fs::File::open(path).map_err(failed)?;
    // One byte more than allowed shows that there is too much.
    file.take(TEXT_BYTES_MAX as u64 + 1).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

fn folders(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.join(FILE).is_file())
        .take(FOLDERS_MAX)
        .collect();
    folders.sort();
    folders
}

fn look(directory: &Path) -> Seen {
    let mut seen = Vec::new();
    for folder in folders(directory) {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten().take(2 * TEMPLATES_MAX) {
            if let Ok(meta) = entry.metadata() {
                seen.push((entry.path(), meta.len(), meta.modified().ok()));
            }
        }
    }
    seen.sort();
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: &str = "name = \"mine\"\nversion = \"1\"\nsummary = \"x\"\nkind = \"local\"\n\
                         architectures = [\"amd64\"]\nfirmware = [\"bios\"]\n";

    #[test]
    fn a_folder_is_read_again_and_a_wrong_one_leaves_what_was() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("mine");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(FILE), LOCAL).unwrap();
        let catalog = Catalog::open(directory.path().into());
        assert_eq!(catalog.get("mine").unwrap().profile.version, "1");
        assert_eq!(catalog.get("debian-image").unwrap().origin, "shipped");

        fs::write(folder.join(FILE), LOCAL.replace("version = \"1\"", "version = \"22\"")).unwrap();
        catalog.refresh();
        assert_eq!(catalog.get("mine").unwrap().profile.version, "22");

        fs::write(folder.join(FILE), LOCAL.replace("kind", "kindd")).unwrap();
        catalog.refresh();
        assert_eq!(catalog.get("mine").unwrap().profile.version, "22", "the one before stays in force");
        let refused = catalog.refused();
        assert!(refused[0].mistakes.contains("profile.toml:4"), "{}", refused[0].mistakes);

        fs::remove_dir_all(&folder).unwrap();
        catalog.refresh();
        assert!(catalog.get("mine").is_none() && catalog.refused().is_empty());
    }

    #[test]
    fn a_folder_is_called_as_its_profile() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("other");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(FILE), LOCAL).unwrap();
        let catalog = Catalog::open(directory.path().into());
        assert!(catalog.get("mine").is_none() && catalog.get("other").is_none());
        assert!(catalog.refused()[0].mistakes.contains("is called \"mine\", and its folder is not"));
    }
}
