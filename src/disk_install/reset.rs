//! Factory reset: a mark on `/var`, which the initrd of the next boot makes anew.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::updates::image_version;

/// Below the root. While it is there, or no filesystem, the initrd makes `/var` anew: a power cut repeats it.
const MARK: &str = "var/lib/appliance/factory-reset";

/// Why the mark was not made.
#[derive(Debug, thiserror::Error)]
pub enum ResetError {
    /// There is no initrd that would see it.
    #[error("this host is not the appliance's image: there is nothing that a factory reset could go back to")]
    NoAppliance,
    /// The file.
    #[error("write {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Makes the mark below `root`; it is on the disk once this returns.
pub fn mark(root: &Path) -> Result<(), ResetError> {
    if image_version(root).is_none() {
        return Err(ResetError::NoAppliance);
    }
    let path = root.join(MARK);
    let write = || {
        let folder = path.parent().unwrap_or(root);
        fs::create_dir_all(folder)?;
        File::create(&path)?.sync_all()?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|source| ResetError::File { path: path.clone(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_is_made_on_an_appliance_and_nowhere_else() {
        let root = tempfile::tempdir().expect("a folder");
        assert!(matches!(mark(root.path()), Err(ResetError::NoAppliance)));
        fs::create_dir_all(root.path().join("usr/lib")).expect("a folder");
        let release = |text: &str| fs::write(root.path().join("usr/lib/os-release"), text).expect("a file");
        release("ID=debian\nIMAGE_ID=other\nIMAGE_VERSION=1\n");
        assert!(matches!(mark(root.path()), Err(ResetError::NoAppliance)));
        assert!(!root.path().join(MARK).exists());
        release("ID=debian\nIMAGE_ID=ironwake\nIMAGE_VERSION=0.1.0\n");
        mark(root.path()).expect("a mark");
        assert!(root.path().join(MARK).exists());
        mark(root.path()).expect("it may be made again");
    }
}
