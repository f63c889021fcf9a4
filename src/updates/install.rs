//! Root's part of an update: the bundle is verified again, unpacked, and handed to systemd-sysupdate. A power cut at any moment
//! leaves the version that runs to boot.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ironwake_api::{Millis, Progress, UpdateProgress, UpdateStep};
use nix::sys::stat::{major, minor};
use nix::sys::statvfs::statvfs;

use super::bundle::{keyring, open, told};
use super::host::{device_folder, label};
use super::record::{boot_id, read_order, read_record, write_progress, write_record};
use super::trial::{Assessment, assess};
use super::{
    BUNDLE, BootFiles, FileError, OrderProgress, Places, Record, RecordState, failed, image_version,
    secure_boot, sysupdate,
};
use crate::appliance::Version;
use crate::appliance::bundle::{BadBundle, Bundle, Listed, Manifest};

/// Where systemd-sysupdate takes a version from; below root's own folder.
const SOURCE: &str = "source";
/// A link to the whole disk that was booted, for the transfer files; below root's folder in memory.
const DISK: &str = "disk";
/// The initrd's links to partitions of the booted disk.
const LINKS: &str = "dev/disk/ironwake";
/// What UEFI starts.
const KERNEL: &str = "kernel.efi";
/// So much of /var stays free: the database needs it.
const FREE_BYTES_MIN: u64 = 64 << 20;
/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_millis(500);
/// Bytes that are copied at once.
const PIECE_BYTES: usize = 1 << 20;

/// Why an update is not installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The bundle.
    #[error(transparent)]
    Bundle(#[from] BadBundle),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// This is no appliance.
    #[error(
        "this host is no Ironwake appliance (os-release has no IMAGE_ID=ironwake): its packages are updated by apt"
    )]
    NotAnAppliance,
    /// It runs already.
    #[error("{0} is the version that runs")]
    Same(Version),
    /// It would be a step back.
    #[error("{version} is older than {running}, which runs: `--allow-older` installs it all the same")]
    Older {
        /// The bundle's.
        version: Version,
        /// The one that runs.
        running: Version,
    },
    /// The one that runs may have to be gone back from.
    #[error(
        "{0}, which runs, is on trial: wait until it is found healthy, or until the version before runs again"
    )]
    OnTrial(Version),
    /// It does not fit.
    #[error("{} has {free} bytes free, and the update needs {wanted}: delete images that nothing needs (`ironwake artifact list`)", path.display())]
    NoRoom {
        /// Which folder.
        path: PathBuf,
        /// What is free.
        free: u64,
        /// What it takes.
        wanted: u64,
    },
    /// The firmware would not start it.
    #[error(
        "kernel.efi is not signed, and Secure Boot is on here: the update of an image that was made with SECUREBOOT= is made with it too"
    )]
    NotSigned,
    /// The disk that was booted is not found.
    #[error("find the disk that was booted: {0}")]
    Disk(String),
    /// systemd-sysupdate.
    #[error("{0}")]
    Sysupdate(String),
}

/// Installs the bundle that waits in the inbox. Progress is in a file all the while, and so is the end.
pub fn install(places: &Places, now: Millis) -> Result<Manifest, InstallError> {
    for folder in [&places.state, &places.run] {
        fs::create_dir_all(folder).map_err(failed("make", folder))?;
    }
    let mut teller = Teller::new(places);
    let done = try_install(places, now, &mut teller);
    let source = places.state.join(SOURCE);
    if source.exists() {
        fs::remove_dir_all(&source).map_err(failed("remove", &source))?;
    }
    match &done {
        Ok(_) => teller.end(UpdateStep::Done, None),
        Err(error) => teller.end(UpdateStep::Failed, Some(told(error))),
    }
    done
}

fn try_install(places: &Places, now: Millis, teller: &mut Teller<'_>) -> Result<Manifest, InstallError> {
    let running = image_version(&places.root).ok_or(InstallError::NotAnAppliance)?;
    let order = read_order(places)?.unwrap_or_default();
    teller.order.clone_from(&order.id);
    teller.tell(UpdateStep::Checking, 0, 0, true);
    let keys = keyring(&places.root)?;
    let bundle = Bundle::open(open(&places.inbox.join(BUNDLE))?, &keys, now)?;
    let manifest = bundle.manifest().clone();
    teller.version = Some(manifest.version.to_string());
    admit(&manifest.version, &running, order.allow_older)?;
    // What an update of this boot has put last for an older version counts like one on trial, and is none.
    let again = read_record(places)?.is_some_and(|record| record.boot_id == boot_id(&places.root));
    if !again && assess(places, &running)? != Assessment::Settled {
        return Err(InstallError::OnTrial(running));
    }
    check_room(&places.state, manifest.unpacked_bytes())?;
    let source = unpack(places, bundle, teller)?;
    check_kernel(places, &manifest, &source)?;
    let record = Record {
        version: manifest.version.to_string(),
        from: running.to_string(),
        at: now,
        boot_id: boot_id(&places.root),
        state: RecordState::Installing,
        boots: None,
        why: None,
        failed_before: order.failed_before,
    };
    write_record(places, &record)?;
    let written = write_slot(places, &manifest, &running, &source, teller);
    let record = match &written {
        Ok(()) => Record { state: RecordState::Installed, ..record },
        Err(error) => Record { state: RecordState::Failed, why: Some(told(error)), ..record },
    };
    write_record(places, &record)?;
    written.map(|()| manifest)
}

/// Whether a version may follow the one that runs.
fn admit(version: &Version, running: &Version, allow_older: bool) -> Result<(), InstallError> {
    let (version, running) = (version.clone(), running.clone());
    match version.cmp(&running) {
        std::cmp::Ordering::Equal => Err(InstallError::Same(version)),
        std::cmp::Ordering::Less if !allow_older => Err(InstallError::Older { version, running }),
        _ => Ok(()),
    }
}

fn check_room(path: &Path, wanted: u64) -> Result<(), InstallError> {
    let found = statvfs(path).map_err(|error| failed("look for room in", path)(error.into()))?;
    let free = found.blocks_available() as u64 * found.fragment_size() as u64;
    let wanted = wanted.saturating_add(FREE_BYTES_MIN);
    match free >= wanted {
        true => Ok(()),
        false => Err(InstallError::NoRoom { path: path.into(), free, wanted }),
    }
}

/// Unpacks every file to root's own folder, under names that the transfer files know. What is there has the signed digest.
fn unpack(
    places: &Places,
    mut bundle: Bundle<impl Read>,
    teller: &mut Teller<'_>,
) -> Result<PathBuf, InstallError> {
    let folder = places.state.join(SOURCE);
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(failed("remove", &folder))?;
    }
    fs::create_dir(&folder).map_err(failed("make", &folder))?;
    let manifest = bundle.manifest().clone();
    let total = manifest.unpacked_bytes();
    let mut before = 0;
    loop {
        let (folder, version, told) =
            (&folder, &manifest.version, Told { before, total, teller: &mut *teller });
        let open = move |listed: &Listed| {
            let path = folder.join(source_name(version, listed));
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
            Unpacked::new(file, listed, told)
        };
        let Some((listed, unpacked)) = bundle.next_file(open)? else { break };
        let size = unpacked.finish().map_err(BadBundle::Read)?;
        if size != listed.unpacked_size {
            let expected = format!("its manifest says {} unpacked", listed.unpacked_size);
            return Err(BadBundle::Size { name: listed.part.name.into(), found: size, expected }.into());
        }
        before += size;
    }
    Ok(folder)
}

/// In BIOS, and where the firmware starts anything, a kernel needs no signature.
fn check_kernel(places: &Places, manifest: &Manifest, source: &Path) -> Result<(), InstallError> {
    let kernel = manifest.files.iter().find(|listed| listed.part.name == KERNEL);
    let Some(kernel) = kernel.filter(|_| secure_boot::is_on(&places.efivars)) else { return Ok(()) };
    let path = source.join(source_name(&manifest.version, kernel));
    let signed = File::open(&path).and_then(|file| secure_boot::is_signed(&file));
    match signed.map_err(failed("read", &path))? {
        true => Ok(()),
        false => Err(InstallError::NotSigned),
    }
}

fn source_name(version: &Version, listed: &Listed) -> String {
    format!("ironwake_{version}.{}", listed.part.ending)
}

/// Writes the other slot and the ESP. Up to the last step nothing but the running version boots.
fn write_slot(
    places: &Places,
    manifest: &Manifest,
    running: &Version,
    source: &Path,
    teller: &mut Teller<'_>,
) -> Result<(), InstallError> {
    let version = &manifest.version;
    let files = BootFiles::open(places)?;
    let other = link_disk(places)?;
    // Whatever was on trial is overwritten, and what runs is what boots and what is gone back to.
    files.bless(running)?;
    files.keep_only(running)?;
    let root = manifest.files.iter().find(|listed| listed.part.packed);
    let root_bytes = root.map_or(0, |listed| listed.unpacked_size);
    // A slot that has this version's name keeps it, whatever is in it: systemd-sysupdate would leave it alone.
    if let (Some(slot), Some(listed)) = (&other, root)
        && slot.label.as_deref() == Some(format!("ironwake_{version}").as_str())
    {
        rewrite(&source.join(source_name(version, listed)), &slot.device, root_bytes, teller)?;
    }
    teller.tell(UpdateStep::Installing, 0, root_bytes, true);
    // systemd-sysupdate looks for its folders in a way that does not mount the ESP, and by now it may not be mounted any more.
    BootFiles::open(places)?;
    sysupdate::run(places, version, |percent| {
        teller.tell(
            UpdateStep::Installing,
            root_bytes * u64::from(percent.min(100)) / 100,
            root_bytes,
            false,
        );
    })
    .map_err(InstallError::Sysupdate)?;
    // Whatever is lost with the power from here on, the version has its name and all of its bytes.
    let disk = places.run.join(DISK);
    File::open(&disk).and_then(|disk| disk.sync_all()).map_err(failed("write", &disk))?;
    files.sync().map_err(failed("write", &places.esp))?;
    files.offer(version)?;
    if version < running {
        files.put_last(running)?;
    }
    let mut grubenv = files.grubenv();
    grubenv.try_version(version);
    Ok(files.write_grubenv(&grubenv)?)
}

/// The slot that does not run.
struct OtherSlot {
    device: PathBuf,
    label: Option<String>,
}

/// Makes the link to the disk that the transfer files name, and finds the slot that does not run. A link that is there already
/// and leads to a file is a test's.
fn link_disk(places: &Places) -> Result<Option<OtherSlot>, InstallError> {
    let link = places.run.join(DISK);
    if fs::metadata(&link).is_ok_and(|found| found.is_file()) {
        return Ok(None);
    }
    let lost = |what: String| InstallError::Disk(what);
    let esp = sys_folder(places, &places.root.join(LINKS).join("esp")).map_err(lost)?;
    let other = places.root.join(LINKS).join("root-other");
    let slot = sys_folder(places, &other).map_err(lost)?;
    let disk =
        esp.parent().and_then(Path::file_name).ok_or_else(|| lost("the ESP is no partition".into()))?;
    if slot.parent() != esp.parent() {
        return Err(lost("its ESP and its other slot are on two disks".into()));
    }
    let _ = fs::remove_file(&link);
    symlink(places.root.join("dev").join(disk), &link).map_err(failed("make the link", &link))?;
    Ok(Some(OtherSlot { label: label(&places.root, &slot), device: other }))
}

/// The kernel's folder of a block device.
fn sys_folder(places: &Places, device: &Path) -> Result<PathBuf, String> {
    let metadata = fs::metadata(device).map_err(|error| format!("{}: {error}", device.display()))?;
    if !metadata.file_type().is_block_device() {
        return Err(format!("{} is no block device", device.display()));
    }
    let number = metadata.rdev();
    let number = format!("{}:{}", major(number), minor(number));
    device_folder(&places.root, &number).ok_or_else(|| format!("the kernel has no device {number}"))
}

/// Writes a slot whose name stays as it is.
fn rewrite(image: &Path, device: &Path, total: u64, teller: &mut Teller<'_>) -> Result<(), FileError> {
    let mut write = || -> io::Result<()> {
        let mut source = File::open(image)?;
        let mut target =
            OpenOptions::new().write(true).custom_flags(libc::O_NOFOLLOW).open(fs::canonicalize(device)?)?;
        target.seek(SeekFrom::Start(0))?;
        let mut piece = vec![0; PIECE_BYTES];
        let mut done = 0;
        loop {
            match source.read(&mut piece)? {
                0 => break,
                count => target.write_all(&piece[..count])?,
            }
            done = (done + PIECE_BYTES as u64).min(total);
            teller.tell(UpdateStep::Installing, done, total, false);
        }
        target.sync_all()
    };
    write().map_err(failed("write", device))
}

/// A file that is being unpacked, and no larger than its manifest says.
enum Unpacked<'t, 'p> {
    Plain(Counted<'t, 'p>),
    Packed(Box<zstd::stream::write::Decoder<'static, Counted<'t, 'p>>>),
}

impl<'t, 'p> Unpacked<'t, 'p> {
    fn new(file: File, listed: &Listed, told: Told<'t, 'p>) -> io::Result<Self> {
        let counted = Counted { file, size: 0, size_max: listed.unpacked_size, told };
        Ok(match listed.part.packed {
            true => Self::Packed(Box::new(zstd::stream::write::Decoder::new(counted)?)),
            false => Self::Plain(counted),
        })
    }

    /// Its size, once all of it is on the disk.
    fn finish(self) -> io::Result<u64> {
        let counted = match self {
            Self::Plain(counted) => counted,
            Self::Packed(mut decoder) => {
                decoder.flush()?;
                decoder.into_inner()
            }
        };
        counted.file.sync_all()?;
        Ok(counted.size)
    }
}

impl Write for Unpacked<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(counted) => counted.write(bytes),
            Self::Packed(decoder) => decoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Counted<'t, 'p> {
    file: File,
    size: u64,
    size_max: u64,
    told: Told<'t, 'p>,
}

/// Where this file stands among all of them.
struct Told<'t, 'p> {
    before: u64,
    total: u64,
    teller: &'t mut Teller<'p>,
}

impl Write for Counted<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.size += bytes.len() as u64;
        if self.size > self.size_max {
            return Err(io::Error::other(format!(
                "it is larger than the {} bytes of its manifest",
                self.size_max
            )));
        }
        self.file.write_all(bytes)?;
        self.told.teller.tell(UpdateStep::Unpacking, self.told.before + self.size, self.told.total, false);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Tells how far it is, in a file that the daemon reads.
struct Teller<'p> {
    places: &'p Places,
    order: String,
    version: Option<String>,
    step: Option<UpdateStep>,
    began: Instant,
    told: Option<Instant>,
}

impl<'p> Teller<'p> {
    fn new(places: &'p Places) -> Self {
        Self { places, order: String::new(), version: None, step: None, began: Instant::now(), told: None }
    }

    fn tell(&mut self, step: UpdateStep, done: u64, total: u64, now: bool) {
        if self.step != Some(step) {
            (self.step, self.began, self.told) = (Some(step), Instant::now(), None);
        }
        if !now && self.told.is_some_and(|told| told.elapsed() < TELL_EVERY) {
            return;
        }
        self.told = Some(Instant::now());
        let secs = self.began.elapsed().as_secs_f64();
        let bytes_per_sec = if secs > 1.0 { (done as f64 / secs) as u64 } else { 0 };
        let progress =
            Progress { done_bytes: done, total_bytes: (total > 0).then_some(total), bytes_per_sec };
        self.put(UpdateProgress::of(self.version.clone(), step, progress));
    }

    fn end(&mut self, step: UpdateStep, error: Option<String>) {
        let told = UpdateProgress::of(self.version.clone(), step, Progress::default());
        self.put(UpdateProgress { error, ..told });
    }

    /// That nobody can read how far it is does not keep it from going on.
    fn put(&self, progress: UpdateProgress) {
        let told = OrderProgress { order: self.order.clone(), progress };
        if let Err(error) = write_progress(self.places, &told) {
            tracing::warn!(%error, "progress is not told");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_newer_follows_unless_older_is_asked_for() {
        let check = |version: &str, older: bool| {
            let version = version.parse().expect("a version");
            let running = "0.2.0".parse().expect("a version");
            admit(&version, &running, older).err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert_eq!(check("0.10.0", false), "");
        assert_eq!(check("0.2.0", true), "0.2.0 is the version that runs");
        assert!(check("0.1.9", false).contains("is older than 0.2.0, which runs: `--allow-older`"));
        assert_eq!(check("0.1.9", true), "");
    }
}
