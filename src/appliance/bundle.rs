//! The update bundle: one version of the appliance in a POSIX tar (ustar), whose list of files comes first and is signed.
//!
//! Members, each once and in this order: `manifest.json`, `manifest.json.asc` (detached OpenPGP signatures of it), then the files
//! that the manifest lists. A bundle is read as a stream: a name, a size or a digest that is not as the manifest has it ends the
//! reading there, and nothing that is not in the manifest is ever handed out.

use std::io::{self, Read, Write};

use ironwake_api::Millis;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Version;
use crate::artifact::{BadSignature, Digest, Keyring, SIGNATURE_BYTES_MAX};

/// What the appliance runs on; bundles name it.
pub const ARCHITECTURE: &str = "amd64";
/// Largest list of files: six hundred bytes are usual.
pub const MANIFEST_BYTES_MAX: usize = 64 << 10;
/// A root slot of the disk: more does not fit, packed or not.
pub const SLOT_BYTES: u64 = 512 << 20;
/// What kernels and initrds of one version may take together: the ESP, 160 MiB, holds two.
pub const ESP_BYTES_MAX: u64 = 76 << 20;
/// GRUB's fragment is some lines.
const BOOT_CONFIG_BYTES_MAX: u64 = 64 << 10;
/// Largest bundle: its parts, and what tar adds.
pub const BUNDLE_BYTES_MAX: u64 = SLOT_BYTES + ESP_BYTES_MAX + (1 << 20);
/// The members before the files.
pub const MANIFEST: &str = "manifest.json";
/// The signatures of [`MANIFEST`].
pub const SIGNATURE: &str = "manifest.json.asc";
/// How such a file's name ends.
pub const ENDING: &str = "update";

const BLOCK: usize = 512;
/// tar fills its last record; GNU tar's has 20 blocks.
const TRAILER_BLOCKS_MAX: usize = 40;
/// Sizes in eleven octal digits end here.
const OCTAL_SIZE_MAX: u64 = 1 << 33;

/// One file of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Its name in the bundle.
    pub name: &'static str,
    /// What stands behind `ironwake_VERSION.` where systemd-sysupdate takes it from.
    pub ending: &'static str,
    /// Whether it is packed with zstd.
    pub packed: bool,
    /// Largest size, in the bundle and unpacked.
    pub bytes_max: u64,
}

/// Files of a version, in their order.
pub const PARTS: &[Part] = &[
    Part { name: "root.squashfs.zst", ending: "root", packed: true, bytes_max: SLOT_BYTES },
    Part { name: "kernel.efi", ending: "efi", packed: false, bytes_max: ESP_BYTES_MAX },
    Part { name: "vmlinuz", ending: "vmlinuz", packed: false, bytes_max: ESP_BYTES_MAX },
    Part { name: "initrd", ending: "initrd", packed: false, bytes_max: ESP_BYTES_MAX },
    Part { name: "boot.cfg", ending: "cfg", packed: false, bytes_max: BOOT_CONFIG_BYTES_MAX },
];

/// Why a bundle is not taken.
#[derive(Debug, thiserror::Error)]
pub enum BadBundle {
    /// It cannot be read.
    #[error("read the bundle")]
    Read(#[source] io::Error),
    /// It ends too early.
    #[error("the bundle ends within {0}: it was not copied or fetched whole; get it again")]
    Short(String),
    /// It is something else.
    #[error("this is no update of Ironwake: {0}")]
    Foreign(String),
    /// A member is not the one that comes next.
    #[error(
        "the bundle has {found:?} where {expected:?} comes: it was not made by `ironwake appliance bundle`, or by a later version of it"
    )]
    Order {
        /// What comes next.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A member is too large, or not as large as the manifest says.
    #[error("{name} of the bundle has {found} bytes; {expected}")]
    Size {
        /// Which.
        name: String,
        /// How many there are.
        found: u64,
        /// How many would be right.
        expected: String,
    },
    /// The manifest does not hold together.
    #[error("the bundle's manifest.json: {0}")]
    Manifest(String),
    /// Nobody who is trusted signed the manifest.
    #[error(
        "the bundle is not signed by a key that this appliance trusts ({0}): an image trusts the key that it was made with \
         (`./dev image SIGN_KEY=FILE`), or those in /etc/ironwake/update-keys.asc"
    )]
    Signature(#[from] BadSignature),
    /// A file is not the one that was signed.
    #[error(
        "{name} of the bundle is not the file that was signed: it was changed or spoilt on its way; get the bundle again"
    )]
    Digest {
        /// Which.
        name: String,
    },
}

/// The list of files, as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawManifest {
    version: String,
    architecture: String,
    /// Seconds since 1970.
    built: u64,
    files: Vec<RawFile>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    name: String,
    /// Bytes in the bundle.
    size: u64,
    /// Of the bytes in the bundle.
    sha256: String,
    #[serde(default)]
    packed: Option<String>,
    /// Bytes once it is unpacked; only where it is packed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unpacked_size: Option<u64>,
}

/// A file as the manifest lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Which part it is.
    pub part: Part,
    /// Bytes in the bundle.
    pub size: u64,
    /// Digest of the bytes in the bundle.
    pub sha256: Digest,
    /// Bytes once it is unpacked.
    pub unpacked_size: u64,
}

/// What a bundle holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Which version it is.
    pub version: Version,
    /// When it was built, in seconds since 1970.
    pub built: u64,
    /// One of each of [`PARTS`], in their order.
    pub files: Vec<Listed>,
}

impl Manifest {
    /// Reads a manifest and checks it against what fits on the disk.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadBundle> {
        let raw: RawManifest =
            serde_json::from_slice(bytes).map_err(|error| BadBundle::Manifest(error.to_string()))?;
        let bad = |what: String| Err(BadBundle::Manifest(what));
        let version = raw.version.parse::<Version>();
        let version = version.map_err(|error| BadBundle::Manifest(format!("version: {error}")))?;
        if raw.architecture != ARCHITECTURE {
            return bad(format!("it is for {:?}, and this appliance is {ARCHITECTURE}", raw.architecture));
        }
        if raw.files.len() != PARTS.len() {
            let names: Vec<&str> = PARTS.iter().map(|part| part.name).collect();
            return bad(format!("it lists {} files; expected {}", raw.files.len(), names.join(", ")));
        }
        let mut files = Vec::new();
        for (file, part) in raw.files.iter().zip(PARTS) {
            if file.name != part.name {
                return Err(BadBundle::Order {
                    expected: part.name.into(),
                    found: shown(file.name.as_bytes()),
                });
            }
            let packed = match file.packed.as_deref() {
                None => false,
                Some("zstd") => true,
                Some(other) => return bad(format!("{} is packed with {other:?}; expected zstd", part.name)),
            };
            if packed != part.packed {
                let expected = if part.packed { "packed with zstd" } else { "not packed" };
                return bad(format!("{} must be {expected}", part.name));
            }
            let unpacked_size = match (packed, file.unpacked_size) {
                (false, None) => file.size,
                (true, Some(size)) => size,
                _ => {
                    return bad(format!(
                        "{}: unpacked_size belongs to packed files, and to each of them",
                        part.name
                    ));
                }
            };
            if file.size == 0 || unpacked_size == 0 {
                return bad(format!("{} is empty", part.name));
            }
            for found in [file.size, unpacked_size] {
                if found > part.bytes_max {
                    let expected = format!("{} are the most that its place holds", part.bytes_max);
                    return Err(BadBundle::Size { name: part.name.into(), found, expected });
                }
            }
            let sha256 = file.sha256.parse::<Digest>();
            let sha256 = sha256.map_err(|error| BadBundle::Manifest(format!("{}: {error}", part.name)))?;
            files.push(Listed { part: *part, size: file.size, sha256, unpacked_size });
        }
        let manifest = Self { version, built: raw.built, files };
        match manifest.esp_bytes() {
            found if found > ESP_BYTES_MAX => {
                let expected = format!("{ESP_BYTES_MAX} are the most that the ESP holds of one version");
                Err(BadBundle::Size { name: "what goes to the ESP".into(), found, expected })
            }
            _ => Ok(manifest),
        }
    }

    /// The manifest as it is written and signed.
    pub fn encode(&self) -> Vec<u8> {
        let file = |listed: &Listed| RawFile {
            name: listed.part.name.into(),
            size: listed.size,
            sha256: listed.sha256.to_string(),
            packed: listed.part.packed.then(|| "zstd".into()),
            unpacked_size: listed.part.packed.then_some(listed.unpacked_size),
        };
        let raw = RawManifest {
            version: self.version.to_string(),
            architecture: ARCHITECTURE.into(),
            built: self.built,
            files: self.files.iter().map(file).collect(),
        };
        // Text, numbers and lists of them: this cannot fail.
        let mut text = serde_json::to_vec_pretty(&raw).unwrap_or_default();
        text.push(b'\n');
        text
    }

    /// Bytes of the files in the bundle.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// Bytes of the files once they are unpacked.
    pub fn unpacked_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.unpacked_size).sum()
    }

    /// Bytes of the files that go to the ESP.
    fn esp_bytes(&self) -> u64 {
        self.files.iter().filter(|file| !file.part.packed).map(|file| file.unpacked_size).sum()
    }

    /// How its bundle is called.
    pub fn file_name(&self) -> String {
        format!("ironwake-{}-{ARCHITECTURE}.{ENDING}", self.version)
    }
}

/// Reads a manifest that somebody trusted signed; also who.
pub fn verified(
    manifest: &[u8],
    signature: &[u8],
    keys: &Keyring,
    now: Millis,
) -> Result<(Manifest, String), BadBundle> {
    let signed_at = |built: u64| now.max(built.saturating_mul(1000));
    // An appliance whose clock stands still may take what was signed since: only that keys have expired is asked of a clock,
    // and one that is put forward is stricter with them.
    let built = serde_json::from_slice::<RawManifest>(manifest).map_or(0, |raw| raw.built);
    let signer = keys.verify("the update", signature, manifest, signed_at(built))?;
    Ok((Manifest::parse(manifest)?, signer))
}

/// A bundle that is being read. Its manifest is verified before the first file is reached.
pub struct Bundle<R> {
    source: R,
    manifest: Manifest,
    /// The manifest's bytes and its signatures, as they came.
    signed: (Vec<u8>, Vec<u8>),
    signer: String,
    next: usize,
}

impl<R: Read> Bundle<R> {
    /// Reads and verifies what comes before the files.
    pub fn open(mut source: R, keys: &Keyring, now: Millis) -> Result<Self, BadBundle> {
        let manifest = small(&mut source, MANIFEST, MANIFEST_BYTES_MAX)?;
        let signature = small(&mut source, SIGNATURE, SIGNATURE_BYTES_MAX)?;
        let (read, signer) = verified(&manifest, &signature, keys, now)?;
        Ok(Self { source, manifest: read, signed: (manifest, signature), signer, next: 0 })
    }

    /// What it holds.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Who signed it: fingerprint and name.
    pub fn signer(&self) -> &str {
        &self.signer
    }

    /// The bytes of the manifest and of its signatures.
    pub fn signed(&self) -> (&[u8], &[u8]) {
        (&self.signed.0, &self.signed.1)
    }

    /// Copies the next file, as it is in the bundle, to whatever `target` gives for it; `None` behind the last one.
    ///
    /// An error may come after all of its bytes: what was written then is not the file.
    pub fn next_file<W: Write>(
        &mut self,
        target: impl FnOnce(&Listed) -> io::Result<W>,
    ) -> Result<Option<(Listed, W)>, BadBundle> {
        let Some(listed) = self.manifest.files.get(self.next).cloned() else {
            trailer(&mut self.source)?;
            return Ok(None);
        };
        self.next += 1;
        let name = listed.part.name;
        let found = header(&mut self.source, name)?;
        if found != listed.size {
            let expected = format!("its manifest says {}", listed.size);
            return Err(BadBundle::Size { name: name.into(), found, expected });
        }
        let mut target = target(&listed).map_err(BadBundle::Read)?;
        let mut hash = Sha256::new();
        let mut left = listed.size;
        let mut piece = vec![0; 1 << 17];
        while left > 0 {
            let wanted = piece.len().min(usize::try_from(left).unwrap_or(piece.len()));
            fill(&mut self.source, &mut piece[..wanted], name)?;
            hash.update(&piece[..wanted]);
            target.write_all(&piece[..wanted]).map_err(BadBundle::Read)?;
            left -= wanted as u64;
        }
        padding(&mut self.source, listed.size, name)?;
        match Digest::from(<[u8; 32]>::from(hash.finalize())) == listed.sha256 {
            true => Ok(Some((listed, target))),
            false => Err(BadBundle::Digest { name: name.into() }),
        }
    }
}

/// Writes the header of a member.
pub fn write_header(to: &mut impl Write, name: &str, size: u64, built: u64) -> io::Result<()> {
    assert!(name.len() <= 100 && size < OCTAL_SIZE_MAX, "{name} fits into a header");
    let mut block = [0; BLOCK];
    let mut put = |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{size:011o}\0"));
    put(136, &format!("{:011o}\0", built.min(OCTAL_SIZE_MAX - 1)));
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\0");
    put(263, "00");
    put(329, "0000000\0");
    put(337, "0000000\0");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    to.write_all(&block)
}

/// Writes what fills a member's last block.
pub fn write_padding(to: &mut impl Write, size: u64) -> io::Result<()> {
    to.write_all(&[0; BLOCK][..padding_bytes(size)])
}

/// Writes the end of a bundle.
pub fn write_trailer(to: &mut impl Write) -> io::Result<()> {
    to.write_all(&[0; 2 * BLOCK])
}

fn padding_bytes(size: u64) -> usize {
    let over = (size % BLOCK as u64) as usize;
    (BLOCK - over) % BLOCK
}

/// A member that is kept in memory.
fn small(source: &mut impl Read, name: &str, bytes_max: usize) -> Result<Vec<u8>, BadBundle> {
    let size = header(source, name)?;
    if size > bytes_max as u64 {
        let expected = format!("{bytes_max} are the most");
        return Err(BadBundle::Size { name: name.into(), found: size, expected });
    }
    let mut bytes = vec![0; size as usize];
    fill(source, &mut bytes, name)?;
    padding(source, size, name)?;
    Ok(bytes)
}

/// Reads the header of the member that comes next, and gives its size.
fn header(source: &mut impl Read, expected: &str) -> Result<u64, BadBundle> {
    let mut block = [0; BLOCK];
    fill(source, &mut block, expected)?;
    let order = |found: String| BadBundle::Order { expected: expected.into(), found };
    if block.iter().all(|byte| *byte == 0) {
        return Err(order("the end".into()));
    }
    let foreign = |why: &str| BadBundle::Foreign(why.into());
    if &block[257..262] != b"ustar" {
        return Err(foreign("it is no tar archive (POSIX, ustar)"));
    }
    let sum = octal(&block[148..156]).ok_or_else(|| foreign("a header has no checksum"))?;
    let counted = block
        .iter()
        .enumerate()
        .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u64::from(*byte) });
    if counted.sum::<u64>() != sum {
        return Err(foreign("a header's checksum is wrong"));
    }
    let name = until_nul(&block[..100]);
    // A name that goes on elsewhere is none of ours.
    if name != expected.as_bytes() || block[345] != 0 {
        return Err(order(shown(name)));
    }
    if !matches!(block[156], b'0' | 0) {
        return Err(foreign(&format!("{expected} is no regular file")));
    }
    octal(&block[124..136]).ok_or_else(|| foreign(&format!("{expected} has no size")))
}

/// Digits of a header; none where something else is among them.
fn octal(field: &[u8]) -> Option<u64> {
    let digits: Vec<u8> = field.iter().copied().filter(|byte| !matches!(byte, 0 | b' ')).collect();
    let octal = |value: u64, digit: &u8| {
        Some(value * 8 + u64::from(digit.checked_sub(b'0').filter(|digit| *digit < 8)?))
    };
    (!digits.is_empty() && digits.len() <= 11).then(|| digits.iter().try_fold(0, octal))?
}

fn until_nul(field: &[u8]) -> &[u8] {
    &field[..field.iter().position(|byte| *byte == 0).unwrap_or(field.len())]
}

fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).chars().filter(|c| !ironwake_api::human::steers(*c)).take(100).collect()
}

fn padding(source: &mut impl Read, size: u64, name: &str) -> Result<(), BadBundle> {
    let mut rest = [0; BLOCK];
    fill(source, &mut rest[..padding_bytes(size)], name)?;
    match rest.iter().all(|byte| *byte == 0) {
        true => Ok(()),
        false => Err(BadBundle::Foreign(format!("something is hidden behind {name}"))),
    }
}

/// Two empty blocks, and what fills the last record: nothing is hidden behind the files.
fn trailer(source: &mut impl Read) -> Result<(), BadBundle> {
    let mut rest = Vec::new();
    let read = source.take(((TRAILER_BLOCKS_MAX + 1) * BLOCK) as u64).read_to_end(&mut rest);
    read.map_err(BadBundle::Read)?;
    if rest.len() < 2 * BLOCK {
        return Err(BadBundle::Short("its end".into()));
    }
    match rest.len() <= TRAILER_BLOCKS_MAX * BLOCK && rest.iter().all(|byte| *byte == 0) {
        true => Ok(()),
        false => Err(BadBundle::Order { expected: "the end".into(), found: "something more".into() }),
    }
}

fn fill(source: &mut impl Read, bytes: &mut [u8], within: &str) -> Result<(), BadBundle> {
    source.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => BadBundle::Short(within.into()),
        _ => BadBundle::Read(error),
    })
}

#[cfg(test)]
#[path = "bundle_tests.rs"]
mod tests;
