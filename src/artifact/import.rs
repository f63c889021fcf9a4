//! What an operator imported: a name, and the bytes that it stands for.

use ironwake_api::{Actor, Artifact, ArtifactKind, ArtifactState, ImageSource, Millis, Packing};

use super::Digest;

/// Longest name.
const NAME_CHARS_MAX: usize = 64;
/// A folder, as the files of one installer have it together, and a file.
const PARTS_MAX: usize = 2;

/// An imported image under its name. Two names may stand for the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// Its name, as [`check_import_name`] has it.
    pub name: String,
    /// Digest of the bytes as they came.
    pub sha256: Digest,
    /// How many came.
    pub size_bytes: u64,
    /// How the disk is packed in them.
    pub packing: Packing,
    /// Bytes of that disk, where that is known.
    pub disk_bytes: Option<u64>,
    /// Whether it stays until it is unpinned.
    pub pinned: bool,
    /// When it came.
    pub imported_at: Millis,
    /// Who sent it.
    pub imported_by: Actor,
}

impl Import {
    /// Where machines fetch it.
    pub fn path(&self) -> String {
        let file = self.name.rsplit('/').next().unwrap_or(&self.name);
        format!("/artifacts/{}/{file}", self.sha256)
    }

    /// As work names it to the agent.
    pub fn source(&self) -> ImageSource {
        ImageSource {
            path: self.path(),
            packing: self.packing,
            size_bytes: self.size_bytes,
            sha256: self.sha256.to_string(),
            disk_bytes: self.disk_bytes,
        }
    }

    /// As the API shows it; `error` says why it cannot be used.
    pub fn shown(&self, error: Option<String>) -> Artifact {
        let state = if error.is_none() { ArtifactState::Done } else { ArtifactState::Missing };
        Artifact {
            size: Some(self.size_bytes),
            sha256: Some(self.sha256.to_string()),
            path: error.is_none().then(|| self.path()),
            created_at: Some(self.imported_at),
            packing: Some(self.packing),
            disk_bytes: self.disk_bytes,
            pinned: self.pinned,
            imported_by: Some(self.imported_by.clone()),
            error,
            ..Artifact::new(&self.name, ArtifactKind::Image, state)
        }
    }
}

/// A name that no import can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no name for an image: 1 to {NAME_CHARS_MAX} of a-z, 0-9, `.`, `_`, `+` and `-`, the first a letter or a \
     digit; one folder may stand before it, as in debian-installer-13/linux"
)]
pub struct BadImportName(String);

/// Whether an import may have this name: it stands in paths, and in what people type.
pub fn check_import_name(name: &str) -> Result<(), BadImportName> {
    let first = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let other = |byte: &u8| first(byte) || matches!(byte, b'.' | b'_' | b'-' | b'+');
    let good = |part: &str| part.as_bytes().first().is_some_and(first) && part.as_bytes().iter().all(other);
    let parts = name.split('/').count();
    match name.split('/').all(good) && parts <= PARTS_MAX && name.len() <= NAME_CHARS_MAX {
        true => Ok(()),
        false => Err(BadImportName(name.chars().take(NAME_CHARS_MAX + 1).collect())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case_and_no_paths() {
        for name in [
            "debian-13",
            "a",
            "0.img_2",
            "debian-installer-13/initrd.gz",
            "memtest86+/x64.bin",
            &"a".repeat(64),
        ] {
            assert_eq!(check_import_name(name), Ok(()), "{name}");
        }
        for name in [
            "",
            ".a",
            "-a",
            "A",
            "a/b/c",
            "a/",
            "/a",
            "a//b",
            "a/..",
            "..",
            "ä",
            "a b",
            "a\0",
            &"a".repeat(65),
        ] {
            assert!(check_import_name(name).is_err(), "{name:?}");
        }
    }
}
