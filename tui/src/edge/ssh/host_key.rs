//! The key that the server is recognised by: made once, kept in a file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use russh::keys::PrivateKey;
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::{Ed25519Keypair, KeypairData};

/// What a private key of Ed25519 is made from (RFC 8032).
const SEED_BYTES: usize = 32;
/// A key of Ed25519 in the format of OpenSSH has about 400; one of RSA some thousands.
const FILE_BYTES_MAX: u64 = 64 << 10;
/// What the mode of a private key may not give: anything to anybody else.
const OTHERS: u32 = 0o077;

/// The key in `path`, which is made if there is no such file.
pub(super) fn load_or_make(path: &Path) -> anyhow::Result<PrivateKey> {
    match load(path) {
        Err(error) if is_missing(&error) => make(path),
        loaded => loaded,
    }
}

fn is_missing(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
}

fn load(path: &Path) -> anyhow::Result<PrivateKey> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("read the host key {shown}"))?;
    let mode = file.metadata()?.mode();
    if mode & OTHERS != 0 {
        bail!("others may use the host key {shown} (mode {:04o}): chmod 0600 {shown}", mode & 0o7777);
    }
    let mut text = String::new();
    file.take(FILE_BYTES_MAX)
        .read_to_string(&mut text)
        .with_context(|| format!("read the host key {shown}"))?;
    let key = PrivateKey::from_openssh(&text).with_context(|| {
        format!("{shown} holds no private key in the format of OpenSSH; without the file another one is made")
    })?;
    if key.is_encrypted() {
        bail!("the host key {shown} has a passphrase, which nobody types at the start of a server");
    }
    Ok(key)
}

/// Makes a key and writes it whole: a power cut leaves no half of it behind.
fn make(path: &Path) -> anyhow::Result<PrivateKey> {
    let mut seed = [0; SEED_BYTES];
    getrandom::fill(&mut seed).context("make a host key")?;
    let key = PrivateKey::new(KeypairData::Ed25519(Ed25519Keypair::from_seed(&seed)), "")?;
    let text = key.to_openssh(LineEnding::LF).context("make a host key")?;
    let written = write_whole(path, text.as_bytes());
    written.with_context(|| format!("write the host key {}", path.display()))?;
    Ok(key)
}

fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part: PathBuf = folder.join(name);
    // What a killed start of the same number left behind.
    let _ = fs::remove_file(&part);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&part, path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_is_made_once_and_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("host_key");
        let made = load_or_make(&path).expect("made");
        assert_eq!(fs::metadata(&path).expect("a file").mode() & 0o7777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
        let loaded = load_or_make(&path).expect("loaded");
        assert_eq!(made.public_key(), loaded.public_key());
    }

    #[test]
    fn a_file_that_is_no_key_of_its_owner_alone_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("host_key");
        load_or_make(&path).expect("made");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("a mode");
        let error = load_or_make(&path).expect_err("others may read it").to_string();
        assert!(error.contains("chmod 0600"), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a mode");
        fs::write(&path, "no key").expect("written");
        assert!(load_or_make(&path).expect_err("no key").to_string().contains("holds no private key"));
        assert_eq!(fs::read_to_string(&path).expect("it stays"), "no key");
    }
}
