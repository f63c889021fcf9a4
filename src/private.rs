//! Files of the state directory that only the daemon reads: written whole or not at all, and refused where others
//! can read them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Why such a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PrivateError {
    /// The system refused.
    #[error("{what} {}", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others can read it.
    #[error("{0} can be read by others (mode {mode:o}): chmod 600 {0}", path.display())]
    Open {
        /// Which file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It is larger than it can be.
    #[error("{} has more than {max} bytes: something else wrote it", path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// How many it can have.
        max: u64,
    },
}

/// What a file holds, at most `max` bytes; `None` if it is not there.
pub fn read(path: &Path, max: u64) -> Result<Option<Vec<u8>>, PrivateError> {
    let failed = |source| PrivateError::File { what: "read", path: path.into(), source };
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    let mode = file.metadata().map_err(failed)?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(PrivateError::Open { path: path.into(), mode });
    }
    let mut bytes = Vec::new();
    file.take(max + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > max {
        return Err(PrivateError::TooLarge { path: path.into(), max });
    }
    Ok(Some(bytes))
}

/// Replaces a file. A crash leaves the one before or the whole of this one, on the disk.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), PrivateError> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let write = || {
        // What a crash has left may have another mode.
        let _ = fs::remove_file(&partial);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&partial, path)?;
        File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
    };
    write().map_err(|source| PrivateError::File { what: "write", path: path.into(), source })
}

/// Removes a file, if it is there; on the disk too.
pub fn remove(path: &Path) -> Result<(), PrivateError> {
    let remove = || match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all(),
    };
    remove().map_err(|source| PrivateError::File { what: "remove", path: path.into(), source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_the_daemons_alone_and_replaced_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.key");
        assert!(read(&path, 9).expect("no file").is_none());
        // What a crash has left behind.
        fs::write(folder.path().join("a.key.partial"), "half").expect("written");
        for text in ["first", "second"] {
            write(&path, text.as_bytes()).expect("written");
            assert_eq!(read(&path, 9).expect("read").as_deref(), Some(text.as_bytes()));
        }
        assert_eq!(fs::metadata(&path).expect("it").mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
        let error = read(&path, 3).expect_err("too large").to_string();
        assert!(error.ends_with("a.key has more than 3 bytes: something else wrote it"), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("changed");
        let error = read(&path, 9).expect_err("open to others").to_string();
        assert!(error.contains("(mode 640): chmod 600 /"), "{error}");
        remove(&path).expect("removed");
        remove(&path).expect("it is gone already");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }
}
