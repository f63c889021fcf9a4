//! GRUB's environment block (GRUB manual, "The GRUB environment block"): in BIOS it says which version boots, and how often
//! one on trial may be tried.

use super::Version;

/// Size of the block: GRUB writes it in place, so it never grows.
pub const GRUBENV_BYTES: usize = 1024;
/// What is used of it: one sector, which a disk writes whole or not at all. So a power cut leaves the old or the new block.
pub const GRUBENV_USED_MAX: usize = 512;
/// How often a version on trial is started before the one before boots again.
pub const TRIES: u32 = 3;

const HEADER: &str = "# GRUB Environment Block\n";
const GOOD: &str = "good";
const TRIAL: &str = "trial";
const TRIES_LEFT: &str = "tries";

/// Why a block is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadGrubenv {
    /// Something else, or a block that was not written whole.
    #[error(
        "it is no environment block of GRUB: expected \"# GRUB Environment Block\" and {GRUBENV_BYTES} bytes"
    )]
    Foreign,
    /// More than fits into one sector.
    #[error(
        "its variables take {0} bytes, and {GRUBENV_USED_MAX} are one sector, which a power cut cannot tear"
    )]
    Full(usize),
}

/// Variables of a block, in their order. Those that are not ours are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grubenv(Vec<(String, String)>);

impl Grubenv {
    /// Reads a block.
    pub fn parse(block: &[u8]) -> Result<Self, BadGrubenv> {
        if block.len() != GRUBENV_BYTES || !block.starts_with(HEADER.as_bytes()) {
            return Err(BadGrubenv::Foreign);
        }
        let mut variables = Vec::new();
        for line in lines(block) {
            // What fills the rest is no variable either.
            let is_name =
                |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if let Some((name, value)) = line.split_once('=').filter(|(name, _)| is_name(name)) {
                variables.push((name.to_owned(), value.to_owned()));
            }
        }
        Ok(Self(variables))
    }

    /// The block as it is written.
    pub fn encode(&self) -> Result<[u8; GRUBENV_BYTES], BadGrubenv> {
        let mut text = HEADER.to_owned();
        for (name, value) in &self.0 {
            let value = value.replace('\\', "\\\\").replace('\n', "\\\n");
            text.push_str(&format!("{name}={value}\n"));
        }
        if text.len() > GRUBENV_USED_MAX {
            return Err(BadGrubenv::Full(text.len()));
        }
        let mut block = [b'#'; GRUBENV_BYTES];
        block[..text.len()].copy_from_slice(text.as_bytes());
        Ok(block)
    }

    /// A variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|entry| entry.0 == name).map(|entry| entry.1.as_str())
    }

    /// Sets a variable, or takes it away.
    fn set(&mut self, name: &str, value: Option<String>) {
        let Some(value) = value else { return self.0.retain(|entry| entry.0 != name) };
        match self.0.iter().position(|entry| entry.0 == name) {
            Some(place) => self.0[place].1 = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    /// The version on trial, and how many starts it has left.
    pub fn trial(&self) -> Option<(&str, u32)> {
        Some((self.get(TRIAL)?, self.get(TRIES_LEFT)?.parse().ok()?))
    }

    /// The next start tries this version, and the ones after it too, until it is good or has no starts left.
    pub fn try_version(&mut self, version: &Version) {
        self.set(TRIAL, Some(version.to_string()));
        self.set(TRIES_LEFT, Some(TRIES.to_string()));
    }

    /// No version is on trial.
    pub fn end_trial(&mut self) {
        self.set(TRIAL, None);
        self.set(TRIES_LEFT, None);
    }

    /// This version is what boots from here on.
    pub fn bless(&mut self, version: &Version) {
        self.set(GOOD, Some(version.to_string()));
        self.end_trial();
    }
}

/// Lines without their escapes: a backslash keeps what comes behind it, a newline too.
fn lines(block: &[u8]) -> Vec<String> {
    let (mut lines, mut line, mut bytes) = (Vec::new(), Vec::new(), block.iter());
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => line.extend(bytes.next()),
            b'\n' => lines.push(String::from_utf8_lossy(&std::mem::take(&mut line)).into_owned()),
            byte => line.push(*byte),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version(text: &str) -> Version {
        text.parse().expect("a version")
    }

    #[test]
    fn a_trial_begins_and_ends() {
        let mut block = Grubenv::default();
        block.bless(&version("0.1.0"));
        block.try_version(&version("0.2.0"));
        assert_eq!(block.trial(), Some(("0.2.0", TRIES)));
        assert_eq!(block.get("good"), Some("0.1.0"));
        let read = Grubenv::parse(&block.encode().expect("fits")).expect("a block");
        assert_eq!(read, block);
        block.bless(&version("0.2.0"));
        assert_eq!((block.trial(), block.get("good")), (None, Some("0.2.0")));
    }

    #[test]
    fn what_is_not_ours_is_kept_and_what_is_no_block_refused() {
        let text = "# GRUB Environment Block\n# WARNING: Do not edit this file by tools other than grub-editenv!!!\nsaved_entry=a\\\\b\n";
        let mut block = vec![b'#'; GRUBENV_BYTES];
        block[..text.len()].copy_from_slice(text.as_bytes());
        let mut read = Grubenv::parse(&block).expect("a block");
        read.try_version(&version("2"));
        let again = Grubenv::parse(&read.encode().expect("fits")).expect("a block");
        assert_eq!(again.get("saved_entry"), Some("a\\b"));
        for bad in [&block[1..], &block[..1023], b"", &[0; GRUBENV_BYTES]] {
            assert_eq!(Grubenv::parse(bad), Err(BadGrubenv::Foreign));
        }
        read.set("long", Some("x".repeat(500)));
        assert!(matches!(read.encode(), Err(BadGrubenv::Full(_))));
    }

    proptest! {
        #[test]
        fn no_block_panics(bytes in proptest::collection::vec(any::<u8>(), GRUBENV_BYTES - HEADER.len())) {
            let _ = Grubenv::parse(&[HEADER.as_bytes(), &bytes].concat());
        }
    }
}
