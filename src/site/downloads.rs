//! Downloads: asked for and saved, fetched in the background, named through the gate, taken back.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use ironwake_api::{
    Actor, Artifact, ArtifactDownload, ArtifactKind, ArtifactOrigin, ArtifactState, DownloadStep, EventKind,
    FieldProblem, ImportRequest, Millis, Progress,
};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::imports::Wanted;
use super::{SharedSite, Site, SiteError};
use crate::artifact::{
    Digest, Download, FLOOR_BYTES_PER_SEC, Keyring, Pace, Tries, check_import_name, shown_url,
};
use crate::artifacts::{Fetch, FetchError, Fetched, Gauge};
use crate::store::Change;

/// Downloads that run, wait or have failed.
const DOWNLOADS_MAX: usize = 64;
/// At once: more share the line, and make the disk seek.
const RUNNING_MAX: usize = 2;
/// How often rates are measured.
const TICK: Duration = Duration::from_secs(1);
/// How often progress is an event: a download of hours is some thousand.
const EVENT_EVERY_MILLIS: Millis = 5_000;

/// Every download that has not brought its image, by name.
#[derive(Default)]
pub(super) struct Downloads {
    table: Mutex<Table>,
    changed: Notify,
}

#[derive(Default)]
struct Table {
    by_name: BTreeMap<String, Entry>,
    /// Those whose files are in use, the cancelled among them.
    in_use: BTreeSet<Digest>,
}

struct Entry {
    download: Download,
    /// While it runs.
    gauge: Option<Gauge>,
    measured: (Millis, u64, DownloadStep),
    bytes_per_sec: u64,
    trouble: Option<String>,
    event_at: Millis,
    pace: Pace,
    /// Since when it waits for its turn.
    waits_since: Millis,
    /// From when until when its server is not to be asked. Outside it counts for nothing: clocks may be set back.
    pause: Range<Millis>,
    /// What the tries of its turns have come to.
    tries: Tries,
}

impl Entry {
    fn new(download: Download) -> Self {
        let trouble = download.failed.clone();
        let measured = (0, 0, DownloadStep::Waiting);
        let waits_since = download.asked_at;
        Self {
            download,
            gauge: None,
            measured,
            bytes_per_sec: 0,
            trouble,
            event_at: 0,
            pace: Pace::default(),
            waits_since,
            pause: 0..0,
            tries: Tries::default(),
        }
    }

    fn step(&self) -> DownloadStep {
        match &self.gauge {
            _ if self.download.failed.is_some() => DownloadStep::Failed,
            None => DownloadStep::Waiting,
            Some(gauge) => gauge.step(),
        }
    }

    /// Whether it could begin, were there a place; its files may be in use by one that was taken back.
    fn waits(&self, now: Millis, in_use: &BTreeSet<Digest>) -> bool {
        let idle = self.gauge.is_none() && self.download.failed.is_none();
        idle && !self.pause.contains(&now) && !in_use.contains(&self.download.key())
    }

    fn progress(&self) -> Progress {
        let (done_bytes, total_bytes) = self.gauge.as_ref().map(Gauge::bytes).unwrap_or_default();
        Progress { done_bytes, total_bytes, bytes_per_sec: self.bytes_per_sec }
    }

    fn shown(&self) -> ArtifactDownload {
        let progress = self.progress();
        ArtifactDownload {
            url: self.download.shown_url(),
            step: self.step(),
            progress,
            percent: progress.percent(),
            secs_left: progress.secs_left(),
            trouble: self.trouble.clone(),
        }
    }

    /// Measures the rate since the last time.
    fn measure(&mut self, now: Millis) {
        let (before, bytes, step) = self.measured;
        let (done, _) = self.gauge.as_ref().map(Gauge::bytes).unwrap_or_default();
        self.pace.measure(now, self.step(), done);
        let millis = now.saturating_sub(before);
        if millis == 0 {
            return;
        }
        self.measured = (now, done, self.step());
        let rate = done.saturating_sub(bytes) * 1000 / millis;
        // What was there before the first measurement did not come within it.
        self.bytes_per_sec = match before == 0 || step != self.step() {
            true => 0,
            false if self.bytes_per_sec == 0 => rate,
            false => (self.bytes_per_sec * 3 + rate) / 4,
        };
    }
}

impl Downloads {
    pub fn new(downloads: Vec<Download>) -> Self {
        let entries = downloads.into_iter().map(|download| (download.name.clone(), Entry::new(download)));
        let table = Table { by_name: entries.collect(), in_use: BTreeSet::new() };
        Self { table: Mutex::new(table), changed: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().expect("no panic while held")
    }

    fn get(&self, name: &str) -> Option<(Download, bool)> {
        let table = self.lock();
        table.by_name.get(name).map(|entry| (entry.download.clone(), entry.gauge.is_some()))
    }

    fn put(&self, download: Download) {
        self.lock().by_name.insert(download.name.clone(), Entry::new(download));
        self.changed.notify_one();
    }

    /// Forgets one, and ends it if it runs; whether it runs.
    fn take(&self, name: &str) -> bool {
        let gauge = self.lock().by_name.remove(name).and_then(|entry| entry.gauge);
        if let Some(gauge) = &gauge {
            gauge.cancel();
        }
        gauge.is_some()
    }

    /// Has as many that are slow end as others wait for their places; which, and for how long they were slow.
    fn make_way(&self, now: Millis) -> Vec<(String, Millis)> {
        let mut table = self.lock();
        let Table { by_name, in_use } = &mut *table;
        let mut wanted = by_name.values().filter(|entry| entry.waits(now, in_use)).count();
        let mut gone = Vec::new();
        for (name, entry) in by_name.iter() {
            let Some(gauge) = &entry.gauge else { continue };
            let leaves = gauge.is_over();
            if wanted > 0 && (leaves || entry.pace.is_slow()) {
                wanted -= 1;
                if !leaves {
                    gauge.interrupt();
                    gone.push((name.clone(), entry.pace.patience()));
                }
            }
        }
        gone
    }

    /// One has ended without an end, and waits for its next turn; whether it is still wanted.
    fn put_back(&self, download: &Download, now: Millis) -> bool {
        let mut table = self.lock();
        let entry = table.by_name.get_mut(&download.name).filter(|entry| entry.download == *download);
        let Some(entry) = entry else { return false };
        if let Some(gauge) = entry.gauge.take() {
            entry.tries = if entry.pace.has_gained() { gauge.tries().came() } else { gauge.tries() };
        }
        entry.waits_since = now;
        true
    }

    /// How many have their files in use, the cancelled among them.
    #[cfg(test)]
    pub(super) fn running(&self) -> usize {
        self.lock().in_use.len()
    }

    fn with(&self, name: &str, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.lock().by_name.get_mut(name) {
            change(entry);
        }
    }

    /// The state of an artifact that is to be downloaded, added to what is known of it.
    pub fn show(&self, name: &str, artifact: Option<Artifact>) -> Option<Artifact> {
        let table = self.lock();
        let Some(entry) = table.by_name.get(name) else { return artifact };
        Some(shown(entry, artifact))
    }

    /// All names that only a download has.
    pub fn others(&self, known: &BTreeSet<String>) -> Vec<String> {
        self.lock().by_name.keys().filter(|name| !known.contains(*name)).cloned().collect()
    }
}

fn shown(entry: &Entry, artifact: Option<Artifact>) -> Artifact {
    let state = match entry.step() {
        DownloadStep::Waiting => ArtifactState::Queued,
        DownloadStep::Failed => ArtifactState::Failed,
        _ => ArtifactState::Working,
    };
    let blank = || Artifact {
        error: entry.download.failed.clone(),
        imported_by: Some(entry.download.asked_by.clone()),
        ..Artifact::new(&entry.download.name, ArtifactKind::Image, state)
    };
    Artifact { download: Some(entry.shown()), ..artifact.unwrap_or_else(blank) }
}

impl Site {
    /// Begins to download an image that is to have this name. It is saved, and goes on whatever becomes of the daemon.
    pub async fn download(
        &self,
        name: &str,
        request: ImportRequest,
        actor: Actor,
    ) -> Result<Artifact, SiteError> {
        let mut wrong = Vec::new();
        let mut refuse =
            |field: &str, message: String| wrong.push(FieldProblem { field: field.into(), message });
        if let Err(error) = check_import_name(name) {
            refuse("name", error.to_string());
        }
        if let Some(Err(error)) = request.keyring.as_ref().map(|keys| Keyring::parse(keys.as_bytes())) {
            refuse("keyring", error.to_string());
        }
        let download = match Download::new(name, request, self.now(), actor.clone()) {
            Ok(download) => Some(download),
            Err(problems) => {
                problems.into_iter().for_each(|(field, message)| refuse(field, message));
                None
            }
        };
        let Some(download) = download.filter(|_| wrong.is_empty()) else {
            return Err(SiteError::Invalid(wrong));
        };
        let _gate = self.gate.lock().await;
        self.refuse_import(name)?;
        if let Some((before, _)) = self.downloads.get(name).filter(|(before, _)| before.failed.is_none()) {
            return Err(SiteError::Conflict(format!(
                "{name} is being downloaded already, from {}: `ironwake artifact show {name}` shows how far it is, \
                 `ironwake artifact delete {name}` ends it",
                before.shown_url()
            )));
        }
        if self.downloads.lock().by_name.len() >= DOWNLOADS_MAX {
            return Err(SiteError::Full { what: "downloads", limit: DOWNLOADS_MAX });
        }
        let kind = EventKind::ArtifactAsked { name: name.into(), url: download.shown_url() };
        let event = self.event(actor, None, kind);
        self.store.save(vec![Change::Download(Box::new(download.clone())), event]).await?;
        self.downloads.put(download);
        self.artifact(name)
    }

    /// Takes a download of this name back, if there is one. The gate must be held.
    pub(super) async fn cancel_download(&self, name: &str, actor: &Actor) -> Result<bool, SiteError> {
        let Some((download, _)) = self.downloads.get(name) else { return Ok(false) };
        let event = self.event(actor.clone(), None, EventKind::ArtifactCancelled { name: name.into() });
        self.store.save(vec![Change::DownloadDeleted(name.into()), event]).await?;
        if !self.downloads.take(name) {
            self.imports.fetch(&download, Tries::default()).discard();
        }
        Ok(true)
    }

    /// One that waits, as running.
    fn next_download(&self) -> Option<(Download, Fetch)> {
        let now = self.now();
        let mut table = self.downloads.lock();
        let Table { by_name, in_use } = &mut *table;
        // Whoever has waited longest gets it first.
        let waiting = by_name.values_mut().filter(|entry| entry.waits(now, in_use));
        let entry = waiting.min_by_key(|entry| entry.waits_since)?;
        let fetch = self.imports.fetch(&entry.download, entry.tries);
        entry.gauge = Some(fetch.gauge());
        entry.pace.begin();
        in_use.insert(entry.download.key());
        Some((entry.download.clone(), fetch))
    }

    /// Fetches one, and names what came.
    async fn run_download(self: Arc<Self>, download: Download, fetch: Fetch) {
        let (name, gauge) = (download.name.clone(), fetch.gauge());
        let site = self.clone();
        let fetching = tokio::spawn(async move {
            let told = |reason: &str, pause: Duration| site.trouble(&download.name, reason, pause);
            let fetched = fetch.run(site.now(), &told).await;
            (download, fetched)
        });
        let ended = match fetching.await {
            Ok((download, Ok(fetched))) => {
                self.name_download(&download, fetched).await.map_err(|error| why(&error))
            }
            Ok((download, Err(FetchError::Ending))) => {
                // What was taken back right behind its end leaves nothing either.
                if !self.downloads.put_back(&download, self.now()) {
                    self.imports.fetch(&download, Tries::default()).discard();
                }
                Ok(())
            }
            Ok((_, Err(error))) => Err(why(&error)),
            Err(error) => Err(format!("it ended with a fault of the daemon: {error}")),
        };
        // What an operator took back needs no further word.
        if let Err(reason) = ended.as_ref().map_err(String::clone)
            && !gauge.is_cancelled()
        {
            self.fail_download(&name, reason).await;
        }
    }

    async fn name_download(&self, download: &Download, fetched: Fetched) -> Result<(), SiteError> {
        let origin = ArtifactOrigin {
            url: Some(shown_url(&download.url)),
            expected: Some(fetched.expected.to_string()),
            signed_by: fetched.signed_by,
            converted: None,
        };
        let actor = download.asked_by.clone();
        self.name_import(&download.name, fetched.received, actor, origin, Wanted::Download(download)).await?;
        Ok(())
    }

    /// Whether a download is still wanted; forgets it, as what it was for is saved.
    pub(super) fn finish_download(&self, download: &Download) {
        let mut table = self.downloads.lock();
        if table.by_name.get(&download.name).is_some_and(|entry| entry.download == *download) {
            table.by_name.remove(&download.name);
        }
    }

    /// Whether nobody took it back in between.
    pub(super) fn wants_download(&self, download: &Download) -> bool {
        self.downloads.get(&download.name).is_some_and(|(found, _)| found == *download)
    }

    async fn fail_download(&self, name: &str, reason: String) {
        let _gate = self.gate.lock().await;
        let Some((mut download, _)) = self.downloads.get(name) else { return };
        warn!(name, reason, "a download is given up");
        download.failed = Some(reason.clone());
        let event = self.event(Actor::Daemon, None, EventKind::ArtifactFailed { name: name.into(), reason });
        if let Err(error) = self.store.save(vec![Change::Download(Box::new(download.clone())), event]).await {
            warn!(name, %error, "what became of a download is not saved");
        }
        self.downloads.put(download);
    }

    fn trouble(&self, name: &str, reason: &str, pause: Duration) {
        let reason = match pause.is_zero() {
            true => reason.to_owned(),
            false => format!("{reason}; again in {} s", pause.as_secs()),
        };
        let now = self.now();
        self.downloads.with(name, |entry| {
            entry.trouble = Some(reason.clone());
            if !pause.is_zero() {
                // Its turn may end before the pause does.
                entry.pause = now..now.saturating_add(pause.as_millis() as Millis);
            }
        });
        let kind = EventKind::ArtifactTrouble { name: name.into(), reason };
        self.save_behind(vec![self.event(Actor::Daemon, None, kind)]);
    }

    /// Measures rates, and tells how far downloads are.
    pub(super) fn measure_downloads(&self) {
        let now = self.now();
        let mut events = Vec::new();
        for (name, entry) in &mut self.downloads.lock().by_name {
            if entry.gauge.is_none() || entry.download.failed.is_some() {
                continue;
            }
            entry.measure(now);
            if now.saturating_sub(entry.event_at) >= EVENT_EVERY_MILLIS && entry.event_at > 0 {
                entry.event_at = now;
                let (step, progress) = (entry.step(), entry.progress());
                let kind = EventKind::ArtifactProgress { name: name.clone(), step, progress };
                events.push(self.event(Actor::Daemon, None, kind));
            }
            if entry.event_at == 0 {
                entry.event_at = now;
            }
        }
        self.save_behind(events);
        for (name, patience) in self.downloads.make_way(now) {
            let reason = format!(
                "it was slower than {} KiB/s for {} s, and gives its place to others that wait",
                FLOOR_BYTES_PER_SEC >> 10,
                patience / 1000
            );
            self.trouble(&name, &reason, Duration::ZERO);
        }
    }
}

/// Runs downloads until the end; those under way are left as they are then, for the next daemon.
pub async fn run_downloads(site: SharedSite, shutdown: CancellationToken) {
    let mut running = JoinSet::new();
    let mut tick = tokio::time::interval(TICK);
    loop {
        while running.len() < RUNNING_MAX
            && let Some((download, fetch)) = site.next_download()
        {
            let (site, key) = (site.clone(), download.key());
            running.spawn(async move {
                site.clone().run_download(download, fetch).await;
                site.downloads.lock().in_use.remove(&key);
            });
        }
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = site.downloads.changed.notified() => {}
            Some(_) = running.join_next() => {}
            _ = tick.tick() => {
                site.measure_downloads();
                site.measure_uploads();
            }
        }
    }
    for entry in site.downloads.lock().by_name.values() {
        entry.gauge.iter().for_each(Gauge::interrupt);
    }
    while running.join_next().await.is_some() {}
}

fn why(error: &(dyn std::error::Error + 'static)) -> String {
    match error.source() {
        Some(source) if !error.to_string().contains(&source.to_string()) => format!("{error}: {source}"),
        _ => error.to_string(),
    }
}
