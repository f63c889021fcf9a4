//! The files that give the appliance's interfaces their addresses: the one directory of the system's settings that the
//! daemon may write, and which systemd-networkd reads. Everything here may block.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

/// Where the files are. It belongs to the daemon's user.
const FOLDER: &str = "/etc/ironwake/network";
/// Where systemd-networkd looks for them (systemd.network(5)): a link to the folder.
const SEARCHED: &str = "/usr/local/lib/systemd/network";
/// Names another folder.
const FOLDER_VARIABLE: &str = "IRONWAKE_NETWORK";
/// How the daemon's files begin and end, with an interface between (`appliance::file_name`).
const PREFIX: &str = "05-ironwake-";
/// See [`PREFIX`].
const SUFFIX: &str = ".network";
/// systemd-networkd is another user.
const MODE: u32 = 0o644;

/// Files of networks.
#[derive(Debug, Clone)]
pub struct NetworkFiles {
    folder: PathBuf,
    searched: PathBuf,
}

impl NetworkFiles {
    /// Where the appliance has them, or where the environment says that they are looked for.
    pub fn installed() -> Self {
        match env::var_os(FOLDER_VARIABLE) {
            Some(folder) => Self::at(&folder, &folder),
            None => Self::at(FOLDER, SEARCHED),
        }
    }

    /// In a folder that is looked for under another name.
    pub fn at(folder: impl AsRef<Path>, searched: impl AsRef<Path>) -> Self {
        Self { folder: folder.as_ref().into(), searched: searched.as_ref().into() }
    }

    /// Why what is written there would have no effect; nothing where it has.
    pub fn unusable(&self) -> Option<String> {
        let (folder, searched) = (self.folder.display(), self.searched.display());
        if access(&self.folder, AccessFlags::W_OK | AccessFlags::X_OK).is_err() {
            let right = "it is made by systemd-tmpfiles for the user ironwake";
            return Some(format!("{folder} is not there, or the daemon may not write it; {right}"));
        }
        match (self.searched.canonicalize(), self.folder.canonicalize()) {
            (Ok(found), Ok(own)) if found == own => None,
            _ => Some(format!("systemd-networkd would not find it: {searched} should be a link to {folder}")),
        }
    }

    /// What a file holds; nothing where there is none.
    pub fn read(&self, name: &str) -> io::Result<Option<String>> {
        match fs::read_to_string(self.folder.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some).map_err(|error| told("read", &self.folder.join(name), &error)),
        }
    }

    /// Every file that is the daemon's, by name; none where the folder is not there.
    pub fn all(&self) -> io::Result<Vec<(String, String)>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| told("read", &self.folder, &error))?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if is_own(&name)
                && let Some(text) = self.read(&name)?
            {
                found.push((name, text));
            }
        }
        found.sort();
        Ok(found)
    }

    /// Has a file hold this, or removes it. A crash leaves the one before or the whole of this one, on the disk.
    pub fn put(&self, name: &str, text: Option<&str>) -> io::Result<()> {
        let path = self.folder.join(name);
        let put = || {
            match text {
                Some(text) => write(&path, text)?,
                None => match fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                },
            }
            File::open(&self.folder)?.sync_all()
        };
        put().map_err(|error| told("write", &path, &error))
    }
}

/// Whether a file is one of those that the daemon writes.
pub fn is_own(name: &str) -> bool {
    interface_of(name).is_some()
}

/// The interface whose file has this name, if it is one that the daemon writes.
pub fn interface_of(name: &str) -> Option<&str> {
    let interface = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    (!interface.is_empty() && !interface.contains(['/', '\0'])).then_some(interface)
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    // systemd-networkd reads what ends with `.network`, and so not what is half there.
    let partial = path.with_extension("partial");
    let _ = fs::remove_file(&partial);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&partial)?;
    file.set_permissions(fs::Permissions::from_mode(MODE))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&partial, path)
}

fn told(what: &str, path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_is_there_whole_for_everybody_or_not_at_all() {
        let root = tempfile::tempdir().expect("a folder");
        let (folder, searched) = (root.path().join("ours"), root.path().join("theirs"));
        let files = NetworkFiles::at(&folder, &searched);
        assert!(files.unusable().expect("why").contains("systemd-tmpfiles"));
        fs::create_dir(&folder).expect("made");
        assert!(files.unusable().expect("why").contains("should be a link to"));
        symlink(&folder, &searched).expect("made");
        assert_eq!(files.unusable(), None);
        assert_eq!(files.read("a.network").expect("none"), None);
        for text in ["first", "second"] {
            files.put("a.network", Some(text)).expect("written");
            assert_eq!(files.read("a.network").expect("read").as_deref(), Some(text));
        }
        let mode = fs::metadata(folder.join("a.network")).expect("it").permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
        files.put("a.network", None).expect("removed");
        files.put("a.network", None).expect("it is gone already");
        assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 0);
    }
}
