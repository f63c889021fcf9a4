//! Bundles as files, and the keys that they are verified by.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use ironwake_api::Millis;

use super::{FileError, OWN_KEYS, SHIPPED_KEYS, failed};
use crate::appliance::bundle::{BUNDLE_BYTES_MAX, BadBundle, Bundle, Manifest};
use crate::artifact::Keyring;

/// Largest file of keys: a key has some kilobytes.
const KEYS_BYTES_MAX: u64 = 1 << 20;
/// Bytes that are read at once.
const PIECE_BYTES: usize = 1 << 20;

/// The keys whose bundles are installed below `root`: the operator's, or else those of the image.
///
/// Keys that others than root may write are refused, for they would install what those want.
pub fn keyring(root: &Path) -> Result<Keyring, FileError> {
    let own = root.join(OWN_KEYS);
    let path = match own.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => root.join(SHIPPED_KEYS),
        _ => own,
    };
    let read = || {
        let file =
            OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(&path)?;
        let metadata = file.metadata()?;
        let owner = metadata.uid();
        // Root's, or in a test that of whoever runs it.
        if (owner != 0 && owner != nix::unistd::geteuid().as_raw()) || metadata.mode() & 0o022 != 0 {
            let why = "others than root may write it: chown root, chmod 644";
            return Err(io::Error::other(why));
        }
        let mut bytes = Vec::new();
        file.take(KEYS_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > KEYS_BYTES_MAX {
            return Err(io::Error::other(format!("it has more than {KEYS_BYTES_MAX} bytes")));
        }
        Keyring::parse(&bytes).map_err(io::Error::other)
    };
    read().map_err(failed("use the keys of updates in", &path))
}

/// Opens a bundle: a regular file, and no link that leads to one.
pub fn open(path: &Path) -> Result<BufReader<File>, FileError> {
    let open = || {
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        if metadata.len() > BUNDLE_BYTES_MAX {
            return Err(io::Error::other(format!(
                "it has more than the {BUNDLE_BYTES_MAX} bytes of an update"
            )));
        }
        Ok(BufReader::with_capacity(PIECE_BYTES, file))
    };
    open().map_err(failed("read", path))
}

/// Reads all of a bundle, and says what is in it and who signed it.
pub fn check_stream(source: impl Read, keys: &Keyring, now: Millis) -> Result<(Manifest, String), BadBundle> {
    let mut bundle = Bundle::open(source, keys, now)?;
    while bundle.next_file(|_| Ok(io::sink()))?.is_some() {}
    Ok((bundle.manifest().clone(), bundle.signer().to_owned()))
}

/// Reads all of the bundle at `path`, as [`check_stream`].
pub fn check_file(path: &Path, keys: &Keyring, now: Millis) -> Result<(Manifest, String), BadBundle> {
    let source = open(path).map_err(|error| BadBundle::Read(io::Error::other(told(&error))))?;
    check_stream(source, keys, now)
}

/// An error with its causes.
pub(super) fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
