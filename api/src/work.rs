//! What an armed machine does: the agent claims the operation's work with its token, and reports how it goes.
//!
//! `POST /boot/v1/operations/claim` with [`ClaimRequest`] answers 200 with [`Claim`] once, to one taker;
//! `POST /boot/v1/operations/{id}/report` with [`WorkReport`] answers 204, or 409 where the operation has ended.
//! Both carry the token in `Authorization: Bearer …`; an unknown or used one gets 401.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{ApprovedDisk, Disk, MacAddr, OperationKind, Progress};

/// The largest answer to a claim, as JSON. The daemon makes none that is larger, and the agent reads none.
pub const CLAIM_BYTES_MAX: usize = 16 << 20;

/// Who claims the work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ClaimRequest {
    /// The machine's id, as its enrolment was answered.
    pub machine: String,
    /// The MAC address that this boot came through.
    pub boot_mac: MacAddr,
}

/// The work of one armed boot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Claim {
    /// The operation.
    pub operation: String,
    /// Its kind.
    pub kind: OperationKind,
    /// What is to be done.
    pub work: Work,
}

/// What the agent is to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Work {
    /// Report the inventory, which enrolment has done; then wait for orders as ever.
    Inspect,
    /// Write a disk image.
    Image(Box<ImageWork>),
    /// Overwrite disks.
    Wipe(WipeWork),
    /// Offer a shell until told to reboot.
    Rescue,
}

/// A disk image to write.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImageWork {
    /// The only disk that may be written.
    pub disk: ApprovedDisk,
    /// The image.
    pub image: ImageSource,
    /// Whether the last partition, and the filesystem in it where that can be done, takes what is left of the disk.
    pub grow: bool,
    /// Files put into the filesystems of the image once it is written.
    #[serde(default)]
    pub files: Vec<InjectedFile>,
    /// The firmware's boot entry on UEFI machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_entry: Option<BootEntry>,
}

/// Where an image comes from. Served with ranges: a broken connection goes on where it broke.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImageSource {
    /// URL path on the daemon.
    pub path: String,
    /// How it is packed.
    pub packing: Packing,
    /// Bytes as served.
    pub size_bytes: u64,
    /// Digest of the bytes as served, 64 hexadecimal digits.
    pub sha256: String,
    /// Bytes of the disk image itself, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_bytes: Option<u64>,
}

/// How an image is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Packing {
    /// Not at all.
    Raw,
    /// gzip (RFC 1952), members one after the other.
    Gzip,
    /// xz.
    Xz,
    /// Zstandard (RFC 8878).
    Zstd,
    /// bzip2.
    Bzip2,
}

/// A file that is put into a filesystem of the written image.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InjectedFile {
    /// Which partition.
    pub partition: PartitionChoice,
    /// Absolute path in its filesystem; folders are made where they are missing (0755).
    pub path: String,
    /// Permission bits, such as 0o600.
    pub mode: u32,
    /// What it holds. May be a secret: it is not shown by `Debug`.
    pub content: String,
}

impl fmt::Debug for InjectedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InjectedFile")
            .field("partition", &self.partition)
            .field("path", &self.path)
            .field("mode", &format_args!("{:o}", self.mode))
            .field("content", &format_args!("{} bytes", self.content.len()))
            .finish()
    }
}

/// A partition of the written disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum PartitionChoice {
    /// By number, from 1.
    Number(u32),
    /// By the filesystem's label, or the partition's name.
    Label(String),
}

/// A boot entry of UEFI (`Boot####`), put first in the order; others stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BootEntry {
    /// What the firmware shows.
    pub label: String,
    /// The EFI system partition's number, from 1.
    pub partition: u32,
    /// The loader's path on it, with backslashes: `\EFI\debian\shimx64.efi`.
    pub loader: String,
}

/// Disks to overwrite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WipeWork {
    /// The only disks that may be written.
    pub disks: Vec<ApprovedDisk>,
    /// Whether every sector is overwritten, not only what makes the disk look like it holds something.
    pub every_sector: bool,
}

/// How the work goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "report", rename_all = "snake_case")]
pub enum WorkReport {
    /// The disks are as approved; the first write comes once this is answered. For rescue: the shell is open.
    Began,
    /// How much is written.
    Progress {
        /// So much.
        #[serde(flatten)]
        progress: Progress,
        /// What is being done, such as `zeroing sda` or `writing sda`.
        what: String,
    },
    /// The approved disks as they are once they were written, or once writing has failed: they are part of the machine's
    /// inventory from here on.
    Disks {
        /// Each with its table and what is on it.
        disks: Vec<Disk>,
    },
    /// All is done; the machine reboots once this is answered.
    Done,
    /// It cannot go on, and what was begun is undone as far as that goes.
    Failed {
        /// Why, in a sentence without a full stop.
        reason: String,
    },
}
