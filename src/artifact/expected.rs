//! Which bytes are wanted: digests that people and lists of checksums name.

use std::fmt;
use std::str::FromStr;

use super::Digest;

/// Longest list of checksums: a distribution's mirror lists some thousand files.
pub const CHECKSUMS_BYTES_MAX: usize = 4 << 20;
/// Names of a list that an error shows.
const NAMES_SHOWN_MAX: usize = 5;

/// A SHA-512 digest; shown as 128 hex digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest512([u8; 64]);

impl From<[u8; 64]> for Digest512 {
    fn from(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Digest512 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest512 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest512({self})")
    }
}

/// The digest that bytes have to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// SHA-256.
    Sha256(Digest),
    /// SHA-512.
    Sha512(Digest512),
}

/// Text that is neither.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no digest: 64 hex digits of SHA-256, or 128 of SHA-512")]
pub struct BadExpected(String);

impl Expected {
    /// Of hex digits; how many there are tells which digest it is.
    pub fn of_hex(text: &str) -> Result<Self, BadExpected> {
        let bad = || BadExpected(text.chars().take(140).collect());
        if text.len() != 128 {
            return text.parse().map(Self::Sha256).map_err(|_| bad());
        }
        let mut bytes = [0; 64];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digit = |at: usize| char::from(pair[at]).to_digit(16).ok_or_else(bad);
            *byte = (digit(0)? << 4 | digit(1)?) as u8;
        }
        Ok(Self::Sha512(Digest512(bytes)))
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(digest) => write!(f, "sha256:{digest}"),
            Self::Sha512(digest) => write!(f, "sha512:{digest}"),
        }
    }
}

impl FromStr for Expected {
    type Err = BadExpected;

    fn from_str(text: &str) -> Result<Self, BadExpected> {
        let bad = || BadExpected(text.chars().take(140).collect());
        let (name, hex) = text.split_once(':').ok_or_else(bad)?;
        match (name, Self::of_hex(hex)?) {
            ("sha256", found @ Self::Sha256(_)) | ("sha512", found @ Self::Sha512(_)) => Ok(found),
            _ => Err(bad()),
        }
    }
}

/// Why a list of checksums does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChecksumError {
    /// It has lines, and none for this file.
    #[error("it does not list {file:?}: it lists {listed}")]
    NotListed {
        /// The file.
        file: String,
        /// Some that it lists.
        listed: String,
    },
    /// It is something else.
    #[error(
        "it is no list of checksums: expected lines as `sha256sum` or `sha512sum` writes them, DIGEST  FILE, \
         or SHA256 (FILE) = DIGEST"
    )]
    NoList,
    /// Two lines contradict each other.
    #[error("it lists {0:?} twice with different digests")]
    Contradiction(String),
}

/// The digest that a list of checksums has for a file: lines of coreutils or BSD, signed inline or not. A list of one
/// digest without a name is that file's.
pub fn find_checksum(text: &str, file: &str) -> Result<Expected, ChecksumError> {
    let lines: Vec<(Expected, &str)> = text.lines().filter_map(checksum_line).collect();
    if let [(only, "")] = lines[..] {
        return Ok(only);
    }
    let mut found: Option<Expected> = None;
    for (expected, name) in &lines {
        if name.rsplit('/').next() != Some(file) {
            continue;
        }
        match found {
            // Both digests of one file: the first is as good as the second.
            Some(before) if std::mem::discriminant(&before) != std::mem::discriminant(expected) => {}
            Some(before) if before != *expected => return Err(ChecksumError::Contradiction(file.into())),
            _ => found = Some(*expected),
        }
    }
    found.ok_or_else(|| match lines.is_empty() {
        true => ChecksumError::NoList,
        false => ChecksumError::NotListed { file: file.into(), listed: listed(&lines) },
    })
}

fn listed(lines: &[(Expected, &str)]) -> String {
    let shown: Vec<String> =
        lines.iter().take(NAMES_SHOWN_MAX).map(|(_, name)| name.chars().take(80).collect()).collect();
    let more = lines.len().saturating_sub(NAMES_SHOWN_MAX);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{more}", shown.join(", "))
}

fn checksum_line(line: &str) -> Option<(Expected, &str)> {
    let line = line.trim();
    // BSD: `SHA256 (FILE) = DIGEST`.
    if let Some((left, digest)) = line.rsplit_once(") = ") {
        let (_, name) = left.split_once(" (")?;
        return Some((Expected::of_hex(digest).ok()?, name));
    }
    // coreutils: `DIGEST  FILE`, with `*` before the name where it was read as binary.
    let (digest, name) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let name = name.trim_start();
    Some((Expected::of_hex(digest).ok()?, name.strip_prefix('*').unwrap_or(name)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const B: &str = "cb8379ac2098aa165029e3938a51da0bcecfc008fd6795f401178647f96c5b34";

    #[test]
    fn digests_are_told_by_their_length() {
        let long = "ab".repeat(64);
        assert_eq!(Expected::of_hex(A).unwrap().to_string(), format!("sha256:{A}"));
        assert_eq!(Expected::of_hex(&long).unwrap().to_string(), format!("sha512:{long}"));
        for text in [format!("sha256:{A}"), format!("sha512:{long}")] {
            assert_eq!(text.parse::<Expected>().unwrap().to_string(), text);
        }
        for bad in ["", A, "sha512:00", &format!("sha512:{A}"), &format!("md5:{A}"), &"é".repeat(64)] {
            assert!(bad.parse::<Expected>().is_err(), "{bad}");
        }
    }

    fn check(list: &str, expected: Result<&str, &str>) {
        let found = find_checksum(list, "disk.qcow2").map_err(|error| error.to_string());
        match expected {
            Ok(digest) => assert_eq!(found, Ok(Expected::of_hex(digest).unwrap()), "{list}"),
            Err(part) => {
                assert!(found.as_ref().is_err_and(|error| error.contains(part)), "{found:?}: {list}")
            }
        }
    }

    #[test]
    fn lists_of_checksums_are_those_that_distributions_publish() {
        let long = "ab".repeat(64);
        check(&format!("{B}  other\n{A}  disk.qcow2\n"), Ok(A));
        check(&format!("{A} *disk.qcow2\r\n"), Ok(A));
        check(&format!("{long}  ./images/disk.qcow2"), Ok(&long));
        check(&format!("# disk.qcow2: 12 bytes\nSHA256 (disk.qcow2) = {A}\n"), Ok(A));
        check(
            &format!("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{A}  disk.qcow2\n-----BEGIN"),
            Ok(A),
        );
        check(A, Ok(A));
        check(&format!("{A}  disk.qcow2\n{long}  disk.qcow2"), Ok(A));
        check(&format!("{A}  disk.qcow2\n{A}  disk.qcow2"), Ok(A));
        check(&format!("{A}  disk.qcow2\n{B}  disk.qcow2"), Err("twice"));
        check(&format!("{A}  disk.qcow2.old\n{B}  xdisk.qcow2"), Err("it lists disk.qcow2.old, xdisk.qcow2"));
        check("<!DOCTYPE html><title>404", Err("no list of checksums"));
        check("", Err("no list"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(.|\n){0,200}", hex in "[0-9a-f]{60,130}") {
            let _ = find_checksum(&text, "file");
            let _ = find_checksum(&format!("{hex} {text}"), "file");
            let _ = text.parse::<Expected>();
        }
    }
}
