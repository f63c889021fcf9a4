//! How far the installation is, for whoever watches.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ironwake_api::{InstallPhase, InstallState, Millis};
use tracing::{info, warn};

use super::order::{STATE, write_whole};

/// More often, nobody sees it.
const WRITE_EVERY: Duration = Duration::from_millis(500);

/// Keeps the file of the state up to date.
pub struct Progress {
    path: PathBuf,
    state: InstallState,
    written: Option<Instant>,
}

impl Progress {
    /// For an installation on `disk` that begins; the file is in `folder`.
    pub fn new(folder: &Path, disk: &str, begun_at: Millis) -> Self {
        let state = InstallState { begun_at, disk: Some(disk.to_owned()), ..InstallState::default() };
        let mut progress = Self { path: folder.join(STATE), state, written: None };
        progress.phase(InstallPhase::Preparing);
        progress
    }

    /// One that does not come so far that a disk is known, and why.
    pub fn refused(folder: &Path, begun_at: Millis, problem: String) {
        let state = InstallState { begun_at, ..InstallState::default() };
        Self { path: folder.join(STATE), state, written: None }.failed(problem);
    }

    /// The next phase begins.
    pub fn phase(&mut self, phase: InstallPhase) {
        info!(disk = self.state.disk, "{}", phase.told());
        self.state.phase = phase;
        self.write();
    }

    /// So much will be written in all.
    pub fn total(&mut self, bytes: u64) {
        self.state.total_bytes = bytes;
    }

    /// So much more is written.
    pub fn add(&mut self, bytes: u64) {
        self.state.done_bytes += bytes;
        self.write_sometimes();
    }

    /// Written so far.
    pub fn done_bytes(&self) -> u64 {
        self.state.done_bytes
    }

    /// So much is written.
    pub fn set(&mut self, done_bytes: u64) {
        self.state.done_bytes = done_bytes;
        self.write_sometimes();
    }

    /// Something that somebody should know.
    pub fn note(&mut self, note: String) {
        warn!("{note}");
        self.state.notes.push(note);
    }

    /// It came to nothing.
    pub fn failed(&mut self, problem: String) {
        self.state.problem = Some(problem);
        self.phase(InstallPhase::Failed);
    }

    fn write_sometimes(&mut self) {
        if self.written.is_none_or(|written| written.elapsed() >= WRITE_EVERY) {
            self.write();
        }
    }

    fn write(&mut self) {
        self.written = Some(Instant::now());
        let bytes = serde_json::to_vec(&self.state).unwrap_or_default();
        if let Err(error) = write_whole(&self.path, &bytes) {
            warn!(%error, "the state of the installation cannot be written");
        }
    }
}
