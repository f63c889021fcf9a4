//! The discovery image, made of the real kernel package that `./dev setup` fetches.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use ironwake::artifacts::{PciNames, boot_dir, boot_dirs, load_boot_files};
use ironwake::builders::{BuildError, BuiltDiscovery, Progress, discovery};
use ironwake_api::{ArtifactKind, ArtifactState};

fn boot_files() -> PathBuf {
    let dirs = boot_dirs();
    boot_dir(&dirs).unwrap_or_else(|| panic!("no boot files in {dirs:?}: run ./dev setup")).to_owned()
}

/// A state directory and something that stands for the agent: the image does not look into it.
struct Site {
    dir: tempfile::TempDir,
}

impl Site {
    fn new(agent: &[u8]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("agent"), agent).unwrap();
        Self { dir }
    }

    async fn build(&self) -> Result<BuiltDiscovery, BuildError> {
        discovery(&boot_files(), &self.dir.path().join("agent"), self.dir.path(), |_| {}).await
    }
}

#[tokio::test]
async fn the_same_recipe_gives_the_same_bytes_and_is_built_once() {
    let site = Site::new(b"agent one");
    let first = site.build().await.unwrap();
    let again = site.build().await.unwrap();
    assert!(!first.cached && again.cached);
    assert_eq!(first.initramfs.sha256, again.initramfs.sha256);
    let elsewhere = Site::new(b"agent one").build().await.unwrap();
    assert!(!elsewhere.cached);
    assert_eq!(first.initramfs.bytes, elsewhere.initramfs.bytes);
    fs::write(site.dir.path().join("agent"), b"agent two").unwrap();
    let other = site.build().await.unwrap();
    assert!(!other.cached);
    assert_ne!(first.initramfs.sha256, other.initramfs.sha256);
    println!("built in {:?}, {:?}; found in {:?}", first.build, elsewhere.build, again.build);
}

#[tokio::test]
async fn kernel_and_initramfs_are_published_whole_and_small() {
    // The largest agent that is allowed.
    let built = Site::new(&vec![0; 3 << 20]).build().await.unwrap();
    let bytes = built.kernel.bytes.len() + built.initramfs.bytes.len();
    println!(
        "kernel {} + initramfs {} = {bytes} bytes",
        built.kernel.bytes.len(),
        built.initramfs.bytes.len()
    );
    assert!(bytes <= 26_000_000, "{bytes} bytes to download");
    let kinds: Vec<_> =
        built.artifacts.iter().map(|artifact| (artifact.name.as_str(), artifact.kind)).collect();
    assert_eq!(
        kinds,
        [
            ("discovery/vmlinuz", ArtifactKind::Kernel),
            ("discovery/initramfs", ArtifactKind::Initramfs),
            ("discovery/installing", ArtifactKind::Initramfs),
            ("discovery/rescue", ArtifactKind::Initramfs)
        ]
    );
    assert!(built.artifacts.iter().all(|artifact| artifact.state == ArtifactState::Done));
    assert!(built.artifacts.iter().all(|artifact| artifact.version.as_deref() != Some("unknown")));
}

#[tokio::test]
async fn progress_ends_with_the_packed_archive() {
    let site = Site::new(b"agent");
    let (modules, packed) =
        (std::sync::Arc::new(AtomicUsize::new(0)), std::sync::Arc::new(AtomicUsize::new(0)));
    let heard = (modules.clone(), packed.clone());
    let built = discovery(&boot_files(), &site.dir.path().join("agent"), site.dir.path(), move |progress| {
        match progress {
            Progress::Modules { done, of } => {
                assert!(done <= of);
                heard.0.fetch_max(of, Ordering::Relaxed);
            }
            Progress::Packed { bytes } => heard.1.store(bytes, Ordering::Relaxed),
        }
    })
    .await
    .unwrap();
    assert!(modules.load(Ordering::Relaxed) > 100);
    assert_eq!(packed.load(Ordering::Relaxed), built.initramfs.bytes.len());
}

/// `cpio`'s own view of an archive.
fn cpio(archive: &[u8], arguments: &[&str], dir: &Path) -> String {
    let mut child = Command::new("cpio")
        .args(arguments)
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("cpio is installed by ./dev setup");
    let mut input = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || input.write_all(archive).unwrap());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    })
}

#[tokio::test]
async fn cpio_reads_the_archive_and_the_index_fits_it() {
    let built = Site::new(b"agent").build().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let list = cpio(&built.initramfs.bytes, &["-t", "--quiet"], dir.path());
    let names: HashSet<&str> = list.lines().collect();
    for name in ["init", "proc", "sys", "run", "dev", "dev/console", "lib/modules/index"] {
        assert!(names.contains(name), "no {name}");
    }
    cpio(&built.initramfs.bytes, &["-id", "--quiet", "lib/modules/index", "init"], dir.path());
    assert_eq!(fs::read(dir.path().join("init")).unwrap(), b"agent");
    let index = fs::read_to_string(dir.path().join("lib/modules/index")).unwrap();
    check_index(&index, &names);
}

fn check_index(index: &str, names: &HashSet<&str>) {
    let (mut modules, mut aliases) = (HashMap::new(), Vec::new());
    for line in index.lines() {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["module", name, path, needs] => {
                assert!(names.contains(format!("lib/modules/{path}").as_str()), "{path} is not packed");
                modules.insert(name, needs);
            }
            ["alias", pattern, name] => aliases.push((pattern, name)),
            _ => panic!("not a line of the index: {line:?}"),
        }
    }
    let packed = names.iter().filter(|name| name.ends_with(".ko.xz")).count();
    assert_eq!(packed, modules.len(), "every module is indexed");
    let unknown = |name: &str| !modules.contains_key(name);
    for (name, needs) in &modules {
        assert!(*needs == "-" || !needs.split(',').any(unknown), "{name} needs {needs}");
    }
    assert!(!aliases.iter().any(|(_, name)| unknown(name)));
    for (alias, name) in [
        ("virtio:d00000001v*", "virtio_net"),
        ("virtio:d00000002v*", "virtio_blk"),
        ("pci:v00008086d000010D3sv*sd*bc*sc*i*", "e1000e"),
        ("pci:v*d*sv*sd*bc01sc06i01*", "ahci"),
        ("pci:v*d*sv*sd*bc01sc08i02*", "nvme"),
        ("scsi:t-0x00*", "sd_mod"),
    ] {
        assert!(aliases.contains(&(alias, name)), "no alias {alias} of {name}");
    }
    assert_eq!(modules["e1000e"], "-", "what it needs is built in");
    assert_eq!(modules["mlx4_en"], "mlx4_core");
    assert!(modules.contains_key("ipmi_devintf"));
    println!("{} modules, {} aliases, index {} bytes", modules.len(), aliases.len(), index.len());
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let site = Site::new(b"agent");
    let missing = site.dir.path().join("none");
    let error =
        discovery(&missing, &site.dir.path().join("agent"), site.dir.path(), |_| {}).await.unwrap_err();
    assert!(error.to_string().contains("kernel/vmlinuz"), "{error}");
    let error = discovery(&boot_files(), &missing, site.dir.path(), |_| {}).await.unwrap_err();
    assert!(error.to_string().contains("none"), "{error}");
}

#[test]
fn the_fetched_boot_files_are_whole() {
    let (blobs, artifacts) = load_boot_files(&boot_dirs());
    for artifact in &artifacts {
        assert_eq!(artifact.state, ArtifactState::Done, "{artifact:?}");
        assert!(artifact.version.is_some() && artifact.source.is_some());
    }
    for name in ["undionly.kpxe", "snponly.efi", "ipxe.efi", "ipxe-arm64.efi", "shimx64.efi", "grubx64.efi"] {
        assert!(blobs.iter().any(|blob| blob.name == name), "no {name}");
    }
}

#[test]
fn real_pci_names_are_found() {
    let names = PciNames::load(&boot_files().join("pci.ids")).unwrap();
    assert_eq!(names.vendor(0x8086), Some("Intel Corporation"));
    assert_eq!(names.device(0x8086, 0x10d3), Some("82574L Gigabit Network Connection"));
    assert_eq!(names.device(0x1af4, 0x1041), Some("Virtio 1.0 network device"));
    assert_eq!(names.vendor(0xffff), Some("Illegal Vendor ID"));
}
