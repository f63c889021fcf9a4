//! What a backup says of itself, and which files can be in one.

use ironwake_api::Millis;
use serde::{Deserialize, Serialize};

use crate::artifact::Digest;
use crate::systemd;

/// The first file of a backup.
pub const MANIFEST: &str = "backup.json";
/// The version of the format.
pub const FORMAT: u32 = 1;
/// The database, in the state directory and in a backup.
pub const DATABASE: &str = "ironwake.db";
/// The operator's file, as it is in a backup. It belongs to the system, and is not put back: its values are.
pub const CONFIGURATION: &str = "config/ironwake.toml";
/// The host key of the SSH server, as it is in a backup.
pub const SSH_HOST_KEY: &str = "ssh/host_key";

/// Files of the state directory that make the appliance what it is. All others are made anew.
pub const STATE_FILES: &[&str] =
    &[DATABASE, "settings.toml", "site.key", "authority.pem", "password", "ntp-servers.json"];
/// Files of the state directory that belong to what is replaced, and are in no backup.
pub const STATE_REMNANTS: &[&str] = &["ironwake.db-wal", "ironwake.db-shm", "network-change.json"];

/// Whose backup it is, and what is in it. The digests are those of what comes behind it, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`]
    pub format: u32,
    /// Of the program that made it.
    pub version: String,
    /// Of its database.
    pub schema: u32,
    /// When it was made.
    pub made_at: Millis,
    /// The appliance's name.
    pub hostname: String,
    /// Whether images are in it.
    pub artifacts: bool,
    /// Every other file.
    pub files: Vec<Entry>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its path in the backup.
    pub name: String,
    /// Its bytes.
    pub size: u64,
    /// 64 hexadecimal digits.
    pub sha256: String,
}

/// Where a file of a backup belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'n> {
    /// In the state directory, under this name.
    State(&'n str),
    /// Among the images.
    Import(Digest),
    /// Among the files that give interfaces their addresses.
    Network(&'n str),
    /// It is the operator's file.
    Configuration,
    /// It is a file of the host at `/` and this.
    Host(&'n str),
    /// It is the key of the SSH server.
    SshHostKey,
}

impl Manifest {
    /// Bytes of all files together.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|entry| entry.size).sum()
    }

    /// Whether this file is in it.
    pub fn has(&self, name: &str) -> bool {
        self.files.iter().any(|entry| entry.name == name)
    }

    /// Names of the files of networks.
    pub fn networks(&self) -> impl Iterator<Item = &str> {
        self.files.iter().filter_map(|entry| match place(&entry.name) {
            Some(Place::Network(name)) => Some(name),
            _ => None,
        })
    }
}

/// Where a file of this name belongs; `None` for one that no backup has: a name cannot lead out of its folder.
pub fn place(name: &str) -> Option<Place<'_>> {
    if name == CONFIGURATION {
        return Some(Place::Configuration);
    }
    if name == SSH_HOST_KEY {
        return Some(Place::SshHostKey);
    }
    let (folder, rest) = name.split_once('/')?;
    let plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\0', '\\']);
    match folder {
        "state" => STATE_FILES.contains(&rest).then_some(Place::State(rest)),
        "imports" => rest.parse().ok().map(Place::Import),
        "network" => systemd::is_own(rest).then_some(Place::Network(rest)),
        "host" => rest.split('/').all(plain).then_some(Place::Host(rest)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_to_one_place_or_to_none() {
        let digest = Digest::of(b"a");
        for (name, expected) in [
            ("state/ironwake.db", Some(Place::State("ironwake.db"))),
            ("state/site.key", Some(Place::State("site.key"))),
            ("config/ironwake.toml", Some(Place::Configuration)),
            ("ssh/host_key", Some(Place::SshHostKey)),
            ("network/05-ironwake-eth0.network", Some(Place::Network("05-ironwake-eth0.network"))),
            (
                "host/etc/ironwake/profiles/a/profile.toml",
                Some(Place::Host("etc/ironwake/profiles/a/profile.toml")),
            ),
            ("state/ironwake.db-wal", None),
            ("state/../site.key", None),
            ("state/", None),
            ("network/20-other.network", None),
            ("network/05-ironwake-/../../x.network", None),
            ("host/../etc/passwd", None),
            ("host//etc/passwd", None),
            ("/etc/passwd", None),
            ("imports/short", None),
            ("backup.json", None),
            ("", None),
        ] {
            assert_eq!(place(name), expected, "{name:?}");
        }
        assert_eq!(place(&format!("imports/{digest}")), Some(Place::Import(digest)));
    }
}
