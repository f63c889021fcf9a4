//! What templates name by `artifact("NAME")`: settled when an operation is made, so that its machine gets the bytes that were
//! confirmed, whatever becomes of the name.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;

use ironwake_api::{ArtifactState, OperationState};
use uuid::Uuid;

use super::Site;
use crate::operation::{Loaded, Rebuild};
use crate::profile::{Facts, Profile, Values, artifacts_of};

/// What the names of the discovery image's parts begin with.
const DISCOVERY: &str = "discovery/";
/// Stands for the key that an operation with steps has from its boot on.
const SOME_KEY: &str = "ssh-ed25519 AAAA ironwake";

impl Site {
    /// Where a machine that reached us at `http` gets each artifact that is here, by its name. An import stands before a boot
    /// file.
    pub(super) fn published(&self, http: SocketAddrV4) -> BTreeMap<String, String> {
        let all = self.shipped_artifacts().into_iter().chain(self.imports.artifacts());
        let here = all.filter(|artifact| artifact.state == ArtifactState::Done);
        here.filter_map(|artifact| Some((artifact.name, format!("http://{http}{}", artifact.path?))))
            .collect()
    }

    /// Where a machine that reached us at `http` gets what an operation was confirmed with.
    pub(super) fn kept(&self, rebuild: &Rebuild, http: SocketAddrV4) -> BTreeMap<String, String> {
        match &rebuild.artifacts {
            Some(kept) => {
                kept.iter().map(|kept| (kept.name.clone(), format!("http://{http}{}", kept.path()))).collect()
            }
            None => self.published(http),
        }
    }

    /// The artifacts that the templates of an operation name, as they are when it is made.
    pub(super) fn settle(&self, profile: &Profile, values: &Values, facts: &Facts) -> Vec<Loaded> {
        // Templates may ask for others once there is an operation and a key.
        let mut begun = facts.clone();
        begun.operation.id = Uuid::nil().to_string();
        begun.operation.ssh_key = (!profile.login.steps.is_empty()).then(|| SOME_KEY.to_owned());
        let mut names = artifacts_of(profile, values, facts);
        names.append(&mut artifacts_of(profile, values, &begun));
        names.iter().filter_map(|name| self.loaded(name).ok()).collect()
    }

    /// Why an operation in this state cannot go on: something that it was confirmed with, and still needs, is not here any
    /// more.
    pub(super) fn gone(&self, rebuild: &Rebuild, state: OperationState) -> Option<String> {
        let (name, sha256) = rebuild
            .still_needs(state)
            .into_iter()
            .find(|(name, sha256)| !self.holds(sha256) && !self.comes(name))?;
        Some(format!(
            "{name} as it was confirmed, sha256:{sha256}, is not here any more: import it again and retry, or make another \
             operation"
        ))
    }

    /// Whether an artifact of this digest can be served.
    pub(super) fn holds(&self, digest: &str) -> bool {
        let is_it = |sha256: &Option<String>| sha256.as_deref() == Some(digest);
        let shipped = self.shipped_artifacts();
        self.imports.holds(digest)
            || shipped.iter().any(|artifact| artifact.state == ArtifactState::Done && is_it(&artifact.sha256))
    }

    /// Whether what has this name is being made: the discovery image is, for a while after each start, and what it consists of
    /// may not be known yet.
    pub(super) fn comes(&self, name: &str) -> bool {
        use ArtifactState::{Failed, Queued, Working};
        let is_made = |artifact: ironwake_api::Artifact| matches!(artifact.state, Queued | Working | Failed);
        name.starts_with(DISCOVERY) && self.discovery.read().expect("no panic while held").is_none()
            || self.shipped_artifact(name).is_some_and(is_made)
    }
}
