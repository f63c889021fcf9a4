//! `debian-image/RELEASE-amd64`: Debian from its packages as a disk that boots by BIOS, UEFI and Secure Boot.
//!
//! Everything runs as an unprivileged user. The packages are installed in a user namespace (mmdebstrap), the filesystems
//! are made as files (the image's own mke2fs, mtools), and the disk is put together here: no mount, no loop device, no
//! capability. What decides an image is in its [`recipe`](Plan::recipe), its identifiers and times follow from that.

mod child;
mod disk;
mod mirror;
mod progress;

use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::unistd::Uid;
use tempfile::TempDir;

use crate::artifact::{Digest, Recipe};
pub use child::{Child, ChildError};
use disk::{DiskError, Layout, derived_uuid};
use mirror::Suite;
pub use progress::Report;
use progress::Watch;

/// Raise it when the same inputs give other bytes.
const KIND: &str = "debian-image-1";
/// What images of Debian are called, before and behind the release.
const NAME: (&str, &str) = ("debian-image/", "-amd64");
/// Releases that can be built.
pub const RELEASES: &[&str] = &["trixie", "bookworm"];

/// A system that boots from its disk, has a network, an SSH server and the right time, and can install more.
const PACKAGES: &str = "ca-certificates dbus e2fsprogs initramfs-tools iproute2 linux-image-amd64 openssh-server \
                        systemd-resolved systemd-sysv systemd-timesyncd udev zstd";
/// Files of packages that nobody reads on a server.
const EXCLUDED: &[&str] = &[
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/man/*",
];
const CUSTOMIZE: &str = include_str!("files/customize.sh");
const STORAGE: &str = include_str!("files/storage.hook");
const TREE: &str = include_str!("files/tree.sh");

const MIB: u64 = 1 << 20;
/// Holds shim and GRUB, twice; FAT32 has at least 65,525 clusters.
const ESP_BYTES: u64 = 64 * MIB;
/// What root has beside its files, until it is grown on the machine.
const ROOT_SPARE_BYTES: u64 = 96 * MIB;
/// Fast, and a third smaller than gzip: the image is read once for each machine.
const ZSTD_LEVEL: &str = "-6";

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// There is no recipe for it.
    #[error("{0:?} is nothing that is built: debian-image/trixie-amd64 and debian-image/bookworm-amd64 are")]
    Unknown(String),
    /// Root needs no namespace, and would write what it is told to.
    #[error(
        "images are built by an unprivileged user with a range in /etc/subuid and /etc/subgid, not by root"
    )]
    Root,
    /// The range is missing.
    #[error(
        "{user} has no range of {SUBORDINATE_IDS} ids in {file}: \
         `usermod --add-subuids 655360-720895 --add-subgids 655360-720895 {user}` gives it one"
    )]
    NoRange {
        /// Who builds.
        user: String,
        /// Which file.
        file: &'static str,
    },
    /// A program of the build.
    #[error(transparent)]
    Child(#[from] ChildError),
    /// The boot files.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The mirror changed in between.
    #[error("the mirror was updated during the build: build again")]
    MirrorMoved,
}

/// What mmdebstrap maps into its namespace.
const SUBORDINATE_IDS: u32 = 65_536;

/// The release of an image's name.
pub fn release_of(name: &str) -> Result<&'static str, ImageError> {
    let release = name.strip_prefix(NAME.0).and_then(|rest| rest.strip_suffix(NAME.1));
    let known = RELEASES.iter().find(|known| Some(**known) == release);
    known.copied().ok_or_else(|| ImageError::Unknown(name.into()))
}

/// An image that is about to be built, with everything that decides its bytes.
pub struct Plan {
    release: &'static str,
    suites: Vec<Suite>,
    settings: String,
    recipe: Digest,
    work: TempDir,
}

/// An image that was built.
#[derive(Debug)]
pub struct Built {
    /// What decided it.
    pub recipe: Digest,
    /// Size of the file, packed with zstd.
    pub size_bytes: u64,
    /// Size of the disk in it.
    pub disk_bytes: u64,
    /// How long it took.
    pub took: Duration,
}

impl Plan {
    /// Asks the mirror what there is. `folder` gets the build's files; packages' users reach it, so it must not lie in a
    /// home. `report` is told how it goes.
    pub fn new(
        name: &str,
        mirror: Option<&str>,
        folder: &Path,
        report: &mut dyn FnMut(Report),
    ) -> Result<Self, ImageError> {
        let release = release_of(name)?;
        check_user()?;
        remove_stale(folder)?;
        let failed = file_error(folder);
        let work = tempfile::Builder::new().prefix(WORK_PREFIX).tempdir_in(folder).map_err(failed)?;
        fs::set_permissions(work.path(), Permissions::from_mode(0o755)).map_err(file_error(work.path()))?;
        let mut watch = Watch::new(report);
        watch.stage("asking the mirror");
        let mut on_line = |line: &str| watch.line(line);
        let suites = mirror::suites(release, mirror, work.path(), &mut on_line)?;
        let settings = mirror::settings(&mut on_line)?;
        let recipe = recipe(release, &suites);
        Ok(Self { release, suites, settings, recipe, work })
    }

    /// Two plans with the same recipe give the same bytes.
    pub fn recipe(&self) -> Digest {
        self.recipe
    }

    /// Builds it into a file.
    pub fn build(self, output: &Path, report: &mut dyn FnMut(Report)) -> Result<Built, ImageError> {
        let began = Instant::now();
        let mut watch = Watch::new(report);
        let archive = self.install(&mut watch)?;
        let root = self.make_root(&archive, &mut watch)?;
        let esp = self.make_esp(&mut watch)?;
        let disk_bytes = self.put_together(&esp, &root, output, &mut watch)?;
        let size_bytes = fs::metadata(output).map_err(file_error(output))?.len();
        Ok(Built { recipe: self.recipe, size_bytes, disk_bytes, took: began.elapsed() })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.work.path().join(name)
    }

    /// The variables that what runs inside goes by.
    fn with_identity(&self, child: Child) -> Child {
        let made = self.suites.iter().map(|suite| suite.made).max().unwrap_or_default();
        child
            .env("SOURCE_DATE_EPOCH", made.to_string())
            .env("TMPDIR", self.work.path())
            .env("HOME", self.work.path())
            .env("IRONWAKE_ROOT_UUID", derived_uuid(self.recipe, "root filesystem").to_string())
            .env("IRONWAKE_ESP_UUID", {
                let id = self.esp_id();
                format!("{}-{}", &id[..4], &id[4..])
            })
    }

    /// The serial number of the ESP's filesystem, 8 hex digits.
    fn esp_id(&self) -> String {
        derived_uuid(self.recipe, "esp filesystem").simple().to_string()[..8].to_uppercase()
    }

    /// The packages, installed and made bootable, as an archive.
    fn install(&self, watch: &mut Watch<'_>) -> Result<PathBuf, ImageError> {
        let archive = self.path("root.tar");
        let files = [("customize", CUSTOMIZE, 0o755), ("storage", STORAGE, 0o755)];
        for (name, text, mode) in files {
            let path = self.path(name);
            fs::write(&path, text).map_err(file_error(&path))?;
            fs::set_permissions(&path, Permissions::from_mode(mode)).map_err(file_error(&path))?;
        }
        let configure = "mkdir -p \"$1/etc/initramfs-tools/conf.d\" \"$1/etc/initramfs-tools/hooks\" && \
             printf 'MODULES=list\\nCOMPRESS=zstd\\n' >\"$1/etc/initramfs-tools/conf.d/ironwake\" && \
             cp \"$IRONWAKE_STORAGE\" \"$1/etc/initramfs-tools/hooks/ironwake\"";
        let sources: String = self.suites.iter().map(Suite::line).collect();
        let sources_path = self.path("sources.list");
        fs::write(&sources_path, sources).map_err(file_error(&sources_path))?;
        let settings_path = self.path("apt.conf");
        let settings = format!("{}Acquire::Languages \"none\";\n", self.settings);
        fs::write(&settings_path, settings).map_err(file_error(&settings_path))?;
        let mut child = Child::new("mmdebstrap", "install the packages")
            .args(["--mode=unshare", "--variant=minbase", "--format=tar", "--verbose"])
            .arg(format!("--include={PACKAGES}"))
            .arg(format!("--aptopt={}", settings_path.display()))
            .arg("--dpkgopt=force-unsafe-io")
            .args(EXCLUDED.iter().map(|line| format!("--dpkgopt={line}")))
            .arg(format!("--essential-hook={configure}"))
            .arg(format!("--customize-hook={}", self.path("customize").display()))
            .arg(self.release)
            .arg(&archive)
            .arg(&sources_path)
            .env("IRONWAKE_STORAGE", self.path("storage"))
            // The one initramfs is made when everything is in place.
            .env("INITRD", "No");
        child = self.with_identity(child);
        child.run(&mut |line| watch.mmdebstrap(line))?;
        Ok(archive)
    }

    /// The archive as a filesystem; what boots it beside it.
    fn make_root(&self, archive: &Path, watch: &mut Watch<'_>) -> Result<PathBuf, ImageError> {
        watch.stage("making the root filesystem");
        let files = fs::metadata(archive).map_err(file_error(archive))?.len();
        let root_bytes = (files / 8 * 9 + ROOT_SPARE_BYTES).next_multiple_of(16 * MIB);
        let root = self.path("root.ext4");
        let script = self.path("tree");
        fs::write(&script, TREE).map_err(file_error(&script))?;
        let child = in_namespace("make the root filesystem")
            .arg("sh")
            .args([&script, archive, &root])
            .env("ROOT_BYTES", root_bytes.to_string())
            .within(self.work.path());
        self.with_identity(child).run(&mut |line| watch.line(line))?;
        let mut planned: Vec<String> = self.suites.iter().map(|suite| suite.release.to_string()).collect();
        planned.sort();
        let used = read(&self.path("releases"))?;
        if String::from_utf8_lossy(&used).lines().ne(planned.iter().map(String::as_str)) {
            return Err(ImageError::MirrorMoved);
        }
        remove(archive)?;
        Ok(root)
    }

    /// What firmware starts: shim and GRUB, under the name of the boot entry and under the one that firmware looks for
    /// without an entry.
    fn make_esp(&self, watch: &mut Watch<'_>) -> Result<PathBuf, ImageError> {
        watch.stage("making the EFI system partition");
        let esp = self.path("esp.fat");
        File::create(&esp).and_then(|file| file.set_len(ESP_BYTES)).map_err(file_error(&esp))?;
        let mut mtools = |program: &str, words: &[&str]| {
            let child = Child::new(program, "make the EFI system partition").arg("-i").arg(&esp);
            self.with_identity(child.args(words).within(self.work.path())).run(&mut |line| watch.line(line))
        };
        mtools("mformat", &["-F", "-c", "1", "-N", &self.esp_id(), "-v", "ESP", "::"])?;
        mtools("mmd", &["::EFI", "::EFI/BOOT", "::EFI/debian"])?;
        for (folder, shim) in [("BOOT", "BOOTX64.EFI"), ("debian", "shimx64.efi")] {
            mtools("mcopy", &["shimx64.efi.signed", &format!("::EFI/{folder}/{shim}")])?;
            mtools("mcopy", &["grubx64.efi.signed", &format!("::EFI/{folder}/grubx64.efi")])?;
            mtools("mcopy", &["grub.cfg", &format!("::EFI/{folder}/grub.cfg")])?;
        }
        Ok(esp)
    }

    /// Everything in its place on a disk, packed as it is put together.
    fn put_together(
        &self,
        esp: &Path,
        root: &Path,
        output: &Path,
        watch: &mut Watch<'_>,
    ) -> Result<u64, ImageError> {
        watch.stage("packing the disk");
        let root_bytes = fs::metadata(root).map_err(file_error(root))?.len();
        let layout = Layout::new(ESP_BYTES, root_bytes);
        let (boot, core) = (read(&self.path("boot.img"))?, read(&self.path("core.img"))?);
        let front = layout.front(self.recipe, &boot, &core)?;
        let (reader, writer) = io::pipe().map_err(file_error(output))?;
        let disk_bytes = layout.disk_bytes();
        let pack = Child::new("zstd", "pack the disk")
            .args(["-q", "-f", "-T0", ZSTD_LEVEL])
            .arg(format!("--stream-size={disk_bytes}"))
            .args(["-o".as_ref(), output])
            .input(reader);
        let mut said = Vec::new();
        let packed = std::thread::scope(|scope| {
            let packing = scope.spawn(|| pack.run(&mut |line| said.push(line.to_owned())));
            let written = self.write(writer, &front, &[esp, root], &layout.back(self.recipe), |done| {
                watch.bytes(done, Some(disk_bytes));
            });
            let packed = packing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            // Why the packer ended tells more than that nothing could be written to it.
            packed.map_err(ImageError::from).and(written)
        });
        said.iter().for_each(|line| watch.line(line));
        packed?;
        Ok(disk_bytes)
    }

    fn write(
        &self,
        mut writer: io::PipeWriter,
        front: &[u8],
        files: &[&Path],
        back: &[u8],
        mut on_bytes: impl FnMut(u64),
    ) -> Result<(), ImageError> {
        let to_packer = file_error(Path::new("the packer's input"));
        writer.write_all(front).map_err(&to_packer)?;
        let mut done = front.len() as u64;
        let mut piece = vec![0; MIB as usize];
        for path in files {
            let mut file = File::open(path).map_err(file_error(path))?;
            loop {
                let read = file.read(&mut piece).map_err(file_error(path))?;
                if read == 0 {
                    break;
                }
                writer.write_all(&piece[..read]).map_err(&to_packer)?;
                done += read as u64;
                on_bytes(done);
            }
        }
        writer.write_all(back).map_err(&to_packer)?;
        on_bytes(done + back.len() as u64);
        Ok(())
    }
}

fn recipe(release: &str, suites: &[Suite]) -> Digest {
    let suites: Vec<String> =
        suites.iter().map(|suite| format!("{} {} {}", suite.mirror, suite.name, suite.release)).collect();
    Recipe::new(KIND)
        .with("release", release)
        .with("suites", suites.join("\n"))
        .with("packages", PACKAGES)
        .with("excluded", EXCLUDED.join("\n"))
        .with("scripts", [CUSTOMIZE, STORAGE, TREE].join("\0"))
        .digest()
}

/// What comes behind runs as root of a user namespace: this user is its root, the range its other users.
fn in_namespace(what: &'static str) -> Child {
    Child::new("unshare", what).args(["--user", "--map-root-user", "--map-auto", "--"])
}

/// Root's namespace would be no protection, and without a range there is none.
fn check_user() -> Result<(), ImageError> {
    let uid = Uid::effective();
    if uid.is_root() {
        return Err(ImageError::Root);
    }
    let user = nix::unistd::User::from_uid(uid).ok().flatten();
    let name = user.map_or_else(|| uid.to_string(), |user| user.name);
    for file in ["/etc/subuid", "/etc/subgid"] {
        let text = fs::read_to_string(file).unwrap_or_default();
        if !has_range(&text, &name, uid.as_raw()) {
            return Err(ImageError::NoRange { user: name, file });
        }
    }
    Ok(())
}

/// subuid(5): lines of user, first id, count.
fn has_range(text: &str, name: &str, uid: u32) -> bool {
    text.lines().any(|line| {
        let mut fields = line.split(':');
        let own = fields.next().is_some_and(|user| user == name || user == uid.to_string());
        let count = fields.nth(1).and_then(|count| count.parse::<u32>().ok());
        own && count.is_some_and(|count| count >= SUBORDINATE_IDS)
    })
}

const WORK_PREFIX: &str = "build-";

/// Builds that were killed leave files of the namespace's users, which only its root can remove.
fn remove_stale(folder: &Path) -> Result<(), ImageError> {
    let stale = fs::read_dir(folder).map_err(file_error(folder))?.flatten().map(|entry| entry.path());
    let is_work =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(WORK_PREFIX));
    let stale: Vec<PathBuf> = stale.filter(is_work).collect();
    if stale.is_empty() {
        return Ok(());
    }
    in_namespace("remove what an interrupted build left")
        .args(["rm", "-rf", "--"])
        .args(stale)
        .run(&mut |_| ())?;
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, ChildError> {
    fs::read(path).map_err(file_error(path))
}

fn remove(path: &Path) -> Result<(), ChildError> {
    fs::remove_file(path).map_err(file_error(path))
}

fn file_error(path: &Path) -> impl Fn(io::Error) -> ChildError {
    move |source| ChildError::File { path: path.into(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_the_release() {
        assert_eq!(release_of("debian-image/trixie-amd64").ok(), Some("trixie"));
        for name in ["debian-image/sid-amd64", "debian-image/trixie", "trixie", "debian-image/-amd64"] {
            assert!(release_of(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_recipe_follows_the_mirror() {
        let suite = |release: &[u8]| Suite {
            mirror: "http://a.example/debian".into(),
            name: "trixie".into(),
            release: Digest::of(release),
            made: 5,
        };
        let base = recipe("trixie", &[suite(b"1")]);
        assert_eq!(base, recipe("trixie", &[suite(b"1")]));
        for (release, suites) in [
            ("trixie", vec![suite(b"2")]),
            ("bookworm", vec![suite(b"1")]),
            ("trixie", vec![suite(b"1"), suite(b"2")]),
        ] {
            assert_ne!(base, recipe(release, &suites));
        }
    }

    #[test]
    fn a_range_is_large_and_the_users_own() {
        let text = "anna:100000:65536\nberta:165536:1000\n1007:231072:65536\n";
        for (name, uid, expected) in
            [("anna", 1000, true), ("berta", 1001, false), ("carl", 1007, true), ("dora", 1002, false)]
        {
            assert_eq!(has_range(text, name, uid), expected, "{name}");
        }
    }
}
