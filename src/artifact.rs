//! Artifacts as values: the digest that names one, the recipe that determines one, and images that came from outside.

mod download;
mod expected;
mod image;
mod import;
mod keep;
mod pace;
mod qcow2;
mod signature;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

pub use download::{Download, Head, Known, Tries, Trouble, Verdict, is_web_page, judge, pause, shown_url};
pub use expected::{BadExpected, CHECKSUMS_BYTES_MAX, ChecksumError, Digest512, Expected, find_checksum};
pub use image::{ForeignFormat, HEAD_BYTES, Shape, disk_bytes, recognise};
pub use import::{BadImportName, Import, check_import_name};
pub use keep::{Eviction, Held, Limits, Usage, evict, usage};
pub use pace::{FLOOR_BYTES_PER_SEC, PATIENCE_MILLIS, Pace};
pub use qcow2::{BadQcow2, DISK_BYTES_MAX, Qcow2, Run};
pub use signature::{BadSignature, Keyring, SIGNATURE_BYTES_MAX};

/// A SHA-256 digest; shown as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// Text that is not 64 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a SHA-256 digest: 64 hex digits")]
pub struct BadDigest(String);

impl Digest {
    /// The digest of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Its 32 bytes.
    pub fn bytes(self) -> [u8; 32] {
        self.0
    }
}

impl From<[u8; 32]> for Digest {
    /// What a hasher gave that was fed piece by piece.
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = BadDigest;

    fn from_str(text: &str) -> Result<Self, BadDigest> {
        let bad = || BadDigest(text.chars().take(80).collect());
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(bad());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |at: usize| char::from(pair[at]).to_digit(16).ok_or_else(bad);
            *byte = (digit(0)? << 4 | digit(1)?) as u8;
        }
        Ok(Self(bytes))
    }
}

/// Everything that determines an artifact: what kind it is and its named inputs. Two recipes with the
/// same digest give the same bytes, whatever order their inputs were named in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    kind: &'static str,
    inputs: BTreeMap<&'static str, String>,
}

impl Recipe {
    /// A recipe without inputs. The kind carries the version of its builder, such as `discovery-1`:
    /// raise it when the same inputs give other bytes.
    pub fn new(kind: &'static str) -> Self {
        Self { kind, inputs: BTreeMap::new() }
    }

    /// Adds an input, replacing what had this name.
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.inputs.insert(name, value.to_string());
        self
    }

    /// The cache key.
    pub fn digest(&self) -> Digest {
        let mut hash = Sha256::new();
        // Each part goes in behind its length, so that no two recipes can spell the same bytes.
        let mut part = |text: &str| {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        };
        part(self.kind);
        for (name, value) in &self.inputs {
            part(name);
            part(value);
        }
        Digest(hash.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_read_as_they_are_shown() {
        let digest = Digest::of(b"abc");
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest.to_string(), text);
        assert_eq!(text.parse(), Ok(digest));
        assert_eq!(text.to_uppercase().parse(), Ok(digest));
    }

    #[test]
    fn what_is_no_digest_is_refused() {
        for text in ["", "ba78", &"g".repeat(64), &"é".repeat(32), &"0".repeat(65)] {
            assert!(text.parse::<Digest>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_recipe_is_its_kind_and_inputs() {
        let base = Recipe::new("a").with("x", 1).with("y", "two");
        assert_eq!(base.digest(), Recipe::new("a").with("y", "two").with("x", "1").digest());
        for other in [
            Recipe::new("b").with("x", 1).with("y", "two"),
            Recipe::new("a").with("x", 1).with("y", "tw").with("o", ""),
            Recipe::new("a").with("x", "1y").with("", "two"),
            Recipe::new("a").with("x", 1),
        ] {
            assert_ne!(base.digest(), other.digest(), "{other:?}");
        }
    }
}
