use std::io;

use ironwake_api::{Actor, ArtifactState, Packing};
use nix::mount::MsFlags;
use tempfile::TempDir;

use super::*;
use crate::artifacts::Received;
use crate::artifacts::room::failed;

struct Folder {
    state: TempDir,
    shelf: Shelf,
}

impl Folder {
    fn new() -> Self {
        Self { state: tempfile::tempdir().unwrap(), shelf: Shelf::default() }
    }

    fn open(&mut self) -> Imports {
        self.shelf = Shelf::default();
        Imports::open(self.state.path(), self.shelf.clone()).unwrap()
    }

    /// What is in the directory.
    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.state.path().join("imports")).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn receive(imports: &Imports, bytes: &[u8], expected: Option<Digest>) -> Result<Received, ImportError> {
    let mut upload = imports.receive(Some(bytes.len() as u64))?;
    for piece in bytes.chunks(3) {
        upload.write(piece)?;
    }
    upload.finish(expected.map(Expected::Sha256))
}

/// Imports bytes under a name, as the site does.
fn import(imports: &Imports, name: &str, bytes: &[u8]) -> Import {
    let received = receive(imports, bytes, Some(Digest::of(bytes))).unwrap();
    let import = received.import(name, false, 1, Actor::Operator("anna".into()));
    imports.publish(import.sha256, received.settle().unwrap());
    imports.put(import.clone());
    import
}

#[test]
fn what_is_imported_is_published_again_after_a_restart() {
    let mut folder = Folder::new();
    let imports = folder.open();
    let first = import(&imports, "debian", b"\xfd7zXZ\0 and so on");
    assert_eq!((first.packing, first.disk_bytes), (Packing::Xz, None));
    let second = import(&imports, "raw", &[7; 1000]);
    assert_eq!((second.packing, second.disk_bytes), (Packing::Raw, Some(1024)));
    let digest = second.sha256.to_string();
    let blob = folder.shelf.by_digest(&digest).unwrap();
    assert!(crate::artifacts::file_behind(&blob.bytes).is_some(), "mapped, not copied");

    let imports = folder.open();
    imports.put(second.clone());
    assert_eq!(&folder.shelf.by_digest(&digest).unwrap().bytes[..], [7; 1000]);
    assert_eq!(imports.image("raw"), Some(second.source()));
    assert_eq!(imports.image("debian"), None);
    // The bytes of `debian` lost their name: nobody needs them.
    drop(imports.sweep(|_| false));
    assert_eq!(folder.files(), [digest]);
    assert!(folder.shelf.by_digest(&first.sha256.to_string()).is_none());
}

#[test]
fn nothing_is_left_of_what_is_not_taken() {
    let mut folder = Folder::new();
    let imports = folder.open();
    let check = |bytes: &[u8], expected: Option<Digest>, text: &str| {
        let error = receive(&imports, bytes, expected).err().expect("refused").to_string();
        assert!(error.contains(text), "{error:?} lacks {text:?}");
        assert_eq!(folder.files(), [""; 0]);
    };
    check(b"", None, "no bytes");
    check(b"bytes", Some(Digest::of(b"other")), "nothing is kept");
    check(b"KDMV\x01\0\0\0 of a virtual machine", None, "qemu-img convert -O qcow2");
    check(b"QFI\xfb\0\0\0\x03 and no more", None, "the qcow2 image is broken");
    check(b"<!DOCTYPE html><title>Sign in", None, "a web page came");
    drop(imports.receive(None).unwrap());
    assert_eq!(folder.files(), [""; 0]);
    assert!(matches!(imports.receive(Some(IMAGE_BYTES_MAX + 1)), Err(ImportError::TooLarge)));
    assert!(matches!(check_room(folder.state.path(), u64::MAX), Err(ImportError::NoRoom { .. })));
    assert!(matches!(
        failed(folder.state.path(), io::ErrorKind::StorageFull.into()),
        ImportError::NoRoom { free: 1.., .. }
    ));
}

#[test]
fn what_was_broken_off_is_removed_at_the_start() {
    let mut folder = Folder::new();
    let imports = folder.open();
    let mut upload = imports.receive(None).unwrap();
    upload.write(b"half of it").unwrap();
    // As kill -9 does: nobody removes the file.
    std::mem::forget(upload);
    assert!(matches!(&folder.files()[..], [name] if name.ends_with(PARTIAL)));
    folder.open();
    assert_eq!(folder.files(), [""; 0]);
}

#[test]
fn bytes_stay_as_long_as_a_name_or_somebody_needs_them() {
    let mut folder = Folder::new();
    let imports = folder.open();
    let (one, two) = (import(&imports, "one", b"bytes"), import(&imports, "two", b"bytes"));
    assert_eq!(one.sha256, two.sha256);
    let digest = one.sha256.to_string();
    imports.forget("one");
    assert!(imports.sweep(|_| false).is_empty());
    import(&imports, "two", b"others");
    assert!(imports.sweep(|needed| needed == digest).is_empty());
    assert_eq!(folder.files().len(), 2);
    assert!(folder.shelf.by_digest(&digest).is_some());

    let transfer = folder.shelf.by_digest(&digest).unwrap();
    assert_eq!(imports.sweep(|_| false).len(), 1);
    assert_eq!(folder.files(), [Digest::of(b"others").to_string()]);
    assert!(folder.shelf.by_digest(&digest).is_none());
    assert_eq!(&transfer.bytes[..], b"bytes");
}

#[test]
fn an_image_that_is_gone_or_cut_is_told_of_and_healed_by_importing_it_again() {
    let mut folder = Folder::new();
    let record = import(&folder.open(), "image", b"bytes");
    let path = folder.state.path().join("imports").join(record.sha256.to_string());
    let check = |folder: &mut Folder, text: &str| {
        let imports = folder.open();
        imports.put(record.clone());
        assert_eq!(imports.image("image"), None);
        let artifact = imports.artifact("image").unwrap();
        assert_eq!((artifact.state, artifact.path.as_ref()), (ArtifactState::Missing, None));
        let error = artifact.error.unwrap();
        assert!(error.contains(text) && error.contains("import it again"), "{error}");
        imports
    };
    fs::remove_file(&path).unwrap();
    check(&mut folder, "is not there");
    fs::write(&path, "byte").unwrap();
    let imports = check(&mut folder, "has 4 bytes instead of 5");
    import(&imports, "image", b"bytes");
    assert_eq!(imports.image("image"), Some(record.source()));
    assert_eq!(fs::read(&path).unwrap(), b"bytes");
}

/// A real filesystem with 24 MiB above the reserve, which only this thread sees.
fn small_filesystem(dir: &Path) -> nix::Result<()> {
    let none = None::<&str>;
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS)?;
    nix::mount::mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    let size = format!("size={}", FREE_BYTES_MIN + (24 << 20));
    nix::mount::mount(none, dir, Some("tmpfs"), MsFlags::empty(), Some(&*size))
}

#[test]
fn a_full_disk_is_told_of_before_the_reserve_is_gone() {
    // Only root can mount.
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let full = || {
        let mut folder = Folder::new();
        small_filesystem(folder.state.path()).unwrap();
        let imports = folder.open();
        let announced = imports.receive(Some(32 << 20));
        assert!(matches!(announced, Err(ImportError::NoRoom { .. })));
        let mut upload = imports.receive(None).unwrap();
        let piece = vec![1; 1 << 20];
        let ended = (0..64).find_map(|written| Some((written, upload.write(&piece).err()?)));
        let (written, error) = ended.unwrap();
        assert!(
            written < 32 && error.to_string().starts_with("no room for the image: "),
            "{written}: {error}"
        );
        drop(upload);
        assert_eq!(folder.files(), [""; 0]);
        import(&imports, "small", &[1; 1000]);
        // Maps keep a filesystem busy.
        drop(imports);
        folder.shelf = Shelf::default();
        nix::mount::umount(folder.state.path()).unwrap();
    };
    // The mount is the thread's, and gone with it.
    std::thread::spawn(full).join().unwrap();
}

#[test]
fn uploads_have_a_limit() {
    let mut folder = Folder::new();
    let imports = folder.open();
    let uploads: Vec<_> = (0..UPLOADS_MAX).map(|_| imports.receive(None)).collect();
    assert!(matches!(imports.receive(None), Err(ImportError::Busy)));
    drop(uploads);
    assert!(imports.receive(None).is_ok());
    assert_eq!(folder.files(), [""; 0]);
}
