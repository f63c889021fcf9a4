//! A bundle that is being received into the inbox of updates, whoever sends it.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use ironwake_api::{Progress, UpdateProgress, UpdateStep};

use super::updates::PARTIAL;
use super::{SharedSite, Site};
use crate::appliance::bundle::BUNDLE_BYTES_MAX;

/// So much stays free while a bundle comes.
const FREE_BYTES_MIN: u64 = 256 << 20;
/// How often progress is counted anew while a bundle comes.
const COUNT_EVERY_BYTES: u64 = 1 << 20;

/// A bundle that is being received.
pub struct Reception {
    site: SharedSite,
    /// Whether it is over with the update when this is dropped: its sender has gone.
    pub(super) ends_turn: bool,
    file: std::fs::File,
    size: u64,
    total: Option<u64>,
    counted: u64,
}

impl Site {
    /// Opens the file that a bundle is received into.
    pub(super) fn reception(self: &Arc<Self>, total: Option<u64>) -> Result<Reception, String> {
        let inbox = self.updating().map_err(|error| error.to_string())?.places.inbox.clone();
        let path = inbox.join(PARTIAL);
        let open = || {
            std::fs::create_dir_all(&inbox)?;
            let _ = std::fs::remove_file(&path);
            std::fs::OpenOptions::new().write(true).create_new(true).open(&path)
        };
        let file = open().map_err(|error| format!("write {}: {error}", path.display()))?;
        check_room(&inbox, total.unwrap_or(0))?;
        Ok(Reception { site: self.clone(), ends_turn: false, file, size: 0, total, counted: 0 })
    }
}

impl Reception {
    /// Takes the next bytes. May wait for the disk.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.size += bytes.len() as u64;
        if self.size > BUNDLE_BYTES_MAX {
            return Err(format!("more than {BUNDLE_BYTES_MAX} bytes came: that is no update"));
        }
        self.file.write_all(bytes).map_err(|error| format!("write the bundle: {error}"))?;
        if self.size - self.counted >= COUNT_EVERY_BYTES || Some(self.size) == self.total {
            self.counted = self.size;
            let mut state = self.site.update_state();
            let millis = self.site.now().saturating_sub(state.began.unwrap_or_default()).max(1);
            let bytes_per_sec = self.size.saturating_mul(1000) / millis;
            let progress = Progress { done_bytes: self.size, total_bytes: self.total, bytes_per_sec };
            state.progress = Some(UpdateProgress::of(None, UpdateStep::Fetching, progress));
        }
        Ok(())
    }

    /// All has come; it is on the disk.
    pub(super) fn whole(&mut self) -> Result<(), String> {
        if let Some(total) = self.total.filter(|total| *total != self.size) {
            return Err(format!("{} of {total} bytes came: fetch or send it again", self.size));
        }
        self.file.sync_all().map_err(|error| format!("write the bundle: {error}"))
    }

    /// It does not come: why.
    pub fn fail(mut self, why: String) {
        self.ends_turn = false;
        self.site.end_turn(UpdateStep::Failed, Some(why));
    }
}

impl Drop for Reception {
    fn drop(&mut self) {
        if self.ends_turn {
            self.site.end_turn(UpdateStep::Failed, Some("its sender broke off".into()));
        }
    }
}

fn check_room(folder: &Path, wanted: u64) -> Result<(), String> {
    let found =
        nix::sys::statvfs::statvfs(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let free = found.blocks_available() as u64 * found.fragment_size() as u64;
    // The bundle, and then what root side unpacks of it.
    let wanted = wanted.saturating_mul(2).saturating_add(FREE_BYTES_MIN);
    match free >= wanted {
        true => Ok(()),
        false => Err(format!(
            "{} has {free} bytes free, and an update needs {wanted}: delete images that nothing needs",
            folder.display()
        )),
    }
}
