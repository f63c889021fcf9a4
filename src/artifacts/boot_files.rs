//! Boot files: loaders, the discovery kernel and what goes with them, with the manifest that says what
//! each file is and where it came from.

use std::env;
use std::path::{Component, Path, PathBuf};

use ironwake_api::{Artifact, ArtifactKind, ArtifactState};

use super::manifest::MANIFEST;
use super::{Blob, BootFile, BootManifest, map_file};
use crate::artifact::Digest;
use crate::boot::ARCHES;

/// Where a package of Ironwake puts boot files.
const PACKAGED_DIR: &str = "/usr/lib/ironwake/boot";

/// The loader that shim starts; its name is fixed in shim.
const SECOND_STAGE: &str = "grubx64.efi";

/// Where files are that profiles start under their full names.
const STARTED_BY_PROFILES: &str = "memtest86+/";

/// What to do about boot files that are not there or not right.
const REMEDY: &str =
    "fetch them with `./dev setup --refresh`, or point IRONWAKE_BOOT at a directory that has them";

/// Where boot files may be, best first: `$IRONWAKE_BOOT` alone if it is set, else the cache that
/// `./dev` fills, else what is installed.
pub fn boot_dirs() -> Vec<PathBuf> {
    let place = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(dir) = place("IRONWAKE_BOOT") {
        return vec![dir];
    }
    let cache = place("IRONWAKE_CACHE").or_else(|| Some(place("HOME")?.join(".cache/ironwake")));
    cache.map(|dir| dir.join("boot")).into_iter().chain([PathBuf::from(PACKAGED_DIR)]).collect()
}

/// The first of these directories that has a manifest.
pub fn boot_dir(dirs: &[PathBuf]) -> Option<&Path> {
    dirs.iter().map(PathBuf::as_path).find(|dir| dir.join(MANIFEST).is_file())
}

/// Maps and verifies the boot files of the first directory that has a manifest. The blobs are the
/// loaders that may be published, under their plain names, and what profiles start. The artifacts tell of every file, also of those
/// that are missing or spoilt, and what to do about them.
pub fn load_boot_files(dirs: &[PathBuf]) -> (Vec<Blob>, Vec<Artifact>) {
    let (mut blobs, mut artifacts) = (Vec::new(), Vec::new());
    let why_missing = match boot_dir(dirs) {
        None => format!("no boot files in {}; {REMEDY}", shown(dirs)),
        Some(dir) => match BootManifest::load(dir) {
            Err(error) => format!("{}; {REMEDY}", with_source(&error)),
            Ok(manifest) => {
                for entry in &manifest.files {
                    let (blob, artifact) = load_entry(dir, entry);
                    blobs.extend(blob);
                    artifacts.push(artifact);
                }
                format!("not in {}; {REMEDY}", dir.join(MANIFEST).display())
            }
        },
    };
    for name in expected_loaders() {
        if !artifacts.iter().any(|artifact| artifact.name == name) {
            let missing = Artifact::new(name, ArtifactKind::Loader, ArtifactState::Missing);
            artifacts.push(Artifact { error: Some(why_missing.clone()), ..missing });
        }
    }
    (blobs, artifacts)
}

fn load_entry(dir: &Path, entry: &BootFile) -> (Option<Blob>, Artifact) {
    let loader = entry.name.strip_prefix("loaders/");
    let kind = match entry.name.as_str() {
        _ if loader.is_some() => ArtifactKind::Loader,
        "kernel/vmlinuz" => ArtifactKind::Kernel,
        name if name.starts_with(STARTED_BY_PROFILES) => ArtifactKind::Kernel,
        _ => ArtifactKind::File,
    };
    let name = loader.unwrap_or(&entry.name);
    let mut artifact = Artifact {
        source: Some(entry.package.clone()),
        version: Some(entry.version.clone()),
        size: Some(entry.size),
        sha256: Some(entry.sha256.clone()),
        ..Artifact::new(name, kind, ArtifactState::Done)
    };
    match verified(dir, entry) {
        Err((state, error)) => {
            (artifact.state, artifact.error) = (state, Some(format!("{error}; {REMEDY}")));
            (None, artifact)
        }
        Ok(_) if loader.is_none() && !entry.name.starts_with(STARTED_BY_PROFILES) => (None, artifact),
        Ok((bytes, digest)) => {
            artifact.path = Some(format!("/boot/files/{name}"));
            (Some(Blob::new(name, bytes, digest)), artifact)
        }
    }
}

/// The bytes of a file, if they are those that the manifest names.
fn verified(dir: &Path, entry: &BootFile) -> Result<(bytes::Bytes, Digest), (ArtifactState, String)> {
    let failed = |error| (ArtifactState::Failed, error);
    let inside = Path::new(&entry.name).components().all(|part| matches!(part, Component::Normal(_)));
    if !inside || entry.name.is_empty() {
        return Err(failed(format!("the manifest names {:?}, which is not a path inside it", entry.name)));
    }
    let expected: Digest =
        entry.sha256.parse().map_err(|error| failed(format!("manifest, {}: {error}", entry.name)))?;
    let path = dir.join(&entry.name);
    if !path.exists() {
        return Err((ArtifactState::Missing, format!("{} is not there", path.display())));
    }
    let bytes = map_file(&path).map_err(|error| failed(with_source(&error)))?;
    let found = Digest::of(&bytes);
    if found != expected {
        return Err(failed(format!("{} has SHA-256 {found}, its manifest {expected}", path.display())));
    }
    Ok((bytes, found))
}

/// Every file that the architecture table may hand to a machine, and what shim starts: each once, by name.
pub fn expected_loaders() -> Vec<&'static str> {
    let rows = ARCHES.iter().flat_map(|row| [row.loader, row.fallback, row.shim]).flatten();
    let mut names: Vec<_> = rows.chain([SECOND_STAGE]).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn with_source(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

fn shown(dirs: &[PathBuf]) -> String {
    dirs.iter().map(|dir| dir.display().to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A directory with these files and a manifest that is right.
    fn directory(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let mut entries = Vec::new();
        for (name, bytes) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
            entries.push(serde_json::json!({
                "name": name, "package": "ipxe", "version": "1.21", "deb_sha256": "",
                "sha256": Digest::of(bytes).to_string(), "size": bytes.len(),
            }));
        }
        let manifest = serde_json::json!({ "layout": 1, "files": entries });
        fs::write(dir.path().join("manifest.json"), manifest.to_string()).unwrap();
        dir
    }

    fn load(dir: &Path) -> (Vec<Blob>, Vec<Artifact>) {
        load_boot_files(&[PathBuf::from("/nonexistent"), dir.into()])
    }

    fn check(dir: &Path, name: &str, state: ArtifactState, error: &str) {
        let (blobs, artifacts) = load(dir);
        let artifact = artifacts.iter().find(|artifact| artifact.name == name).unwrap();
        assert_eq!(artifact.state, state, "{artifact:?}");
        let text = artifact.error.as_deref().unwrap_or_default();
        assert!(text.contains(error), "{text:?} lacks {error:?}");
        assert_eq!(text.is_empty(), state == ArtifactState::Done);
        assert!(state == ArtifactState::Done || text.contains("./dev setup"), "no remedy: {text}");
        assert_eq!(blobs.iter().any(|blob| blob.name == name), artifact.path.is_some());
    }

    #[test]
    fn loaders_are_published_and_the_rest_is_told_of() {
        let dir = directory(&[("loaders/snponly.efi", b"snponly"), ("kernel/vmlinuz", b"kernel")]);
        check(dir.path(), "snponly.efi", ArtifactState::Done, "");
        check(dir.path(), "kernel/vmlinuz", ArtifactState::Done, "");
        check(dir.path(), "undionly.kpxe", ArtifactState::Missing, "not in ");
        check(dir.path(), "grubx64.efi", ArtifactState::Missing, "not in ");
        let (blobs, artifacts) = load(dir.path());
        assert_eq!(blobs.len(), 1);
        assert_eq!((blobs[0].media_type, &blobs[0].bytes[..]), ("application/efi", &b"snponly"[..]));
        let kinds: Vec<_> = artifacts.iter().take(2).map(|artifact| artifact.kind).collect();
        assert_eq!(kinds, [ArtifactKind::Loader, ArtifactKind::Kernel]);
    }

    #[test]
    fn spoilt_and_missing_files_are_not_published() {
        let dir = directory(&[("loaders/snponly.efi", b"snponly"), ("loaders/ipxe.efi", b"ipxe")]);
        fs::write(dir.path().join("loaders/snponly.efi"), "spoilt").unwrap();
        fs::remove_file(dir.path().join("loaders/ipxe.efi")).unwrap();
        check(dir.path(), "snponly.efi", ArtifactState::Failed, "has SHA-256");
        check(dir.path(), "ipxe.efi", ArtifactState::Missing, "is not there");
    }

    #[test]
    fn a_manifest_cannot_name_files_outside() {
        let dir = directory(&[("loaders/snponly.efi", b"snponly")]);
        let manifest = dir.path().join("manifest.json");
        let text = fs::read_to_string(&manifest).unwrap();
        for name in ["loaders/../../x", "/etc/passwd", ""] {
            let changed = text.replace("loaders/snponly.efi", name);
            fs::remove_file(&manifest).unwrap();
            fs::write(&manifest, changed).unwrap();
            let name = name.strip_prefix("loaders/").unwrap_or(name);
            check(dir.path(), name, ArtifactState::Failed, "not a path inside");
        }
    }

    #[test]
    fn no_directory_and_no_manifest_leave_every_loader_missing() {
        let empty = tempfile::tempdir().unwrap();
        check(empty.path(), "shimx64.efi", ArtifactState::Missing, "no boot files in /nonexistent, ");
        fs::write(empty.path().join("manifest.json"), "{").unwrap();
        check(empty.path(), "shimx64.efi", ArtifactState::Missing, "manifest.json: EOF");
        let (blobs, artifacts) = load(empty.path());
        assert_eq!((blobs.len(), artifacts.len()), (0, expected_loaders().len()));
    }
}
