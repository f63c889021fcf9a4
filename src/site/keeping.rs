//! Imports that something needs, and those that make room.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use ironwake_api::{Actor, Artifact, ArtifactUsage, EventKind, Millis};
use tracing::warn;

use super::Site;
use crate::artifact::{Digest, Eviction, Held, Import, Usage, usage};
use crate::artifacts::ImportError;
use crate::profile::named_artifacts;
use crate::store::Change;

/// How often uses are saved, and what nothing uses is looked for: limits are days.
const LOOK_EVERY_MILLIS: Millis = 10 * 60_000;

/// What is noted between two looks.
#[derive(Default)]
pub(super) struct Keeping {
    looked_at: AtomicU64,
    /// When machines fetched which bytes.
    used: Mutex<BTreeMap<Digest, Millis>>,
}

/// Which profiles name which artifacts.
pub(super) struct Named(BTreeMap<String, Vec<String>>);

impl Site {
    /// A machine fetches what has this digest.
    pub fn fetched(&self, sha256: &str) {
        let Some(digest) = sha256.parse().ok().filter(|digest| self.imports.has(*digest)) else { return };
        self.keeping.used.lock().expect("no panic while held").insert(digest, self.now());
    }

    /// What profiles name with their defaults.
    pub(super) fn named(&self) -> Named {
        let mut named: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for entry in self.catalog.list() {
            for artifact in named_artifacts(&entry.profile) {
                named.entry(artifact).or_default().push(entry.profile.name.clone());
            }
        }
        Named(named)
    }

    /// What one profile names with its defaults.
    #[cfg(test)]
    pub(super) fn named_by(&self, profile: &str) -> Vec<String> {
        self.catalog.get(profile).map(|entry| named_artifacts(&entry.profile)).unwrap_or_default()
    }

    /// An import with everything that keeps it.
    pub(super) fn with_needs(&self, mut artifact: Artifact, named: &Named) -> Artifact {
        if artifact.used_at.is_none() {
            return artifact;
        }
        let profiles = named.0.get(&artifact.name).into_iter().flatten();
        artifact.needed_by = profiles.map(|profile| format!("profile {profile}")).collect();
        artifact.needed_by.dedup();
        let operation = artifact.sha256.as_deref().and_then(|sha256| self.operations.of_image(sha256));
        artifact.needed_by.extend(operation.map(|id| format!("operation {id}")));
        artifact
    }

    /// Saves which imports were used, and removes what makes room; to be called about once a second.
    pub async fn tend_imports(&self) {
        let now = self.now();
        if now.saturating_sub(self.keeping.looked_at.load(Ordering::Relaxed)) < LOOK_EVERY_MILLIS {
            return;
        }
        self.keeping.looked_at.store(now, Ordering::Relaxed);
        let _gate = self.gate.lock().await;
        let used = std::mem::take(&mut *self.keeping.used.lock().expect("no panic while held"));
        let mut changes = Vec::new();
        for import in self.imports.all() {
            let installed = self.operations.of_image(&import.sha256.to_string()).is_some();
            let used_at = if installed { Some(now) } else { used.get(&import.sha256).copied() };
            if let Some(used_at) = used_at.filter(|used_at| *used_at > import.used_at) {
                changes.push(Import { used_at, ..import });
            }
        }
        let saved = changes.iter().map(|import| Change::Import(Box::new(import.clone()))).collect();
        if self.save_behind(saved) {
            changes.into_iter().for_each(|import| self.imports.put(import));
        }
        let plan = self.evictions(None);
        self.evict(plan).await;
    }

    /// How much imports take, and what keeps them.
    pub fn artifact_usage(&self) -> ArtifactUsage {
        let named = self.named();
        let imports = self.imports.all();
        let all: Vec<Held<'_>> =
            imports.iter().map(|import| Held { import, held: self.is_held(import, &named) }).collect();
        let Usage { pinned, needed, evictable } = usage(&all);
        let boot = self.shipped_artifacts();
        ArtifactUsage {
            imports: imports.len() as u64,
            bytes: pinned.saturating_add(needed).saturating_add(evictable),
            bytes_max: self.settings.limits.bytes_max,
            unused_secs_max: self.settings.limits.unused_max / 1000,
            pinned_bytes: pinned,
            needed_bytes: needed,
            evictable_bytes: evictable,
            boot_bytes: boot.iter().filter_map(|artifact| artifact.size).fold(0, u64::saturating_add),
        }
    }

    /// Whether an import stays whatever the limits say.
    fn is_held(&self, import: &Import, named: &Named) -> bool {
        import.pinned
            || named.0.contains_key(&import.name)
            || self.operations.of_image(&import.sha256.to_string()).is_some()
    }

    /// What has to go, with one that is to come, which may replace one of its name.
    pub(super) fn evictions(&self, coming: Option<&Import>) -> Eviction {
        let named = self.named();
        let mut imports = self.imports.all();
        if let Some(coming) = coming {
            imports.retain(|import| import.name != coming.name);
        }
        let all: Vec<Held<'_>> = imports
            .iter()
            .map(|import| Held { import, held: self.is_held(import, &named) })
            .chain(coming.map(|import| Held { import, held: true }))
            .collect();
        crate::artifact::evict(&all, self.settings.limits, self.now())
    }

    /// Refuses what would not fit beside all that is held.
    pub(super) fn refuse_beyond(&self, plan: &Eviction) -> Result<(), ImportError> {
        match plan.bytes_over {
            0 => Ok(()),
            over => Err(ImportError::OverLimit { over, max: self.settings.limits.bytes_max }),
        }
    }

    /// Removes what a plan says. The gate must be held.
    pub(super) async fn evict(&self, plan: Eviction) {
        for (name, reason) in plan.names {
            let Some(import) = self.imports.get(&name) else { continue };
            let digest = format!("sha256:{}", import.sha256);
            let kind = EventKind::ArtifactEvicted { name: name.clone(), digest, reason };
            let event = self.event(Actor::Daemon, None, kind);
            match self.store.save(vec![Change::ImportDeleted(name.clone()), event]).await {
                Ok(()) => self.imports.forget(&name),
                Err(error) => warn!(name, %error, "an import that is not needed stays"),
            }
        }
        self.sweep_imports();
    }
}
