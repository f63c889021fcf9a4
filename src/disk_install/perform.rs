//! The installation itself, step by step.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use ironwake_agent::inventory::{disk, sysfs};
use ironwake_agent::work::guard::{self, ApprovedTarget};
use ironwake_agent::work::target::{Block, DiskTarget, Target};
use ironwake_agent::work::{efi_boot, signature};
use ironwake_api::{ApplianceDisks, ApprovedDisk, BootEntry, InstallPhase, Millis};
use tracing::info;
use uuid::Uuid;

use super::boot_code::{self, CODE_BYTES, SECTOR};
use super::layout::{BACK_BYTES, BIOS_BOOT, ESP, FRONT_BYTES, Layout, OTHER_ROOT, ROOT, Span, VAR};
use super::progress::Progress;
use super::source::Source;
use super::{esp, facts, state};
use crate::builders::ChildError;

/// Written at once.
const BLOCK_BYTES: usize = 4 << 20;
/// What is zeroed at the start of the slot that stays empty, so that nothing of before is found there.
const CLEARED_BYTES: u64 = 1 << 20;
/// How often the kernel is asked how much it has written.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const EFI_VARIABLES: &str = "sys/firmware/efi/efivars";
/// What the firmware's menu shows.
const ENTRY_LABEL: &str = "Ironwake";
/// The loader where firmware looks for one by itself; its partition is the ESP.
const ENTRY_LOADER: &str = "\\EFI\\BOOT\\BOOTX64.EFI";
const ENTRY_PARTITION: u32 = 2;

/// Why the appliance was not installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The disk is not written: nothing of it has changed.
    #[error("{0}: nothing was written")]
    Refused(String),
    /// A step failed.
    #[error("{what}: {reason}")]
    Step {
        /// Which.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// A program failed.
    #[error(transparent)]
    Program(#[from] ChildError),
    /// A step failed after the disk was begun.
    #[error(
        "{0}; the disk has no partition table now and cannot be booted, and what was booted from is as it was"
    )]
    Begun(Box<Self>),
}

impl InstallError {
    /// `what` failed.
    pub(super) fn step(what: &'static str, reason: String) -> Self {
        Self::Step { what, reason }
    }
}

/// The host that installs itself.
#[derive(Debug, Clone)]
pub struct Host {
    /// Everything is looked for below it: `/`.
    pub root: PathBuf,
    /// Where progress is written.
    pub run: PathBuf,
    /// A folder of its own on the filesystem of `/var`; it is gone in the end.
    pub work: PathBuf,
    /// What time it is.
    pub now: Millis,
}

/// Installs the appliance on the disk of this digest, called `name` by whoever ordered it. `mark` becomes the identifier of its
/// `/var`. How far it is, and why it failed, is in [`Host::run`] too.
pub fn run(host: &Host, name: &str, digest: &str, mark: Uuid) -> Result<(), InstallError> {
    let mut progress = Progress::new(&host.run, name, host.now);
    let done = Installation { host, progress: &mut progress }.run(name, digest, mark);
    let _ = fs::remove_dir_all(&host.work);
    match &done {
        Ok(()) => progress.phase(InstallPhase::Done),
        Err(error) => progress.failed(match std::error::Error::source(error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        }),
    }
    done
}

struct Installation<'a> {
    host: &'a Host,
    progress: &'a mut Progress,
}

/// What is written, gathered before the disk is touched.
struct Gathered {
    source: Source,
    layout: Layout,
    esp: PathBuf,
    state: PathBuf,
    esp_bytes: u64,
    state_bytes: u64,
}

impl Installation<'_> {
    fn run(&mut self, name: &str, digest: &str, mark: Uuid) -> Result<(), InstallError> {
        let root = &self.host.root;
        let disks = facts::read(root, self.host.now);
        let mut approved = choose(&disks, name, digest)?;
        let target = check(root, &approved)?;
        let gathered = self.gather(&disks, target.size_bytes())?;
        // What was gathered took its time.
        let target = check(root, &approved)?;
        info!(disk = target.name(), version = %gathered.source.version, "the appliance is installed");
        approved.begun = true;
        self.write(&target, &approved, &gathered, mark).map_err(|error| {
            // Nothing of it may look like an appliance.
            if let Ok(target) = check(root, &approved).and_then(open) {
                clear(target, &gathered.layout);
            }
            InstallError::Begun(Box::new(error))
        })?;
        self.boot_entry(&approved);
        Ok(())
    }

    fn gather(&mut self, disks: &ApplianceDisks, size_bytes: u64) -> Result<Gathered, InstallError> {
        let Host { root, work, .. } = self.host;
        let source = Source::find(root, disks)?;
        if source.grub.is_none() {
            let uefi = root.join("sys/firmware/efi").exists();
            let told = "GRUB is not on the medium that was booted: the disk will boot by UEFI alone";
            match uefi {
                true => self.progress.note(told.to_owned()),
                false => return Err(InstallError::Refused(format!("{told}, and this host booted by BIOS"))),
            }
        }
        // Keys are gathered there.
        let made = DirBuilder::new().recursive(true).mode(0o700).create(work);
        made.map_err(|error| InstallError::step("make a folder", error.to_string()))?;
        let layout = Layout::make(work, size_bytes, source.version.as_str())?;
        if source.slot.span.size > layout.spans[ROOT].size {
            let (has, room) = (source.slot.span.size, layout.spans[ROOT].size);
            return Err(InstallError::Refused(format!("the system has {has} bytes, and its slot {room}")));
        }
        let (esp, state) = (work.join("esp"), work.join("copy"));
        let _ = fs::remove_dir_all(&esp);
        let esp_bytes = esp::gather(&source.esp, source.version.as_str(), &esp)?;
        let state_bytes = state::gather(&root.join("var"), &state)?;
        if !state::fits(state_bytes, layout.spans[VAR]) {
            let room = layout.spans[VAR].size;
            return Err(InstallError::Refused(format!(
                "the state of this appliance has {state_bytes} bytes, and its partition would have {room}: delete images with \
                 `ironwake artifact delete`, or take a larger disk"
            )));
        }
        self.progress.total(source.slot.span.size + esp_bytes + state_bytes);
        Ok(Gathered { source, layout, esp, state, esp_bytes, state_bytes })
    }

    /// Writes everything, the table last.
    fn write(
        &mut self,
        approved: &ApprovedTarget,
        begun: &ApprovedDisk,
        gathered: &Gathered,
        mark: Uuid,
    ) -> Result<(), InstallError> {
        let spans = &gathered.layout.spans;
        self.progress.phase(InstallPhase::Wiping);
        let mut disk = open_approved(approved)?;
        signature::wipe(&mut disk, approved.partitions()).map_err(step("remove what was on the disk"))?;
        disk.flush().map_err(step("remove what was on the disk"))?;

        self.progress.phase(InstallPhase::System);
        let code = self.write_grub(&mut disk, gathered)?;
        self.write_slot(&mut disk, gathered)?;
        let other = spans[OTHER_ROOT];
        disk.zero(other.start, CLEARED_BYTES.min(other.size)).map_err(step("clear the other slot"))?;
        disk.flush().map_err(step("copy the system"))?;
        // The tools that follow take the disk by its name, and want it to themselves. As long as somebody has it open, the kernel
        // gives that name to no other disk, even if it is pulled out.
        let held = File::open(approved.node()).map_err(step("hold the disk"))?;
        drop(disk);

        self.progress.phase(InstallPhase::BootFiles);
        let before = self.progress.done_bytes();
        esp::write(&gathered.esp, approved.node(), spans[ESP])?;
        self.progress.set(before + gathered.esp_bytes);

        self.progress.phase(InstallPhase::State);
        self.write_state(approved, gathered, mark)?;
        sync(approved.node()).map_err(step("write everything to the disk"))?;

        self.progress.phase(InstallPhase::Finishing);
        let root = &self.host.root;
        let mut disk = check(root, begun).and_then(open)?;
        drop(held);
        write_table(&mut disk, &gathered.layout, code).map_err(step("write the partition table"))?;
        disk.reread_partitions().map_err(step("have the kernel read the partition table"))
    }

    /// GRUB's core; what is to stand in the first sector.
    fn write_grub(
        &self,
        disk: &mut DiskTarget,
        gathered: &Gathered,
    ) -> Result<[u8; CODE_BYTES], InstallError> {
        const WHAT: &str = "write GRUB";
        let span = gathered.layout.spans[BIOS_BOOT];
        let Some((boot, core)) = &gathered.source.grub else {
            disk.zero(span.start, span.size).map_err(step(WHAT))?;
            return Ok([0; CODE_BYTES]);
        };
        let at = span.start / SECTOR as u64;
        let damaged = || InstallError::step(WHAT, "what the medium has of it is damaged".to_owned());
        let code = boot_code::first_sector(boot, at).ok_or_else(damaged)?;
        let core = boot_code::core(core.clone(), at).filter(|core| core.len() as u64 <= span.size);
        disk.write_at(span.start, &core.ok_or_else(damaged)?).map_err(step(WHAT))?;
        Ok(code)
    }

    fn write_slot(&mut self, disk: &mut DiskTarget, gathered: &Gathered) -> Result<(), InstallError> {
        const WHAT: &str = "copy the system";
        let (slot, span) = (&gathered.source.slot, gathered.layout.spans[ROOT]);
        let file = File::open(&slot.path).map_err(step(WHAT))?;
        let (mut block, zeros) = (Block::new(BLOCK_BYTES), vec![0; BLOCK_BYTES]);
        let mut at = 0;
        while at < slot.span.size {
            let length = BLOCK_BYTES.min((slot.span.size - at) as usize);
            let bytes = &mut block.bytes_mut()[..length];
            file.read_exact_at(bytes, slot.span.start + at).map_err(step(WHAT))?;
            let (padded, place) = (length.next_multiple_of(SECTOR), span.start + at);
            if block.bytes()[..length] == zeros[..length] {
                disk.zero(place, padded as u64).map_err(step(WHAT))?;
            } else {
                block.bytes_mut()[length..padded.max(length)].fill(0);
                disk.write_at(place, &block.bytes()[..padded]).map_err(step(WHAT))?;
            }
            at += length as u64;
            self.progress.add(length as u64);
        }
        Ok(())
    }

    /// One program makes the filesystem with everything in it: how far it is, the kernel knows.
    fn write_state(
        &mut self,
        approved: &ApprovedTarget,
        gathered: &Gathered,
        mark: Uuid,
    ) -> Result<(), InstallError> {
        let statistics = self.host.root.join("sys/block").join(approved.name()).join("stat");
        let (before, first) = (self.progress.done_bytes(), written_bytes(&statistics));
        let span = gathered.layout.spans[VAR];
        let made = thread::scope(|scope| {
            let making = scope.spawn(|| state::write(&gathered.state, approved.node(), span, mark));
            while !making.is_finished() {
                thread::park_timeout(LOOK_EVERY);
                let more = written_bytes(&statistics).saturating_sub(first);
                self.progress.set(before + more.min(gathered.state_bytes));
            }
            making.join()
        });
        made.unwrap_or_else(|_| {
            Err(InstallError::step("copy configuration and state", "it broke off".into()))
        })?;
        self.progress.set(before + gathered.state_bytes);
        Ok(())
    }

    /// The firmware starts the disk before the stick. Without that the disk is found all the same, by the path of its loader.
    fn boot_entry(&mut self, approved: &ApprovedDisk) {
        let folder = self.host.root.join(EFI_VARIABLES);
        if !folder.is_dir() {
            return;
        }
        let mut unread = Vec::new();
        let disks = disk::read(&self.host.root, &mut unread);
        let Some(written) = disks.iter().find(|disk| approved.is_claimed_by(disk)) else { return };
        let (label, loader) = (ENTRY_LABEL.to_owned(), ENTRY_LOADER.to_owned());
        let entry = BootEntry { label, partition: ENTRY_PARTITION, loader };
        if let Err(error) = efi_boot::write(&folder, &entry, written) {
            let name = &written.name;
            self.progress
                .note(format!("the firmware took no boot entry ({error}): choose {name} in its menu"));
        }
    }
}

fn step(what: &'static str) -> impl Fn(io::Error) -> InstallError {
    move |error| InstallError::step(what, error.to_string())
}

/// The disk that was approved: the only one with this digest, and none that is in use.
fn choose(disks: &ApplianceDisks, name: &str, digest: &str) -> Result<ApprovedDisk, InstallError> {
    let mut fitting = disks.disks.iter().filter(|disk| disk.digest == digest);
    let refused = |text: String| Err(InstallError::Refused(text));
    match (fitting.next(), fitting.next()) {
        (Some(found), None) => match &found.refused {
            Some(why) => refused(format!("{}: {why}", found.disk.name)),
            None => Ok(ApprovedDisk::from(&found.disk)),
        },
        (Some(_), Some(_)) => refused(format!(
            "two disks are what was approved as {name}: take one out, they cannot be told apart"
        )),
        (None, _) => refused(format!(
            "no disk is what was approved as {name}: it was taken out, or what is on it has changed; list the disks again"
        )),
    }
}

fn check(root: &Path, approved: &ApprovedDisk) -> Result<ApprovedTarget, InstallError> {
    guard::check(root, approved).map_err(|refusal| InstallError::Refused(refusal.to_string()))
}

fn open_approved(approved: &ApprovedTarget) -> Result<DiskTarget, InstallError> {
    DiskTarget::open(approved).map_err(|error| InstallError::step("open the disk", error.to_string()))
}

fn open(approved: ApprovedTarget) -> Result<DiskTarget, InstallError> {
    open_approved(&approved)
}

/// The second table first, then the first, then the sector that firmware begins with: each is on the disk before the next.
fn write_table(disk: &mut DiskTarget, layout: &Layout, code: [u8; CODE_BYTES]) -> io::Result<()> {
    let end = disk.size_bytes();
    disk.write_at(end - BACK_BYTES as u64, &layout.back)?;
    disk.flush()?;
    disk.write_at(SECTOR as u64, &layout.front[SECTOR..])?;
    disk.flush()?;
    let mut first = layout.front[..SECTOR].to_vec();
    first[..CODE_BYTES].copy_from_slice(&code);
    disk.write_at(0, &first)?;
    disk.flush()
}

/// Takes away what was begun, as well as that goes.
fn clear(mut disk: DiskTarget, layout: &Layout) {
    let end = disk.size_bytes();
    let spans = [Span { start: 0, size: FRONT_BYTES as u64 }, layout.spans[ESP], layout.spans[ROOT]];
    for span in spans {
        let _ = disk.zero(span.start, CLEARED_BYTES.min(span.size));
    }
    let _ = disk.zero(end - BACK_BYTES as u64, BACK_BYTES as u64);
    let _ = disk.flush();
}

fn sync(node: &Path) -> io::Result<()> {
    File::options().read(true).write(true).open(node)?.sync_all()
}

/// Bytes that the kernel has written to a disk (Documentation/block/stat: the seventh field counts sectors of 512 bytes).
fn written_bytes(statistics: &Path) -> u64 {
    let text = sysfs::text(statistics).unwrap_or_default();
    text.split_whitespace().nth(6).and_then(|sectors| sectors.parse().ok()).unwrap_or(0) * SECTOR as u64
}
