//! Makes a bundle of the parts of a version, and signs it.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use pgp::composed::{ArmorOptions, Deserializable as _, DetachedSignature, SignedSecretKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::types::Password;
use rand_core::{CryptoRng, RngCore};
use sha2::{Digest as _, Sha256};

use super::{FileError, failed};
use crate::appliance::Version;
use crate::appliance::bundle::{
    BadBundle, Listed, MANIFEST, Manifest, PARTS, SIGNATURE, write_header, write_padding, write_trailer,
};
use crate::artifact::Digest;

/// A squashfs is packed already: more effort makes it no smaller.
const ZSTD_LEVEL: i32 = 3;
/// Largest secret key.
const KEY_BYTES_MAX: u64 = 1 << 20;

/// Why no bundle is made.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The parts make no bundle.
    #[error(transparent)]
    Bundle(#[from] BadBundle),
    /// The parts are those of another version.
    #[error(
        "{path} is of version {found}, and the update is to be of {wanted}: `./dev image VERSION={wanted}` makes its parts"
    )]
    Version {
        /// What GRUB starts it by.
        path: String,
        /// The version that it names.
        found: String,
        /// The one that was asked for.
        wanted: Version,
    },
    /// The key does not sign.
    #[error("sign with {path}: {why}")]
    Key {
        /// The key's file.
        path: String,
        /// Why.
        why: String,
    },
}

/// Randomness of the system, as OpenPGP's library takes it.
struct SystemRandom;

impl RngCore for SystemRandom {
    fn next_u32(&mut self) -> u32 {
        rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        rand_core::impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the kernel gives random bytes once it has booted");
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl CryptoRng for SystemRandom {}

/// Makes the bundle of `version` at `output` of the parts in `folder`: `root.squashfs` and the others of [`PARTS`]. Signs it with
/// the secret key in the file `key` (`gpg --export-secret-keys --armor KEY`), which `password` opens. Also writes the manifest and
/// its signatures beside it, which is what a channel serves. A file that is there is replaced.
pub fn make(
    version: &Version,
    built: u64,
    folder: &Path,
    key: &Path,
    password: &str,
    output: &Path,
) -> Result<Manifest, MakeError> {
    check_version(version, &folder.join("boot.cfg"))?;
    let signer = read_key(key)?;
    let packed = tempfile::tempdir_in(
        output.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")),
    )
    .map_err(failed("make a folder beside", output))?;
    let mut files = Vec::new();
    let mut sources = Vec::new();
    for part in PARTS {
        let name = part.name.strip_suffix(".zst").filter(|_| part.packed).unwrap_or(part.name);
        let plain = folder.join(name);
        let unpacked_size = fs::metadata(&plain).map_err(failed("read", &plain))?.len();
        let source = if part.packed { pack(&plain, &packed.path().join(part.name))? } else { plain };
        let (size, sha256) = measure(&source)?;
        files.push(Listed { part: *part, size, sha256, unpacked_size });
        sources.push(source);
    }
    let manifest = Manifest { version: version.clone(), built, files };
    let text = manifest.encode();
    // What could not be installed is not made.
    Manifest::parse(&text)?;
    let signature = sign(&signer, password, &text)
        .map_err(|why| MakeError::Key { path: key.display().to_string(), why })?;
    let written = packed.path().join("bundle");
    write(&written, &manifest, &text, &signature, &sources)?;
    fs::rename(&written, output).map_err(failed("write", output))?;
    for (name, bytes) in [(MANIFEST, &text), (SIGNATURE, &signature)] {
        let path = output.with_file_name(name);
        fs::write(&path, bytes).map_err(failed("write", &path))?;
    }
    Ok(manifest)
}

/// The parts name their version themselves, and find their root by it.
fn check_version(version: &Version, boot_config: &Path) -> Result<(), MakeError> {
    let text = fs::read_to_string(boot_config).map_err(failed("read", boot_config))?;
    let found = text.lines().find_map(|line| line.strip_prefix("version="));
    match found {
        Some(found) if found != version.as_str() => Err(MakeError::Version {
            path: boot_config.display().to_string(),
            found: found.to_owned(),
            wanted: version.clone(),
        }),
        _ => Ok(()),
    }
}

fn write(
    path: &Path,
    manifest: &Manifest,
    text: &[u8],
    signature: &[u8],
    sources: &[std::path::PathBuf],
) -> Result<(), FileError> {
    let write = || {
        let mut to = BufWriter::with_capacity(1 << 20, File::create(path)?);
        for (name, bytes) in [(MANIFEST, text), (SIGNATURE, signature)] {
            write_header(&mut to, name, bytes.len() as u64, manifest.built)?;
            to.write_all(bytes)?;
            write_padding(&mut to, bytes.len() as u64)?;
        }
        for (listed, source) in manifest.files.iter().zip(sources) {
            write_header(&mut to, listed.part.name, listed.size, manifest.built)?;
            let copied = io::copy(&mut File::open(source)?.take(listed.size), &mut to)?;
            if copied != listed.size {
                return Err(io::Error::other(format!("{} became shorter", source.display())));
            }
            write_padding(&mut to, listed.size)?;
        }
        write_trailer(&mut to)?;
        to.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    };
    write().map_err(failed("write", path))
}

fn pack(plain: &Path, packed: &Path) -> Result<std::path::PathBuf, FileError> {
    let pack = || {
        let mut source = File::open(plain)?;
        let target = File::create(packed)?;
        let mut encoder = zstd::stream::write::Encoder::new(target, ZSTD_LEVEL)?;
        encoder.include_checksum(true)?;
        io::copy(&mut source, &mut encoder)?;
        encoder.finish().map(drop)
    };
    pack().map_err(failed("pack", plain))?;
    Ok(packed.to_owned())
}

fn measure(path: &Path) -> Result<(u64, Digest), FileError> {
    let measure = || {
        let mut file = File::open(path)?;
        let (mut hash, mut piece, mut size) = (Sha256::new(), vec![0; 1 << 20], 0);
        loop {
            match file.read(&mut piece)? {
                0 => return Ok((size, Digest::from(<[u8; 32]>::from(hash.finalize())))),
                count => {
                    hash.update(&piece[..count]);
                    size += count as u64;
                }
            }
        }
    };
    measure().map_err(failed("read", path))
}

fn read_key(path: &Path) -> Result<SignedSecretKey, MakeError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(KEY_BYTES_MAX).read_to_end(&mut bytes));
    read.map_err(failed("read the key", path))?;
    let key = SignedSecretKey::from_reader_many(&bytes[..])
        .ok()
        .and_then(|(mut keys, _)| keys.next())
        .and_then(Result::ok);
    key.ok_or_else(|| MakeError::Key {
        path: path.display().to_string(),
        why:
            "it has no OpenPGP secret key that can be read: `gpg --export-secret-keys --armor KEY` writes one"
                .into(),
    })
}

/// Signs with the newest subkey that is made for it, or else with the key itself, as GnuPG does.
fn sign(key: &SignedSecretKey, password: &str, text: &[u8]) -> Result<Vec<u8>, String> {
    let password = Password::from(password);
    let signs = |subkey: &&pgp::composed::SignedSecretSubKey| {
        subkey.signatures.iter().any(|word| word.key_flags().sign())
    };
    let made = match key.secret_subkeys.iter().rfind(signs) {
        Some(subkey) => DetachedSignature::sign_binary_data(
            SystemRandom,
            &subkey.key,
            &password,
            HashAlgorithm::Sha512,
            text,
        ),
        None => DetachedSignature::sign_binary_data(
            SystemRandom,
            &key.primary_key,
            &password,
            HashAlgorithm::Sha512,
            text,
        ),
    };
    let signature = made.map_err(|error| error.to_string())?;
    signature.to_armored_bytes(ArmorOptions::default()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_another_version_make_no_bundle() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("boot.cfg");
        fs::write(&config, "version=0.1.0\nbuilt=1\ncommand_line=\"quiet\"\n").expect("written");
        let check = |version: &str| check_version(&version.parse().expect("a version"), &config);
        check("0.1.0").expect("its own");
        let error = check("0.2.0").expect_err("another").to_string();
        assert!(error.contains("is of version 0.1.0, and the update is to be of 0.2.0"), "{error}");
    }
}
