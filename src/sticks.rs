//! Public keys on USB sticks. Others mount the sticks, read-only (`systemd/`): here their files are looked at, as a stranger's.

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ironwake_api::{FieldProblem, SshKeyFile, SshKeyFound, SshKeyStick};
use nix::errno::Errno;
use nix::sys::stat::{major, minor};
use tokio::sync::Semaphore;

use crate::access::{ADDED_KEYS_MAX, parse_added};

/// Where the file systems of sticks are mounted, each in a folder of its own.
pub const FOLDER: &str = "/run/ironwake-sticks";
/// What udev knows of devices, by their numbers: labels are there. Of its lines those with `E:` are properties (udev(7)).
const UDEV: &str = "/run/udev/data";
const UDEV_BYTES_MAX: u64 = 64 << 10;
/// File systems that are looked at: those of a hub full of sticks.
const STICKS_MAX: usize = 16;
/// Names of one folder that are looked at; a stick with more has its keys in the folder `ironwake`.
const NAMES_MAX: usize = 4096;
/// Files of one folder that are read.
const FILES_MAX: usize = 32;
/// A longer file is no list of people's keys.
const FILE_BYTES_MAX: u64 = 64 << 10;
/// How long a look may take, with the wait for the one before: sticks are slow, and broken ones never answer.
const LOOK_TIME_MAX: Duration = Duration::from_secs(15);
/// The list of keys, as OpenSSH calls it.
const LIST: &str = "authorized_keys";
/// What names of public keys end with.
const ENDING: &str = "pub";
/// The only folder that is looked into, beside the topmost one.
const BELOW: &str = "ironwake";

/// The sticks that are plugged in.
#[derive(Debug)]
pub struct Sticks {
    folder: PathBuf,
    /// One look at a time: a stick that does not answer holds up one thread, and no more.
    turn: Arc<Semaphore>,
}

/// Why sticks cannot be looked at.
#[derive(Debug, thiserror::Error)]
#[error("a USB stick has not answered within {} s: pull it out, or wait", LOOK_TIME_MAX.as_secs())]
pub struct SticksError;

impl Sticks {
    /// Those whose file systems are mounted in folders of this one.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, turn: Arc::new(Semaphore::new(1)) }
    }

    /// Where they are mounted.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Every stick, by the name of its folder, and the keys on it; none counts as listed.
    pub async fn look(&self) -> Result<Vec<SshKeyStick>, SticksError> {
        self.ask(look).await
    }

    /// Updates of the appliance on sticks, with their sizes: files whose names end so, on a stick or in its folder `ironwake`,
    /// each as `STICK/FILE` or `STICK/ironwake/FILE`.
    pub async fn bundles(&self, ending: &'static str) -> Result<Vec<(String, u64)>, SticksError> {
        self.ask(move |folder| bundles(folder, ending)).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Path) -> T + Send + 'static,
    ) -> Result<T, SticksError> {
        let looked = async {
            let turn = self.turn.clone().acquire_owned().await.map_err(|_| SticksError)?;
            let folder = self.folder.clone();
            let look = move || {
                let found = look(&folder);
                // Given back by the thread, not by whoever waits for it.
                drop(turn);
                found
            };
            tokio::task::spawn_blocking(look).await.map_err(|_| SticksError)
        };
        tokio::time::timeout(LOOK_TIME_MAX, looked).await.map_err(|_| SticksError)?
    }
}

fn bundles(folder: &Path, ending: &str) -> Vec<(String, u64)> {
    let (sticks, _) = names(folder, |_| true).unwrap_or_default();
    let mut found = Vec::new();
    for stick in sticks.iter().filter(|name| is_folder(&folder.join(name))).take(STICKS_MAX) {
        for below in ["", BELOW] {
            let place = folder.join(stick).join(below);
            let wanted = |name: &str| {
                !name.starts_with('.') && Path::new(name).extension().is_some_and(|end| end == ending)
            };
            let (files, _) = if is_folder(&place) {
                names(&place, wanted).unwrap_or_default()
            } else {
                Default::default()
            };
            for file in files.iter().take(FILES_MAX) {
                let metadata =
                    fs::symlink_metadata(place.join(file)).ok().filter(|metadata| metadata.is_file());
                let shown = if below.is_empty() {
                    format!("{stick}/{file}")
                } else {
                    format!("{stick}/{below}/{file}")
                };
                found.extend(metadata.map(|metadata| (shown, metadata.len())));
            }
        }
    }
    found
}

fn look(folder: &Path) -> Vec<SshKeyStick> {
    let (names, _) = names(folder, |_| true).unwrap_or_default();
    let folders = names.into_iter().filter(|name| is_folder(&folder.join(name)));
    folders.take(STICKS_MAX).map(|name| stick(&folder.join(&name), &name)).collect()
}

fn stick(root: &Path, name: &str) -> SshKeyStick {
    let mut stick = SshKeyStick {
        label: label(root).unwrap_or_else(|| name.to_owned()),
        files: Vec::new(),
        problem: None,
    };
    for below in ["", BELOW] {
        let folder = root.join(below);
        if !is_folder(&folder) {
            continue;
        }
        match names(&folder, |name| is_key(name) || (below.is_empty() && name == LIST)) {
            Ok((names, all)) => {
                if !all || names.len() > FILES_MAX {
                    let what = if below.is_empty() { "the stick" } else { below };
                    stick.problem =
                        Some(format!("not every file of {what} was looked at: there are too many"));
                }
                for name in names.iter().take(FILES_MAX) {
                    let keys: usize = stick.files.iter().map(|file| file.keys.len()).sum();
                    if keys >= ADDED_KEYS_MAX {
                        stick.problem =
                            Some(format!("not every file was looked at: there are {keys} keys already"));
                        break;
                    }
                    let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
                    stick.files.push(file(&folder.join(name), path));
                }
            }
            Err(error) => stick.problem = Some(format!("it cannot be read: {error}")),
        }
    }
    stick.files.sort_by(|a, b| a.path.cmp(&b.path));
    stick
}

/// What macOS leaves beside each file begins with a dot.
fn is_key(name: &str) -> bool {
    let ending = Path::new(name).extension().is_some_and(|ending| ending.eq_ignore_ascii_case(ENDING));
    ending && !name.starts_with('.')
}

/// A folder itself, not a link to one.
fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

/// Names in a folder that are wanted, in their order, and whether all were looked at.
fn names(folder: &Path, wanted: impl Fn(&str) -> bool) -> io::Result<(Vec<String>, bool)> {
    let mut entries = fs::read_dir(folder)?;
    let mut names = Vec::new();
    for entry in entries.by_ref().take(NAMES_MAX) {
        let Ok(name) = entry?.file_name().into_string() else { continue };
        if wanted(&name) && !name.chars().any(ironwake_api::human::steers) {
            names.push(name);
        }
    }
    names.sort();
    Ok((names, entries.next().is_none()))
}

fn file(path: &Path, shown: String) -> SshKeyFile {
    let text = match read(path) {
        Ok(text) => text,
        Err(message) => {
            let problems = vec![FieldProblem { field: "file".into(), message }];
            return SshKeyFile { path: shown, keys: Vec::new(), problems };
        }
    };
    let listing = parse_added(&text);
    let found = listing.keys.into_iter().map(|listed| SshKeyFound {
        key: listed.key.shown(&listed.comment),
        line: format!("{} {}", listed.key, listed.comment).trim_end().to_owned(),
        listed: false,
    });
    let problem = |(line, message)| FieldProblem { field: format!("line {line}"), message };
    SshKeyFile {
        path: shown,
        keys: found.collect(),
        problems: listing.warnings.into_iter().map(problem).collect(),
    }
}

/// The text of a file that is one: no link is followed, and no pipe or device waited for.
fn read(path: &Path) -> Result<String, String> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = opened.map_err(|error| match error.raw_os_error() {
        Some(code) if code == Errno::ELOOP as i32 => "it is a symbolic link, which is not followed".into(),
        _ => format!("it cannot be opened: {error}"),
    })?;
    let metadata = file.metadata().map_err(|error| format!("it cannot be looked at: {error}"))?;
    if !metadata.is_file() {
        return Err("it is no regular file".into());
    }
    let mut bytes = Vec::new();
    let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("it cannot be read: {error}"))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("it is larger than {FILE_BYTES_MAX} bytes"));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The label of the file system that is mounted here, if udev knows one.
fn label(root: &Path) -> Option<String> {
    let device = fs::metadata(root).ok()?.dev();
    let known = Path::new(UDEV).join(format!("b{}:{}", major(device), minor(device)));
    let mut text = String::new();
    fs::File::open(known).ok()?.take(UDEV_BYTES_MAX).read_to_string(&mut text).ok()?;
    label_in(&text)
}

fn label_in(properties: &str) -> Option<String> {
    let label = properties.lines().find_map(|line| line.strip_prefix("E:ID_FS_LABEL="))?;
    let label: String = label.chars().filter(|c| !ironwake_api::human::steers(*c)).collect();
    (!label.is_empty()).then_some(label)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

    /// A stick with files, and what is found on it.
    async fn found(make: impl FnOnce(&Path)) -> Vec<SshKeyStick> {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("sdb1");
        fs::create_dir_all(root.join("ironwake")).expect("a folder");
        make(&root);
        Sticks::new(folder.path().to_owned()).look().await.expect("looked at")
    }

    fn put(path: PathBuf, text: &str) {
        fs::write(path, text).expect("written");
    }

    #[tokio::test]
    async fn keys_are_where_people_put_them() {
        let found = found(|root| {
            put(root.join("authorized_keys"), &format!("{KEY} anna@laptop\nnonsense\n"));
            put(root.join("id_ed25519.PUB"), &format!("{KEY}\r\n"));
            put(root.join("ironwake/anna.pub"), KEY);
            put(root.join("._id_ed25519.pub"), "of macOS");
            put(root.join("ironwake/authorized_keys"), KEY);
            put(root.join("notes.txt"), KEY);
            fs::create_dir_all(root.join("deep/ironwake")).expect("a folder");
            put(root.join("deep/ironwake/anna.pub"), KEY);
        });
        let found = found.await;
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].label.as_str(), &found[0].problem), ("sdb1", &None));
        let files: Vec<_> = found[0].files.iter().map(|file| (file.path.as_str(), file.keys.len())).collect();
        assert_eq!(files, [("authorized_keys", 1), ("id_ed25519.PUB", 1), ("ironwake/anna.pub", 1)]);
        let list = &found[0].files[0];
        assert_eq!((list.keys[0].line.clone(), list.keys[0].listed), (format!("{KEY} anna@laptop"), false));
        assert_eq!(list.problems[0].field, "line 2");
    }

    #[tokio::test]
    async fn what_is_no_file_is_told_and_not_followed_or_waited_for() {
        let found = found(|root| {
            symlink("/etc/passwd", root.join("a.pub")).expect("a link");
            mkfifo(&root.join("b.pub"), Mode::S_IRUSR).expect("a pipe");
            fs::create_dir(root.join("c.pub")).expect("a folder");
            put(root.join("d.pub"), &"x".repeat(FILE_BYTES_MAX as usize + 1));
            put(root.join("e.pub"), "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n");
            fs::remove_dir(root.join("ironwake")).expect("removed");
            symlink("/etc", root.join("ironwake")).expect("a link");
        });
        let found = found.await;
        let told: Vec<&str> = found[0].files.iter().map(|file| file.problems[0].message.as_str()).collect();
        let expected = ["symbolic link", "no regular file", "no regular file", "larger than", "private key"];
        assert_eq!(told.len(), expected.len(), "{told:?}");
        for (told, expected) in told.iter().zip(expected) {
            assert!(told.contains(expected), "{told}");
        }
    }

    #[tokio::test]
    async fn a_stick_with_too_much_is_told() {
        let found = found(|root| {
            (0..=FILES_MAX).for_each(|number| put(root.join(format!("{number:03}.pub")), KEY));
        });
        let found = found.await;
        assert_eq!(found[0].files.len(), FILES_MAX);
        assert!(found[0].problem.as_ref().is_some_and(|why| why.contains("too many")), "{found:?}");
        let nothing = Sticks::new("/nonexistent".into()).look().await.expect("no stick");
        assert!(nothing.is_empty());
    }

    #[test]
    fn labels_are_udevs() {
        let label = |text: &str| label_in(text);
        assert_eq!(label("I:12\nE:ID_FS_TYPE=vfat\nE:ID_FS_LABEL=KEYS\n").as_deref(), Some("KEYS"));
        assert_eq!(label("E:ID_FS_LABEL_ENC=a\nE:ID_FS_LABEL=\n"), None);
    }
}
