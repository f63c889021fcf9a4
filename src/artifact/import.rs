//! What an operator imported: a name, and the bytes that it stands for.

use ironwake_api::{
    Actor, Artifact, ArtifactKind, ArtifactOrigin, ArtifactState, ImageSource, Millis, Packing,
};

use super::Digest;

/// Longest name: a folder and a file in it, such as profiles name kernels by.
const NAME_CHARS_MAX: usize = 128;

/// An imported image under its name. Two names may stand for the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// Its name, as [`check_import_name`] has it.
    pub name: String,
    /// Digest of the bytes that machines fetch.
    pub sha256: Digest,
    /// How many these are.
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
    /// When something last wanted it: an operation, or a machine that fetched it.
    pub used_at: Millis,
    /// Where it came from, and what it was then.
    pub origin: ArtifactOrigin,
}

impl Import {
    /// Where machines fetch it: loaders call what they fetch by the last part of its path.
    pub fn path(&self) -> String {
        let file = self.name.rsplit('/').next().unwrap_or_default();
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
            used_at: Some(self.used_at),
            origin: (self.origin != ArtifactOrigin::default()).then(|| self.origin.clone()),
            error,
            ..Artifact::new(&self.name, ArtifactKind::Image, state)
        }
    }
}

/// A name that no import can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no name for an import: 1 to {NAME_CHARS_MAX} of a-z, 0-9, `.`, `_`, `+` and `-`, in parts between `/` \
     that each begin with a letter or a digit"
)]
pub struct BadImportName(String);

/// Whether an import may have this name: it stands in paths, in profiles, and in what people type.
pub fn check_import_name(name: &str) -> Result<(), BadImportName> {
    let first = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let other = |byte: &u8| first(byte) || b"._+-".contains(byte);
    let good = |part: &[u8]| part.first().is_some_and(first) && part.iter().all(other);
    match name.len() <= NAME_CHARS_MAX && name.as_bytes().split(|byte| *byte == b'/').all(good) {
        true => Ok(()),
        false => Err(BadImportName(name.chars().take(NAME_CHARS_MAX + 1).collect())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case_and_no_way_out_of_a_folder() {
        let profiles = ["debian-installer-13/linux", "memtest86+/memtest86+x64.efi", "a/b/c"];
        for name in ["debian-13", "a", "0.img_2", &"a".repeat(128)].into_iter().chain(profiles) {
            assert_eq!(check_import_name(name), Ok(()), "{name}");
        }
        for name in [
            "",
            ".a",
            "-a",
            "A",
            "/a",
            "a/",
            "a//b",
            "a/../b",
            "..",
            "ä",
            "a b",
            "a\0",
            "a%2fb",
            &"a".repeat(129),
        ] {
            assert!(check_import_name(name).is_err(), "{name:?}");
        }
    }
}
