//! Backup and restore of an appliance.

use serde::{Deserialize, Serialize};

use crate::{Millis, Secret};

/// The media type of a backup: a tar that age(1) opens with the passphrase.
pub const BACKUP_MEDIA_TYPE: &str = "application/age";
/// A header of a backup's answer: bytes of what is in it, which is a little less than what comes.
pub const BACKUP_SIZE_HEADER: &str = "ironwake-backup-size";
/// A header of the request to restore: the passphrase, its UTF-8 as hexadecimal digits.
pub const PASSPHRASE_HEADER: &str = "ironwake-passphrase";
/// Shorter passphrases are guessed.
pub const PASSPHRASE_CHARS_MIN: usize = 8;
/// It goes in a header.
pub const PASSPHRASE_BYTES_MAX: usize = 1024;

/// `POST /api/v1/backup`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct BackupNew {
    /// What it is encrypted with: 8 characters or more.
    pub passphrase: Secret,
    /// Imported images too, as far as a name or an operation needs them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub artifacts: bool,
    /// The host key of the SSH server, in OpenSSH's format: the daemon cannot read it, so whoever can gives it along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh_host_key: Option<Secret>,
}

/// How a backup is restored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[serde(deny_unknown_fields, default)]
pub struct RestoreQuery {
    /// In place of the machines that this appliance knows already.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub replace: bool,
    /// With the host name and the addresses of the appliance that was backed up, which must not be there any more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub address: bool,
}

/// What was restored; the daemon starts again with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Restored {
    /// When the backup was made.
    pub made_at: Millis,
    /// By this version.
    pub version: String,
    /// The appliance that it is of.
    pub hostname: String,
    /// How many machines it has.
    pub machines: u64,
    /// How many images it has.
    pub images: u64,
    /// Names of images that it names and has not: they are imported again.
    pub images_missing: Vec<String>,
    /// Files of the system that it has, and this host has not or has otherwise: the daemon may not write them.
    pub by_hand: Vec<String>,
    /// The host key of the SSH server, for whoever may write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh_host_key: Option<Secret>,
}
