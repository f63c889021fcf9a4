//! Builds: ordered by operators, taken by the builder, which hands in what it made as an import.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use ironwake_api::{Actor, ArtifactState, Build, BuildNew, BuildOutcome, BuildReport, EventKind, Millis};
use tokio::sync::Notify;

use super::{Site, SiteError, Standing};
use crate::builders::debian_image::release_of;
use crate::store::Change;

/// Lines of a build that are kept: the reason of a failure is among them.
const LOG_LINES_MAX: usize = 60;
/// Longer lines are cut.
const LINE_CHARS_MAX: usize = 300;
/// A mirror's URL stands in a line of apt's sources.
const MIRROR_CHARS_MAX: usize = 300;
/// A builder that says nothing for so long is gone: its build is given out again. It reports every second, and hands in
/// an image within a minute.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// Within one stage of a build, progress is an event this often: a build of two minutes is a dozen.
const TOLD_EVERY: Millis = 10_000;

/// The builds, by name; few, for only known recipes are built.
pub(super) struct Builds {
    table: Mutex<BTreeMap<String, Entry>>,
    ordered: Notify,
}

struct Entry {
    build: Build,
    heard_at: Millis,
    /// The stage that an event told last, and when.
    told: (Option<String>, Millis),
}

impl Builds {
    /// What was under way is queued: its builder reports again, or takes it again.
    pub(super) fn new(builds: Vec<Build>) -> Self {
        let entry = |mut build: Build| {
            if build.state == ArtifactState::Working {
                build.state = ArtifactState::Queued;
            }
            (build.name.clone(), Entry { build, heard_at: 0, told: Default::default() })
        };
        Self { table: Mutex::new(builds.into_iter().map(entry).collect()), ordered: Notify::new() }
    }

    fn table(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.table.lock().expect("no panic while held")
    }

    fn get(&self, name: &str) -> Option<Build> {
        self.table().get(name).map(|entry| entry.build.clone())
    }

    fn put(&self, build: Build, heard_at: Millis) {
        let mut table = self.table();
        let told = table.remove(&build.name).map(|entry| entry.told).unwrap_or_default();
        table.insert(build.name.clone(), Entry { build, heard_at, told });
    }

    /// Whether an event is to tell how far a build is; it counts as told from here on.
    fn is_news(&self, build: &Build, now: Millis) -> bool {
        let mut table = self.table();
        let Some(entry) = table.get_mut(&build.name) else { return false };
        let (stage, told_at) = &entry.told;
        let news = *stage != build.stage || now.saturating_sub(*told_at) >= TOLD_EVERY;
        if news {
            entry.told = (build.stage.clone(), now);
        }
        news
    }

    /// Whether a builder is at it or will be.
    pub(super) fn is_coming(&self, name: &str) -> bool {
        self.get(name).is_some_and(|build| is_running(&build))
    }
}

fn is_running(build: &Build) -> bool {
    matches!(build.state, ArtifactState::Queued | ArtifactState::Working)
}

impl Site {
    /// The last build of each artifact, by name.
    pub fn builds(&self) -> Vec<Build> {
        self.builds.table().values().map(|entry| entry.build.clone()).collect()
    }

    /// The last build of an artifact.
    pub fn build(&self, name: &str) -> Result<Build, SiteError> {
        self.builds.get(name).ok_or_else(|| SiteError::NoSuchBuild(name.into()))
    }

    /// Has an artifact built. One that is being built is built once.
    pub async fn order_build(&self, new: BuildNew, actor: Actor) -> Result<Build, SiteError> {
        release_of(&new.name).map_err(|error| SiteError::invalid("name", error.to_string()))?;
        if let Some(mirror) = &new.mirror {
            check_mirror(mirror).map_err(|message| SiteError::invalid("mirror", message))?;
        }
        let _gate = self.gate.lock().await;
        let before = self.builds.get(&new.name);
        if let Some(running) = before.as_ref().filter(|build| is_running(build)) {
            return Ok(running.clone());
        }
        // What the image was made from stays known: the same recipe is not built again.
        let (recipe, sha256) = before.map_or((None, None), |before| (before.recipe, before.sha256));
        let build = Build {
            name: new.name,
            state: ArtifactState::Queued,
            mirror: new.mirror,
            ordered_by: actor.clone(),
            ordered_at: self.now(),
            began_at: None,
            ended_at: None,
            stage: None,
            done_bytes: None,
            total_bytes: None,
            recipe,
            sha256,
            error: None,
            log: Vec::new(),
        };
        self.save_build(&build, actor, "is ordered".into()).await?;
        // Everybody who waits looks: the first may go away before it has taken what it was woken for.
        self.builds.ordered.notify_waiters();
        Ok(build)
    }

    /// Gives the builder something to do, waiting `wait` for it; nothing to one whose token has ended in between.
    pub async fn next_build(
        &self,
        wait: Duration,
        actor: Actor,
        standing: Option<&Standing>,
    ) -> Result<Option<Build>, SiteError> {
        let until = tokio::time::Instant::now() + wait;
        loop {
            // Before the look: an order that comes between the two is not missed.
            let mut ordered = pin!(self.builds.ordered.notified());
            ordered.as_mut().enable();
            if let Some(build) = self.take_build(&actor, standing).await? {
                return Ok(Some(build));
            }
            if tokio::time::timeout_at(until, ordered).await.is_err() {
                return Ok(None);
            }
        }
    }

    async fn take_build(
        &self,
        actor: &Actor,
        standing: Option<&Standing>,
    ) -> Result<Option<Build>, SiteError> {
        let _gate = self.gate.lock().await;
        Standing::check(standing)?;
        let now = self.now();
        let silent = |entry: &Entry| now.saturating_sub(entry.heard_at) > SILENCE_MAX.as_millis() as Millis;
        let waits = |entry: &&Entry| match entry.build.state {
            ArtifactState::Queued => true,
            ArtifactState::Working => silent(entry),
            _ => false,
        };
        let found = self.builds.table().values().find(waits).map(|entry| entry.build.clone());
        let Some(mut build) = found else { return Ok(None) };
        build.state = ArtifactState::Working;
        build.began_at = Some(now);
        let here = self.imports.image(&build.name).map(|image| image.sha256);
        if here.is_none() || here != build.sha256 {
            (build.recipe, build.sha256) = (None, None);
        }
        self.save_build(&build, actor.clone(), "is being built".into()).await?;
        Ok(Some(build))
    }

    /// The builder says how it gets on.
    pub async fn report_build(
        &self,
        name: &str,
        report: BuildReport,
        actor: Actor,
    ) -> Result<Build, SiteError> {
        let _gate = self.gate.lock().await;
        let mut build = self.build(name)?;
        if !is_running(&build) {
            return Err(SiteError::Conflict(format!("no build of {name} is under way")));
        }
        build.state = ArtifactState::Working;
        if let Some(stage) = report.stage {
            build.stage = Some(cut(&stage));
        }
        (build.done_bytes, build.total_bytes) = (report.done_bytes, report.total_bytes);
        build.log.extend(report.lines.iter().map(|line| cut(line)));
        let surplus = build.log.len().saturating_sub(LOG_LINES_MAX);
        build.log.drain(..surplus);
        let Some(outcome) = report.outcome else {
            self.builds.put(build.clone(), self.now());
            if let Some(stage) = build.stage.clone().filter(|_| self.builds.is_news(&build, self.now())) {
                let (done_bytes, total_bytes) = (build.done_bytes, build.total_bytes);
                let kind = EventKind::ArtifactBuildProgress {
                    name: build.name.clone(),
                    stage,
                    done_bytes,
                    total_bytes,
                };
                self.save_behind(vec![self.event(actor, None, kind)]);
            }
            return Ok(build);
        };
        build.ended_at = Some(self.now());
        (build.stage, build.done_bytes, build.total_bytes) = (None, None, None);
        let said = match outcome {
            BuildOutcome::Made { recipe } => {
                let image = self.imports.image(name);
                let image = image.ok_or_else(|| SiteError::Conflict(format!("{name} was not imported")))?;
                (build.recipe, build.sha256) = (Some(cut(&recipe)), Some(image.sha256));
                build.state = ArtifactState::Done;
                "is built".to_owned()
            }
            BuildOutcome::Unchanged => {
                build.state = ArtifactState::Done;
                "is what would be built".to_owned()
            }
            BuildOutcome::Failed { error } => {
                let error = cut(&error);
                build.state = ArtifactState::Failed;
                build.error = Some(error.clone());
                format!("could not be built: {error}")
            }
        };
        self.save_build(&build, actor, said).await?;
        Ok(build)
    }

    async fn save_build(&self, build: &Build, actor: Actor, said: String) -> Result<(), SiteError> {
        let kind = EventKind::ArtifactBuild { name: build.name.clone(), state: build.state, said };
        let event = self.event(actor, None, kind);
        self.store.save(vec![Change::Build(Box::new(build.clone())), event]).await?;
        self.builds.put(build.clone(), self.now());
        Ok(())
    }
}

/// It stands in a line that apt reads: nothing in it may end its word.
fn check_mirror(mirror: &str) -> Result<(), String> {
    let scheme = ["http://", "https://"].iter().any(|scheme| mirror.starts_with(scheme));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/@%+".contains(&byte);
    match scheme && mirror.len() <= MIRROR_CHARS_MAX && mirror.bytes().all(plain) {
        true => Ok(()),
        false => Err(format!("{mirror:?} is no mirror: http:// or https://, a host and a path")),
    }
}

fn cut(line: &str) -> String {
    line.chars().take(LINE_CHARS_MAX).collect()
}
