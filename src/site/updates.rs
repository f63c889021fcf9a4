//! Updates of the appliance, as the daemon has them: it looks for them, fetches or takes them, checks them, keeps a snapshot of
//! the database, and has root side install them. What became of the last one it reads from root side's record.

use std::io::Read as _;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use ironwake_api::{
    Actor, ApplianceKind, ApplianceMedium, ApplianceStatus, EventKind, HealthState, Millis, Progress, Update,
    UpdateAvailable, UpdateOnStick, UpdateOutcome, UpdateProgress, UpdateRequest, UpdateResult, UpdateStep,
};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::system::told;
use super::update_reception::Reception;
use super::{Site, SiteError};
use crate::appliance::Version;
use crate::appliance::bundle::{BUNDLE_BYTES_MAX, ENDING, MANIFEST, MANIFEST_BYTES_MAX, SIGNATURE, verified};
use crate::artifact::{SIGNATURE_BYTES_MAX, shown_url};
use crate::private;
use crate::remote::http::HttpClient;
use crate::sticks::Sticks;
use crate::store::{StoreError, snapshot_path};
use crate::systemd::UPDATE_INSTALL;
use crate::updates::{
    self, BUNDLE, Booted, Order, Places, RecordState, booted, check_file, image_version, keyring,
    read_progress, read_record, write_order,
};

/// A bundle that is on its way; below the inbox.
pub(super) const PARTIAL: &str = "bundle.partial";
/// What was last told of root side's record, so that each is told once.
const TOLD: &str = "told.json";
const TOLD_BYTES_MAX: u64 = 4 << 10;
/// How often root side is asked how far it is.
const FOLLOW_EVERY: Duration = Duration::from_millis(500);
/// How long root side may take to begin, and then to say something else: it writes half a gigabyte to what may be a slow stick.
const BEGIN_WITHIN: Duration = Duration::from_secs(60);
const SILENCE_MAX: Duration = Duration::from_secs(30 * 60);

/// Where updates come from and go to.
#[derive(Debug, Clone)]
pub struct Updating {
    /// Of this host.
    pub places: Places,
    /// `[update] url`
    pub channel: Option<String>,
    /// Where sticks are mounted.
    pub sticks: Arc<Sticks>,
}

/// Updates as the site has them.
#[derive(Default)]
pub(super) struct Updates {
    set: OnceLock<Updating>,
    state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    /// One at a time.
    busy: bool,
    pub(super) progress: Option<UpdateProgress>,
    pub(super) began: Option<Millis>,
    checked_at: Option<Millis>,
    check_failed: Option<String>,
    available: Option<UpdateAvailable>,
    told: Option<Told>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Told {
    version: String,
    at: Millis,
    state: RecordState,
}

impl Site {
    /// Takes up where updates come from and go to.
    pub fn set_updates(&self, updating: Updating) {
        let told = private::read(&updating.places.inbox.join(TOLD), TOLD_BYTES_MAX).ok().flatten();
        self.update_state().told = told.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let _ = self.updates.set.set(updating);
    }

    pub(super) fn updating(&self) -> Result<&Updating, SiteError> {
        self.updates
            .set
            .get()
            .ok_or_else(|| SiteError::SystemUnavailable("this daemon installs no updates".into()))
    }

    pub(super) fn update_state(&self) -> MutexGuard<'_, State> {
        self.updates.state.lock().expect("no panic while held")
    }

    /// What runs here, and from which disk.
    pub async fn appliance(&self) -> Result<ApplianceStatus, SiteError> {
        let places = self.updating()?.places.clone();
        let looked = move || {
            (image_version(&places.root), booted(&places.root), read_record(&places).unwrap_or_default())
        };
        let (version, booted, record) =
            tokio::task::spawn_blocking(looked).await.map_err(|_| StoreError::Closed)?;
        let Some(version) = version else {
            return Ok(ApplianceStatus {
                kind: ApplianceKind::Host,
                version: env!("CARGO_PKG_VERSION").into(),
                booted_from: None,
                slots: Vec::new(),
                trial: false,
            });
        };
        let trial = record.is_some_and(|record| {
            record.state == RecordState::Installed && record.version == version.as_str()
        });
        let Booted { disk, slots } = booted;
        let version = version.to_string();
        Ok(ApplianceStatus { kind: ApplianceKind::Appliance, version, booted_from: disk, slots, trial })
    }

    /// How updates stand.
    pub async fn update(&self) -> Result<Update, SiteError> {
        let updating = self.updating()?.clone();
        let unavailable = self.no_updates().await?;
        let places = updating.places;
        let looked = move || (read_record(&places), image_version(&places.root));
        let (record, version) = tokio::task::spawn_blocking(looked).await.map_err(|_| StoreError::Closed)?;
        // One that does not answer holds up nothing but the list of them.
        let sticks = updating.sticks.bundles(ENDING).await.unwrap_or_else(|error| {
            warn!(%error, "updates on sticks are not listed");
            Vec::new()
        });
        let record = record.unwrap_or_else(|error| {
            warn!(error = told(&error), "what became of the last update is not known");
            None
        });
        let running =
            version.map_or_else(|| env!("CARGO_PKG_VERSION").to_owned(), |version| version.to_string());
        let last = record.map(|record| {
            let outcome = match record.state {
                RecordState::Installed if record.version == running => UpdateOutcome::Trial,
                RecordState::Installed => UpdateOutcome::Installed,
                RecordState::Good => UpdateOutcome::Good,
                RecordState::FellBack => UpdateOutcome::FellBack,
                RecordState::Installing | RecordState::Failed => UpdateOutcome::Failed,
            };
            let (boots, why) = (record.boots, record.why);
            UpdateResult { version: record.version, from: record.from, at: record.at, outcome, boots, why }
        });
        let restart_needed = last.as_ref().is_some_and(|last| last.outcome == UpdateOutcome::Installed);
        let sticks =
            sticks.into_iter().map(|(path, size_bytes)| UpdateOnStick { path, size_bytes }).collect();
        let state = self.update_state();
        let under_way = state.busy;
        Ok(Update {
            running,
            unavailable,
            channel: updating.channel,
            checked_at: state.checked_at,
            check_failed: state.check_failed.clone(),
            available: state.available.clone(),
            sticks,
            progress: state.progress.clone(),
            // What is written is not an outcome yet.
            last: last
                .filter(|last| !(under_way && last.outcome == UpdateOutcome::Failed && last.why.is_none())),
            restart_needed: restart_needed && !under_way,
        })
    }

    /// Why nothing can be installed here.
    async fn no_updates(&self) -> Result<Option<String>, SiteError> {
        let appliance = self.appliance().await?;
        let medium = appliance.booted_from.as_ref().map(|boot| boot.medium);
        Ok(match (appliance.kind, medium) {
            (ApplianceKind::Host, _) => {
                Some("this host is no Ironwake appliance: its packages are updated by apt".into())
            }
            (_, Some(ApplianceMedium::Iso)) => {
                Some("it was booted from an ISO, which is read-only: install it on a disk first".into())
            }
            _ if appliance.trial => Some(format!(
                "{}, which runs, is on trial: it is either found healthy within minutes, or the version before comes back",
                appliance.version
            )),
            _ => None,
        })
    }

    /// Asks the channel for its newest version.
    pub async fn check_update(&self) -> Result<Update, SiteError> {
        let updating = self.updating()?.clone();
        let Some(channel) = &updating.channel else {
            let message =
                "no channel is set: `ironwake config set update.url=URL` names a folder with updates";
            return Err(SiteError::Conflict(message.into()));
        };
        let found = look_at(channel, &updating.places, self.now()).await;
        let mut news = None;
        {
            let mut state = self.update_state();
            state.checked_at = Some(self.now());
            match found {
                Ok(found) => {
                    let known = state.available.as_ref().is_some_and(|known| known.version == found.version);
                    news = (found.newer && !known).then(|| found.version.clone());
                    (state.available, state.check_failed) = (Some(found), None);
                }
                Err(why) => state.check_failed = Some(why),
            }
        }
        if let Some(version) = news {
            self.note(Actor::Daemon, EventKind::UpdateFound { version }).await;
        }
        self.update().await
    }

    /// Begins an update: from a URL, a stick, or the channel. It goes on in the background.
    pub async fn begin_update(
        self: &Arc<Self>,
        request: UpdateRequest,
        actor: Actor,
    ) -> Result<Update, SiteError> {
        let updating = self.updating()?.clone();
        let mut expected = None;
        let source = match (request.url, request.stick) {
            (Some(_), Some(_)) => {
                return Err(SiteError::invalid("stick", "url and stick exclude each other: give one"));
            }
            (Some(url), None) => {
                let parsed =
                    url::Url::parse(&url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
                parsed
                    .ok_or_else(|| SiteError::invalid("url", format!("{url:?} is no http or https URL")))?;
                Source::Url(url)
            }
            (None, Some(path)) => Source::Stick(on_stick(&updating.sticks, &path).await?),
            (None, None) => {
                let available = self.update_state().available.clone();
                let (Some(channel), Some(available)) = (&updating.channel, available) else {
                    let message = "nothing is known of a new version: `ironwake update check` asks the channel, and a \
                                   file, a URL or a stick can be named";
                    return Err(SiteError::Conflict(message.into()));
                };
                let url = format!("{channel}ironwake-{}-amd64.{ENDING}", available.version);
                expected = Some(available.version);
                Source::Url(url)
            }
        };
        self.take_turn().await?;
        let site = self.clone();
        tokio::spawn(async move {
            let fetched = match source {
                Source::Url(url) => site.fetch_bundle(&url).await,
                Source::Stick(path) => site.copy_bundle(path).await,
            };
            let wanted = Wanted { version: expected, allow_older: request.allow_older };
            site.finish_update(fetched, wanted, actor).await;
        });
        self.update().await
    }

    /// Begins to receive a bundle of so many bytes, where that is known.
    pub async fn receive_update(self: &Arc<Self>, total: Option<u64>) -> Result<Reception, SiteError> {
        if let Some(total) = total.filter(|total| *total > BUNDLE_BYTES_MAX) {
            let message = format!("{total} bytes are no update: one has at most {BUNDLE_BYTES_MAX}");
            return Err(SiteError::invalid("body", message));
        }
        self.take_turn().await?;
        match self.reception(total) {
            Ok(mut reception) => {
                reception.ends_turn = true;
                Ok(reception)
            }
            Err(why) => {
                self.end_turn(UpdateStep::Failed, Some(why.clone()));
                Err(SiteError::Conflict(why))
            }
        }
    }

    /// Installs what was received; it goes on in the background.
    pub async fn install_received(
        self: &Arc<Self>,
        mut reception: Reception,
        allow_older: bool,
        actor: Actor,
    ) -> Result<Update, SiteError> {
        let site = self.clone();
        let whole = reception.whole();
        reception.ends_turn = false;
        drop(reception);
        let wanted = Wanted { version: None, allow_older };
        tokio::spawn(async move { site.finish_update(whole, wanted, actor).await });
        self.update().await
    }

    /// Nobody else updates meanwhile.
    async fn take_turn(&self) -> Result<(), SiteError> {
        if let Some(why) = self.no_updates().await? {
            return Err(SiteError::SystemUnavailable(why));
        }
        let mut state = self.update_state();
        if state.busy {
            let message = "an update is being installed already: `ironwake update` shows how far it is";
            return Err(SiteError::Conflict(message.into()));
        }
        state.busy = true;
        state.began = Some(self.now());
        state.progress = Some(UpdateProgress::of(None, UpdateStep::Fetching, Progress::default()));
        Ok(())
    }

    pub(super) fn end_turn(&self, step: UpdateStep, error: Option<String>) {
        let mut state = self.update_state();
        state.busy = false;
        let version = state.progress.take().and_then(|progress| progress.version);
        state.progress =
            Some(UpdateProgress { error, ..UpdateProgress::of(version, step, Progress::default()) });
    }

    fn at_step(&self, version: Option<&Version>, step: UpdateStep) {
        let version = version.map(ToString::to_string);
        self.update_state().progress = Some(UpdateProgress::of(version, step, Progress::default()));
    }

    async fn fetch_bundle(self: &Arc<Self>, url: &str) -> Result<(), String> {
        let shown = shown_url(url);
        let failed = |error: &dyn std::fmt::Display| format!("fetch {shown}: {error}");
        let client = HttpClient::new(&[url]).map_err(|error| failed(&error))?;
        let mut answer = client.get(url, &[]).await.map_err(|error| failed(&error))?;
        if answer.status() != 200 {
            return Err(failed(&format!("the server answered {}", answer.status())));
        }
        let total = answer.header("content-length").and_then(|size| size.parse().ok());
        let mut reception = self.reception(total)?;
        while let Some(piece) = answer.next().await.map_err(|error| failed(&error))? {
            reception = in_thread(move || reception.write(&piece).map(|()| reception)).await?;
        }
        reception.whole()
    }

    async fn copy_bundle(self: &Arc<Self>, path: PathBuf) -> Result<(), String> {
        let site = self.clone();
        let copy = move || {
            let mut source = updates::open(&path).map_err(|error| told(&error))?;
            let total = source.get_ref().metadata().ok().map(|found| found.len());
            let mut reception = site.reception(total)?;
            let mut piece = vec![0; 1 << 20];
            loop {
                match source.read(&mut piece).map_err(|error| format!("read the stick: {error}"))? {
                    0 => return reception.whole(),
                    count => reception.write(&piece[..count])?,
                }
            }
        };
        in_thread(copy).await
    }

    /// Goes on with a bundle that came, and tells how it ends.
    async fn finish_update(self: &Arc<Self>, came: Result<(), String>, wanted: Wanted, actor: Actor) {
        let installed = match came {
            Ok(()) => self.install_bundle(wanted, actor.clone()).await,
            Err(why) => Err(why),
        };
        let version = self.update_state().progress.as_ref().and_then(|progress| progress.version.clone());
        if let Ok(updating) = self.updating() {
            for name in [PARTIAL, BUNDLE] {
                let _ = std::fs::remove_file(updating.places.inbox.join(name));
            }
        }
        match installed {
            Ok(version) => {
                info!(%version, "an update is installed");
                self.end_turn(UpdateStep::Done, None);
                self.note(actor, EventKind::UpdateInstalled { version: version.to_string() }).await;
            }
            Err(reason) => {
                warn!(reason, "an update is not installed");
                self.end_turn(UpdateStep::Failed, Some(reason.clone()));
                self.note(actor, EventKind::UpdateFailed { version, reason }).await;
            }
        }
    }

    async fn install_bundle(self: &Arc<Self>, wanted: Wanted, actor: Actor) -> Result<Version, String> {
        let Wanted { version: expected, allow_older } = wanted;
        let places = self.updating().map_err(|error| error.to_string())?.places.clone();
        let partial = places.inbox.join(PARTIAL);
        self.at_step(None, UpdateStep::Checking);
        let (root, now) = (places.root.clone(), self.now());
        let check = move || {
            let keys = keyring(&root).map_err(|error| told(&error))?;
            let (manifest, signer) = check_file(&partial, &keys, now).map_err(|error| told(&error))?;
            let running = image_version(&root).ok_or("this host is no appliance")?;
            Ok::<_, String>((manifest.version, running, signer))
        };
        let (version, running, signer) = in_thread(check).await?;
        info!(%version, signer, "an update is to be installed");
        // Whoever is between could hand over another one that was signed once.
        if let Some(expected) = expected.filter(|expected| *expected != version.as_str()) {
            return Err(format!(
                "the channel named {expected}, and what came is {version}: `ironwake update check` asks it again"
            ));
        }
        if version == running {
            return Err(format!("{version} is the version that runs"));
        }
        if version < running && !allow_older {
            let advice = "`--allow-older` installs it all the same";
            return Err(format!("{version} is older than {running}, which runs: {advice}"));
        }
        self.at_step(Some(&version), UpdateStep::Snapshot);
        let snapshot = snapshot_path(&places.inbox, running.as_str());
        self.store.snapshot(snapshot).await.map_err(|error| told(&error))?;
        let order =
            Order { id: uuid::Uuid::new_v4().to_string(), allow_older, failed_before: self.failing().await };
        let id = order.id.clone();
        let put = {
            let places = places.clone();
            move || {
                write_order(&places, &order).map_err(|error| told(&error))?;
                let named = std::fs::rename(places.inbox.join(PARTIAL), places.inbox.join(BUNDLE));
                named.map_err(|error| format!("name the bundle: {error}"))
            }
        };
        in_thread(put).await?;
        self.note(
            actor,
            EventKind::UpdateStarted { version: version.to_string(), from: running.to_string() },
        )
        .await;
        self.at_step(Some(&version), UpdateStep::Unpacking);
        let own = self.own().map_err(|error| error.to_string())?;
        own.appliance.bus.start_unit(UPDATE_INSTALL).await.map_err(|error| error.to_string())?;
        self.follow_root(&places, &id).await.map(|()| version)
    }

    /// Shows how far root side is with an order, until it has ended.
    async fn follow_root(&self, places: &Places, id: &str) -> Result<(), String> {
        let mut seen: Option<UpdateProgress> = None;
        let mut changed = tokio::time::Instant::now();
        loop {
            tokio::time::sleep(FOLLOW_EVERY).await;
            let read = {
                let places = places.clone();
                in_thread(move || read_progress(&places).map_err(|error| told(&error))).await
            };
            let mine = read.unwrap_or_default().filter(|told| told.order == id).map(|told| told.progress);
            if mine != seen && mine.is_some() {
                changed = tokio::time::Instant::now();
                seen.clone_from(&mine);
            }
            match mine {
                Some(progress) if progress.step == UpdateStep::Done => return Ok(()),
                Some(progress) if progress.step == UpdateStep::Failed => {
                    return Err(progress.error.unwrap_or_else(|| "root side does not say why".into()));
                }
                Some(progress) => self.update_state().progress = Some(progress),
                None => {}
            }
            let patience = if seen.is_some() { SILENCE_MAX } else { BEGIN_WITHIN };
            if changed.elapsed() > patience {
                let secs = patience.as_secs();
                return Err(format!(
                    "{UPDATE_INSTALL} said nothing for {secs} s: `journalctl -u {UPDATE_INSTALL}` shows why"
                ));
            }
        }
    }

    /// Names of what does not work now: no update is to blame for it.
    async fn failing(&self) -> Vec<String> {
        let health = self.health();
        let checks = health.checks.iter().filter(|check| check.state == HealthState::Failed);
        let mut failing: Vec<String> = checks.map(|check| check.name.clone()).collect();
        let tested = self.self_test().await;
        failing.extend(
            tested.networks.into_iter().filter(|network| !network.passed).map(|network| network.interface),
        );
        failing
    }

    /// Tells what became of the last update, once.
    pub(super) async fn tend_updates(&self) {
        let Ok(updating) = self.updating() else { return };
        if self.update_state().busy {
            return;
        }
        let places = updating.places.clone();
        let Ok(Some(record)) = in_thread(move || read_record(&places).map_err(|error| told(&error))).await
        else {
            return;
        };
        let mark = Told { version: record.version.clone(), at: record.at, state: record.state };
        if self.update_state().told.as_ref() == Some(&mark) {
            return;
        }
        let reason = record.why.unwrap_or_default();
        let kind = match record.state {
            RecordState::Good => Some(EventKind::UpdateStayed { version: record.version, from: record.from }),
            RecordState::FellBack => Some(EventKind::UpdateFellBack {
                version: record.version,
                running: record.from,
                boots: record.boots,
                reason,
            }),
            // What was cut short: what failed otherwise was told by whoever followed it.
            RecordState::Failed if self.update_state().began.is_none() => {
                Some(EventKind::UpdateFailed { version: Some(record.version), reason })
            }
            RecordState::Failed | RecordState::Installing | RecordState::Installed => None,
        };
        if let Some(kind) = kind {
            self.note(Actor::Daemon, kind).await;
        }
        let text = serde_json::to_vec(&mark).unwrap_or_default();
        let path = updating.places.inbox.join(TOLD);
        let kept = in_thread(move || {
            std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))
                .map_err(|error| error.to_string())?;
            private::write(&path, &text).map_err(|error| told(&error))
        });
        if let Err(error) = kept.await {
            warn!(error, "what was told of an update may be told again");
        }
        self.update_state().told = Some(mark);
    }
}

/// What was asked for.
struct Wanted {
    /// The version that was shown, where one was.
    version: Option<String>,
    allow_older: bool,
}

/// Where a bundle comes from.
enum Source {
    Url(String),
    Stick(PathBuf),
}

/// What the channel has.
async fn look_at(channel: &str, places: &Places, now: Millis) -> Result<UpdateAvailable, String> {
    let root = places.root.clone();
    let keys = in_thread(move || keyring(&root).map_err(|error| told(&error))).await?;
    let client = HttpClient::new(&[channel]).map_err(|error| error.to_string())?;
    let text = async |name: &str, bytes_max| {
        let text = client.text(&format!("{channel}{name}"), bytes_max).await;
        text.map_err(|error| format!("{name} of the channel: {error}"))
    };
    let manifest = text(MANIFEST, MANIFEST_BYTES_MAX).await?;
    let signature = text(SIGNATURE, SIGNATURE_BYTES_MAX).await?;
    let (manifest, signed_by) = verified(&manifest, &signature, &keys, now).map_err(|error| told(&error))?;
    let newer = image_version(&places.root).is_none_or(|running| manifest.version > running);
    Ok(UpdateAvailable {
        built: manifest.built.saturating_mul(1000),
        size_bytes: manifest.bytes(),
        version: manifest.version.to_string(),
        signed_by,
        newer,
    })
}

/// A file on a stick by the name that was listed; nothing leads out of it.
async fn on_stick(sticks: &Sticks, name: &str) -> Result<PathBuf, SiteError> {
    let plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    let listed = sticks.bundles(ENDING).await.map_err(|error| SiteError::Conflict(error.to_string()))?;
    match plain && listed.iter().any(|(path, _)| path == name) {
        true => Ok(sticks.folder().join(name)),
        false => Err(SiteError::invalid(
            "stick",
            format!("{name:?} is no update on a stick: `ironwake update` lists them"),
        )),
    }
}

/// Runs what may wait for a disk.
async fn in_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err("the daemon ends".into()))
}
