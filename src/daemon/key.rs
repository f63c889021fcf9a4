//! The key that tokens of operations are derived from: a file that only the daemon reads.

use std::path::Path;

use anyhow::{Context as _, bail};

use crate::operation::SiteKey;
use crate::private;

/// In the state directory.
const FILE: &str = "site.key";
const BYTES: usize = 32;
/// More than it ever has, so that the message says how many there are.
const BYTES_MAX: u64 = 4096;

/// Reads the key, or makes it at the first start.
pub(super) fn load(state: &Path) -> anyhow::Result<SiteKey> {
    let path = state.join(FILE);
    let Some(bytes) = private::read(&path, BYTES_MAX).context("read the key")? else { return make(&path) };
    match <[u8; BYTES]>::try_from(bytes) {
        Ok(key) => Ok(SiteKey::new(key)),
        Err(bytes) => bail!(
            "the key {} has {} bytes, not {BYTES}: restore it, or delete it to end every armed boot",
            path.display(),
            bytes.len()
        ),
    }
}

fn make(path: &Path) -> anyhow::Result<SiteKey> {
    let mut key = [0; BYTES];
    getrandom::fill(&mut key).context("take random bytes")?;
    private::write(path, &key).context("make the key")?;
    Ok(SiteKey::new(key))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

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
        assert!(format!("{:#}", load(state.path()).unwrap_err()).contains("chmod 600"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, b"short").unwrap();
        assert!(load(state.path()).unwrap_err().to_string().contains("has 5 bytes, not 32"));
    }
}
