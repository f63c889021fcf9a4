//! The operator's file of public keys: whose holders may log in over SSH. It is read again when it changes.

use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::access::{Listed, Listing, PublicKey, parse_listing};

/// A longer file is no list of people's keys.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// What the mode of the file may not give: writing by anybody else, who could let himself in.
const OTHERS_WRITE: u32 = 0o022;

/// The file as it was last read.
#[derive(Debug)]
pub struct Authorized {
    path: PathBuf,
    read: Mutex<Read>,
}

/// What tells whether a file has changed: its number, its size, seconds and nanoseconds of its change.
type Mark = (u64, u64, i64, i64);

#[derive(Debug, Default)]
struct Read {
    mark: Option<Mark>,
    listing: Listing,
    /// What was said of its absence, to say it once.
    failed: Option<String>,
}

impl Authorized {
    /// The file at a path, which need not be there; nothing is read before somebody asks.
    pub fn new(path: PathBuf) -> Self {
        Self { path, read: Mutex::default() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Every key whose holder may log in, in its order. May read the file.
    pub fn keys(&self) -> Vec<Listed> {
        self.with(|listing| listing.keys.clone())
    }

    /// The comment of a key, if its holder may log in. May read the file.
    pub fn find(&self, key: &PublicKey) -> Option<String> {
        self.with(|listing| listing.find(key).map(str::to_owned))
    }

    /// Whether nobody may log in with a key. May read the file.
    pub fn is_empty(&self) -> bool {
        self.with(|listing| listing.keys.is_empty())
    }

    fn with<T>(&self, ask: impl FnOnce(&Listing) -> T) -> T {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        self.refresh(&mut read);
        ask(&read.listing)
    }

    /// Reads the file again if it has changed. One that cannot be read lets nobody in.
    fn refresh(&self, read: &mut Read) {
        let path = self.path.display();
        match self.load(read.mark) {
            Ok(None) => {}
            Ok(Some((mark, listing))) => {
                for (line, what) in &listing.warnings {
                    tracing::warn!("{path}:{line}: {what}");
                }
                tracing::info!("{path}: {} may log in over SSH", counted(listing.keys.len()));
                *read = Read { mark: Some(mark), listing, failed: None };
            }
            Err(error) => {
                let why = match error.kind() {
                    io::ErrorKind::NotFound => format!("there is no file {path}"),
                    _ => format!("read {path}: {error}"),
                };
                if read.failed.as_ref() != Some(&why) {
                    tracing::warn!("of the operator's keys none may log in over SSH: {why}");
                }
                *read = Read { failed: Some(why), ..Read::default() };
            }
        }
    }

    /// What the file says, unless it is as it was `before`.
    fn load(&self, before: Option<Mark>) -> io::Result<Option<(Mark, Listing)>> {
        if before == Some(mark(&fs::metadata(&self.path)?)) {
            return Ok(None);
        }
        let file = File::open(&self.path)?;
        let metadata = file.metadata()?;
        if metadata.mode() & OTHERS_WRITE != 0 {
            let mode = metadata.mode() & 0o7777;
            return Err(io::Error::other(format!("others may write it (mode {mode:04o})")));
        }
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(io::Error::other(format!("it is larger than {FILE_BYTES_MAX} bytes")));
        }
        Ok(Some((mark(&metadata), parse_listing(&String::from_utf8_lossy(&bytes)))))
    }
}

fn mark(metadata: &Metadata) -> Mark {
    (metadata.ino(), metadata.size(), metadata.ctime(), metadata.ctime_nsec())
}

fn counted(keys: usize) -> String {
    match keys {
        0 => "nobody".into(),
        1 => "one key".into(),
        keys => format!("{keys} keys"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

    #[test]
    fn the_file_is_read_again_when_it_changes() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("authorized_keys");
        let authorized = Authorized::new(path.clone());
        let key = PublicKey::parse(KEY).expect("a key");
        assert!(authorized.is_empty() && authorized.find(&key).is_none());
        fs::write(&path, format!("{KEY} anna\n")).expect("written");
        assert_eq!(authorized.find(&key).as_deref(), Some("anna"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("a mode");
        assert!(authorized.find(&key).is_none(), "anybody could have written it");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("a mode");
        assert!(authorized.find(&key).is_some());
        fs::remove_file(&path).expect("removed");
        assert!(authorized.find(&key).is_none());
    }
}
