//! The vault: built artifacts on disk under their digests, and which recipe gave which.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::{ArtifactError, map_file};
use crate::artifact::{Digest, Recipe};

/// `artifacts` in the state directory. Files are named by the SHA-256 of their bytes; below `recipes`
/// there is one small file for each recipe, named by its digest, holding that of what it gave.
#[derive(Debug, Clone)]
pub struct Vault {
    dir: PathBuf,
}

impl Vault {
    /// Opens it, making its directories.
    pub fn open(state_dir: &Path) -> Result<Self, ArtifactError> {
        let dir = state_dir.join("artifacts");
        let recipes = dir.join("recipes");
        fs::create_dir_all(&recipes).map_err(|source| ArtifactError::Write { path: recipes, source })?;
        Ok(Self { dir })
    }

    /// What a recipe gave before, if it is still there with the bytes that it had.
    pub fn made_from(&self, recipe: &Recipe) -> Option<(Digest, Bytes)> {
        let digest: Digest = fs::read_to_string(self.recipe_path(recipe)).ok()?.trim().parse().ok()?;
        let bytes = map_file(&self.path(digest)).ok()?;
        (Digest::of(&bytes) == digest).then_some((digest, bytes))
    }

    /// Keeps what a recipe gave, durably, and gives it back mapped.
    pub fn keep(&self, recipe: &Recipe, bytes: &[u8]) -> Result<(Digest, Bytes), ArtifactError> {
        let digest = Digest::of(bytes);
        let path = self.path(digest);
        // Bytes first: a recipe that points at nothing would be built again, but never served.
        replace_file(&path, bytes)?;
        replace_file(&self.recipe_path(recipe), format!("{digest}\n").as_bytes())?;
        Ok((digest, map_file(&path)?))
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.dir.join(digest.to_string())
    }

    fn recipe_path(&self, recipe: &Recipe) -> PathBuf {
        self.dir.join("recipes").join(recipe.digest().to_string())
    }
}

/// Writes a file whole or not at all; after a power loss it is one or the other.
fn replace_file(path: &Path, bytes: &[u8]) -> Result<(), ArtifactError> {
    let write = || -> io::Result<()> {
        let dir = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        let mut file =
            tempfile::Builder::new().permissions(Permissions::from_mode(0o444)).tempfile_in(dir)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        File::open(dir)?.sync_all()
    };
    write().map_err(|source| ArtifactError::Write { path: path.into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_found_by_its_recipe_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let recipe = Recipe::new("test").with("input", 1);
        let vault = Vault::open(dir.path()).unwrap();
        assert!(vault.made_from(&recipe).is_none());
        let (digest, bytes) = vault.keep(&recipe, b"bytes").unwrap();
        assert_eq!((digest, &bytes[..]), (Digest::of(b"bytes"), &b"bytes"[..]));
        let vault = Vault::open(dir.path()).unwrap();
        assert_eq!(vault.made_from(&recipe), Some((digest, bytes)));
        assert!(vault.made_from(&Recipe::new("test").with("input", 2)).is_none());
        let left: Vec<_> = fs::read_dir(dir.path().join("artifacts")).unwrap().collect();
        assert_eq!(left.len(), 2, "the artifact and recipes: {left:?}");
    }

    #[test]
    fn spoilt_bytes_are_not_given_and_are_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let recipe = Recipe::new("test");
        let vault = Vault::open(dir.path()).unwrap();
        let (digest, _) = vault.keep(&recipe, b"bytes").unwrap();
        let path = dir.path().join("artifacts").join(digest.to_string());
        fs::remove_file(&path).unwrap();
        assert!(vault.made_from(&recipe).is_none());
        fs::write(&path, b"other").unwrap();
        assert!(vault.made_from(&recipe).is_none());
        vault.keep(&recipe, b"bytes").unwrap();
        assert!(vault.made_from(&recipe).is_some());
        fs::write(dir.path().join("artifacts/recipes").join(Recipe::new("x").digest().to_string()), "junk")
            .unwrap();
        assert!(vault.made_from(&Recipe::new("x")).is_none());
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Vault::open(&file).unwrap_err();
        assert!(error.to_string().starts_with("write "), "{error}");
    }
}
