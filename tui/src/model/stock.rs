//! Artifacts with their downloads and builds; leases.

use ironwake_api::{Artifact, ArtifactState, ArtifactUsage, Build, Event, EventKind, Lease};

use crate::input::Input;
use crate::list::List;

/// Artifacts and builds.
#[derive(Debug, Default)]
pub struct Stock {
    /// As they stand.
    pub artifacts: Vec<Artifact>,
    /// The last build of each.
    pub builds: Vec<Build>,
    /// How much imports take.
    pub usage: Option<ArtifactUsage>,
    /// Where the cursor is in what is listed.
    pub list: List,
    /// Text that is searched for.
    pub search: Input,
    /// Whether they were loaded once.
    pub loaded: bool,
    /// They are to be asked for again.
    pub stale: bool,
    /// They were asked for.
    pub asked: bool,
}

impl Stock {
    /// What is listed: imports and images first, then what the program ships.
    pub fn shown(&self) -> Vec<&Artifact> {
        let words = self.search.text().to_lowercase();
        let fits = |artifact: &&Artifact| {
            words.split_whitespace().all(|word| artifact.name.to_lowercase().contains(word))
        };
        let mut shown: Vec<&Artifact> = self.artifacts.iter().filter(fits).collect();
        let rank = |artifact: &Artifact| (!self.is_import(artifact), artifact.kind as u8);
        shown.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.name.cmp(&b.name)));
        shown
    }

    /// Whether an operator brought it, so that it can be pinned and deleted.
    pub fn is_import(&self, artifact: &Artifact) -> bool {
        artifact.imported_by.is_some()
            || artifact.download.is_some()
            || artifact.origin.is_some()
            || artifact.pinned
    }

    /// The artifact under the cursor.
    pub fn chosen(&self) -> Option<&Artifact> {
        self.shown().get(self.list.cursor).copied()
    }

    /// The last build of an artifact.
    pub fn build(&self, name: &str) -> Option<&Build> {
        self.builds.iter().find(|build| build.name == name)
    }

    /// Whether something is downloaded or built.
    pub fn is_busy(&self) -> bool {
        let moving = |state| matches!(state, ArtifactState::Working);
        self.artifacts.iter().any(|artifact| artifact.download.is_some() || moving(artifact.state))
            || self.builds.iter().any(|build| moving(build.state))
    }

    /// Takes an event: progress is shown at once, everything else is asked for.
    pub fn event(&mut self, event: &Event) {
        match &event.kind {
            EventKind::ArtifactProgress { name, step, progress } => {
                let artifact = self.artifacts.iter_mut().find(|artifact| artifact.name == *name);
                match artifact.and_then(|artifact| artifact.download.as_mut()) {
                    Some(download) => {
                        (download.step, download.progress) = (*step, *progress);
                        (download.percent, download.secs_left) = (progress.percent(), progress.secs_left());
                    }
                    None => self.stale = true,
                }
            }
            EventKind::ArtifactAsked { .. }
            | EventKind::ArtifactTrouble { .. }
            | EventKind::ArtifactFailed { .. }
            | EventKind::ArtifactCancelled { .. }
            | EventKind::ArtifactEvicted { .. }
            | EventKind::ArtifactReady { .. }
            | EventKind::ArtifactBuild { .. }
            | EventKind::ArtifactPinned { .. }
            | EventKind::ArtifactDeleted { .. } => self.stale = true,
            _ => {}
        }
    }
}

/// Leases.
#[derive(Debug, Default)]
pub struct Leases {
    /// As they stand.
    pub all: Vec<Lease>,
    /// Where the cursor is in what is listed.
    pub list: List,
    /// Text that is searched for.
    pub search: Input,
    /// Whether they were loaded once.
    pub loaded: bool,
}

impl Leases {
    /// What is listed, by address.
    pub fn shown(&self) -> Vec<&Lease> {
        let words = self.search.text().to_lowercase();
        let fits = |lease: &&Lease| {
            let name = lease.hostname.as_deref().unwrap_or_default();
            // Only where something is searched for: there may be ten thousand.
            let text = || format!("{} {} {} {name}", lease.address, lease.network, lease.mac).to_lowercase();
            words.split_whitespace().all(|word| text().contains(word))
        };
        self.all.iter().filter(fits).collect()
    }

    /// Takes leases.
    pub fn put(&mut self, mut leases: Vec<Lease>) {
        leases.sort_by_cached_key(|lease| {
            lease.address.parse::<std::net::Ipv4Addr>().map_or(u32::MAX, u32::from)
        });
        (self.all, self.loaded) = (leases, true);
    }
}
