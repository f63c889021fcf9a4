//! The key that tokens of operations are derived from: a credential that systemd passes, or a file that only the daemon
//! reads.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use zeroize::Zeroizing;

use crate::operation::SiteKey;
use crate::private;

/// In the state directory.
const FILE: &str = "site.key";
/// The credential by which a unit passes the key.
pub(super) const CREDENTIAL: &str = FILE;
const BYTES: usize = 32;
/// More than it ever has, so that the message says how many there are.
const BYTES_MAX: u64 = 4096;

/// Takes the key from the credential if the unit passes one; else reads the file, or makes it at the first start.
///
/// Two that differ are refused. Running operations have their tokens and sealed keys by the file's, and the unit says
/// the credential's: with either taken in silence, those operations would end, or the key that the operator replaced
/// would stay in force.
pub(super) fn load(state: &Path, credential: Option<&Path>) -> anyhow::Result<SiteKey> {
    let path = state.join(FILE);
    let kept = match private::read(&path, BYTES_MAX).context("read the key")? {
        Some(bytes) => Some(
            key(bytes, &path).context("restore it from a copy, or delete it, which ends every armed boot")?,
        ),
        None => None,
    };
    let Some(credential) = credential else {
        return match kept {
            Some(key) => Ok(SiteKey::new(*key)),
            None => make(&path),
        };
    };
    let mut bytes = Vec::new();
    // Its mode is not looked at: systemd lets the unit's user in by an access list, which shows as rights of the group.
    let read = File::open(credential).and_then(|file| file.take(BYTES_MAX).read_to_end(&mut bytes));
    read.with_context(|| format!("read the credential {}", credential.display()))?;
    let passed = key(bytes, credential)
        .with_context(|| format!("the credential is made of {BYTES} random bytes, which are not text"))?;
    if kept.is_some_and(|kept| kept != passed) {
        bail!(
            "the credential {CREDENTIAL} is another key than {}: delete the file if no operation runs, which ends every \
             armed boot, or make the credential of the file's bytes, which keeps them",
            path.display()
        );
    }
    Ok(SiteKey::new(*passed))
}

/// The key that a file holds.
fn key(bytes: Vec<u8>, path: &Path) -> anyhow::Result<Zeroizing<[u8; BYTES]>> {
    let bytes = Zeroizing::new(bytes);
    let key = bytes.as_slice().try_into().map(Zeroizing::new);
    ensure!(key.is_ok(), "the key {} has {} bytes, not {BYTES}", path.display(), bytes.len());
    Ok(key?)
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

    fn token(key: anyhow::Result<SiteKey>) -> String {
        key.expect("a key").token(Purpose::Work, "o", 1)
    }

    fn refused(state: &Path, credential: Option<&Path>) -> String {
        // A key is not shown, so there is no `expect_err`.
        let Err(error) = load(state, credential) else { panic!("the key is taken") };
        format!("{error:#}")
    }

    #[test]
    fn the_key_is_made_once_and_kept_to_the_daemon() {
        let state = tempfile::tempdir().unwrap();
        let first = token(load(state.path(), None));
        assert_eq!(token(load(state.path(), None)), first);
        let path = state.path().join(FILE);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(refused(state.path(), None).contains("chmod 600"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, b"short").unwrap();
        let said = refused(state.path(), None);
        assert!(said.contains("delete it") && said.ends_with("has 5 bytes, not 32"), "{said}");
    }

    #[test]
    fn a_credential_is_taken_in_place_of_a_file() {
        let (state, passed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let credential = passed.path().join(CREDENTIAL);
        let expected = token(Ok(SiteKey::new([7; BYTES])));
        for (bytes, said) in
            [(vec![7; 33], "has 33 bytes, not 32"), (vec![7; 9999], "has 4096 bytes, not 32")]
        {
            fs::write(&credential, bytes).unwrap();
            let refused = refused(state.path(), Some(&credential));
            assert!(refused.contains("32 random bytes") && refused.ends_with(said), "{refused}");
        }
        fs::write(&credential, [7; BYTES]).unwrap();
        // As systemd leaves it.
        fs::set_permissions(&credential, fs::Permissions::from_mode(0o440)).unwrap();
        assert_eq!(token(load(state.path(), Some(&credential))), expected);
        assert_eq!(fs::read_dir(state.path()).unwrap().count(), 0, "no file is made");
        fs::remove_file(&credential).unwrap();
        assert!(refused(state.path(), Some(&credential)).contains("read the credential /"));
    }

    #[test]
    fn a_credential_beside_a_file_has_to_be_the_same_key() {
        let (state, passed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (path, credential) = (state.path().join(FILE), passed.path().join(CREDENTIAL));
        let first = token(load(state.path(), None));
        fs::write(&credential, [7; BYTES]).unwrap();
        let said = refused(state.path(), Some(&credential));
        assert!(said.contains("another key than /") && said.contains("delete the file"), "{said}");
        assert_eq!(token(load(state.path(), None)), first, "nothing was changed");
        fs::copy(&path, &credential).unwrap();
        assert_eq!(token(load(state.path(), Some(&credential))), first);
        fs::write(&path, b"short").unwrap();
        assert!(refused(state.path(), Some(&credential)).ends_with("has 5 bytes, not 32"));
    }
}
