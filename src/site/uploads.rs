//! Images that are being sent: how far they are, and how they are taken back.

use std::sync::Mutex;

use ironwake_api::{
    Actor, Artifact, ArtifactKind, ArtifactState, ArtifactUpload, DownloadStep, EventKind, Millis, Progress,
};

use super::{Site, SiteError};
use crate::artifacts::{Gauge, Watched};

/// How often the progress of a conversion is an event.
const EVENT_EVERY_MILLIS: Millis = 5_000;

/// Every upload that is under way. There are few: each holds one of the places for them.
#[derive(Default)]
pub(super) struct Uploads(Mutex<Vec<Entry>>);

struct Entry {
    name: String,
    /// Gone when the upload is.
    watched: Watched,
    told_at: Millis,
}

impl Uploads {
    pub fn begin(&self, name: &str, gauge: &Gauge, now: Millis) {
        let mut entries = self.0.lock().expect("no panic while held");
        entries.retain(|entry| entry.watched.gauge().is_some());
        entries.push(Entry { name: name.to_owned(), watched: gauge.watch(), told_at: now });
    }

    /// Those of a name.
    fn of(&self, name: &str) -> Vec<Gauge> {
        let entries = self.0.lock().expect("no panic while held");
        entries.iter().filter(|entry| entry.name == name).filter_map(|entry| entry.watched.gauge()).collect()
    }

    /// The state of an artifact that is being sent, added to what is known of it.
    pub fn show(&self, name: &str, artifact: Option<Artifact>) -> Option<Artifact> {
        let gauges = self.of(name);
        let Some(gauge) = gauges.last() else { return artifact };
        let (step, progress) = far(gauge);
        let upload = ArtifactUpload { step, progress, percent: progress.percent() };
        let blank = || Artifact::new(name, ArtifactKind::Image, ArtifactState::Working);
        Some(Artifact { upload: Some(upload), ..artifact.unwrap_or_else(blank) })
    }

    /// All names that something is sent for.
    pub fn names(&self) -> Vec<String> {
        let entries = self.0.lock().expect("no panic while held");
        let live = entries.iter().filter(|entry| entry.watched.gauge().is_some());
        live.map(|entry| entry.name.clone()).collect()
    }
}

fn far(gauge: &Gauge) -> (DownloadStep, Progress) {
    let (done_bytes, total_bytes) = gauge.bytes();
    (gauge.step(), Progress { done_bytes, total_bytes, bytes_per_sec: 0 })
}

impl Site {
    /// Ends what is being sent under this name, if something is. The gate must be held: what has its name by then keeps it.
    pub(super) async fn cancel_uploads(&self, name: &str, actor: &Actor) -> Result<bool, SiteError> {
        let gauges = self.uploads.of(name);
        if gauges.is_empty() {
            return Ok(false);
        }
        // One that ends already was told of; its sender has yet to notice.
        if gauges.iter().all(Gauge::is_over) {
            return Ok(true);
        }
        let event = self.event(actor.clone(), None, EventKind::ArtifactCancelled { name: name.into() });
        self.store.save(vec![event]).await?;
        gauges.iter().for_each(Gauge::cancel);
        Ok(true)
    }

    /// Tells how far conversions are of what was sent.
    pub(super) fn measure_uploads(&self) {
        let now = self.now();
        let mut events = Vec::new();
        for entry in self.uploads.0.lock().expect("no panic while held").iter_mut() {
            let Some(gauge) = entry.watched.gauge() else { continue };
            let (step, progress) = far(&gauge);
            if step == DownloadStep::Converting && now.saturating_sub(entry.told_at) >= EVENT_EVERY_MILLIS {
                entry.told_at = now;
                let kind = EventKind::ArtifactProgress { name: entry.name.clone(), step, progress };
                events.push(self.event(Actor::Daemon, None, kind));
            }
        }
        self.save_behind(events);
    }
}
