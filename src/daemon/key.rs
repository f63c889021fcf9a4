//! The key that tokens are derived from: a systemd credential, or a file that only the daemon reads.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context as _, bail};

use crate::operation::SiteKey;

/// In the state directory.
const FILE: &str = "site.key";
const BYTES: usize = 32;

/// Reads the key, or makes it at the first start.
pub(super) fn load(state: &Path) -> anyhow::Result<SiteKey> {
    let path = state.join(FILE);
    match File::open(&path) {
        Ok(file) => read(file, &path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => make(state, &path),
        Err(error) => Err(error).with_context(|| format!("read the key {}", path.display())),
    }
}

fn read(file: File, path: &Path) -> anyhow::Result<SiteKey> {
    let shown = path.display();
    let mode = file.metadata().with_context(|| format!("read the key {shown}"))?.mode() & 0o777;
    if mode & 0o077 != 0 {
        bail!("the key {shown} can be read by others (mode {mode:o}): chmod 600 {shown}");
    }
    let mut bytes = Vec::with_capacity(BYTES + 1);
    file.take(BYTES as u64 + 1).read_to_end(&mut bytes).with_context(|| format!("read the key {shown}"))?;
    match <[u8; BYTES]>::try_from(bytes) {
        Ok(key) => Ok(SiteKey::new(key)),
        Err(bytes) => bail!(
            "the key {shown} has {} bytes, not {BYTES}: restore it, or delete it to end every armed boot",
            bytes.len()
        ),
    }
}

/// Whole or not at all: a key that was cut short by a crash would keep the daemon from starting.
fn make(state: &Path, path: &Path) -> anyhow::Result<SiteKey> {
    let mut key = [0; BYTES];
    File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut key))
        .context("read random bytes")?;
    let partial = path.with_extension("key.partial");
    let write = || {
        let _ = fs::remove_file(&partial);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
        file.write_all(&key)?;
        file.sync_all()?;
        fs::rename(&partial, path)?;
        File::open(state)?.sync_all()
    };
    write().with_context(|| format!("make the key {}", path.display()))?;
    Ok(SiteKey::new(key))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::operation::Purpose;

    #[test]
    fn the_key_is_made_once_and_kept_to_the_daemon() {
        let state = tempfile::tempdir().unwrap();
        let token = |key: SiteKey| key.token(Purpose::Work, "o", 1);
        let first = token(load(state.path()).unwrap());
        assert_eq!(token(load(state.path()).unwrap()), first);
        let path = state.path().join(FILE);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(load(state.path()).unwrap_err().to_string().contains("chmod 600"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, b"short").unwrap();
        assert!(load(state.path()).unwrap_err().to_string().contains("has 5 bytes, not 32"));
    }
}
