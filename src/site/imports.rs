//! Images that operators import: received beside the gate, named and forgotten through it.

use std::collections::BTreeSet;

use ironwake_api::{Actor, Artifact, ArtifactOrigin, ArtifactPatch, EventKind, ImageSource};

use super::{Site, SiteError, Standing};
use crate::artifact::{Download, Import, check_import_name};
use crate::artifacts::{ImportError, Received, Upload};
use crate::store::{Change, StoreError};

/// Names of imports: each version of each image of a large site.
const IMPORTS_MAX: usize = 1000;

/// What has to be true still when an image gets its name.
pub(super) enum Wanted<'a> {
    /// It was sent, with a token that has to be good; or on the socket.
    Upload(Option<&'a Standing>),
    /// It was fetched, for a download that nobody has taken back.
    Download(&'a Download),
}

impl Site {
    /// The imported image of this name as work names it to the agent, if its bytes are there.
    pub fn image(&self, name: &str) -> Option<ImageSource> {
        self.imports.image(name)
    }

    /// Artifacts as they stand, by name.
    pub fn artifacts(&self) -> Vec<Artifact> {
        let mut artifacts = self.shipped_artifacts();
        let named = self.named();
        artifacts.extend(self.imports.artifacts().into_iter().map(|import| self.with_needs(import, &named)));
        let names: BTreeSet<String> = artifacts.iter().map(|artifact| artifact.name.clone()).collect();
        let known = artifacts.into_iter().map(|artifact| (artifact.name.clone(), Some(artifact)));
        let coming: BTreeSet<String> = self.uploads.names().into_iter().collect();
        let mut others = self.downloads.others(&names);
        others.extend(coming.into_iter().filter(|name| !names.contains(name)));
        others.sort();
        others.dedup();
        let others = others.into_iter().map(|name| (name, None));
        let shown = known.chain(others).filter_map(|(name, artifact)| self.with_coming(&name, artifact));
        let mut artifacts: Vec<Artifact> = shown.collect();
        artifacts.sort_by(|a, b| a.name.cmp(&b.name));
        artifacts
    }

    /// The artifact of this name.
    pub fn artifact(&self, name: &str) -> Result<Artifact, SiteError> {
        let import = self.imports.artifact(name).map(|import| self.with_needs(import, &self.named()));
        let found = import.or_else(|| self.shipped_artifact(name));
        self.with_coming(name, found).ok_or_else(|| SiteError::NoSuchArtifact(name.into()))
    }

    /// What is known of an artifact, with the download and the upload that are to bring it.
    fn with_coming(&self, name: &str, artifact: Option<Artifact>) -> Option<Artifact> {
        let artifact = self.uploads.show(name, self.downloads.show(name, artifact))?;
        let comes = artifact.download.is_some() || artifact.upload.is_some();
        // What is to come is ended; what the name has stays.
        let undeletable = if comes { None } else { self.undeletable(name) };
        Some(Artifact { deletable: undeletable.is_none(), undeletable, ..artifact })
    }

    /// Why what has this name could not be deleted.
    fn undeletable(&self, name: &str) -> Option<String> {
        let Some(import) = self.imports.get(name) else {
            return Some(format!("{name} is a boot file, which comes with the appliance"));
        };
        if import.pinned {
            return Some(format!("{name} is pinned: `ironwake artifact unpin {name}` lets it go"));
        }
        // A name goes with the last operation that was confirmed with what it names.
        let operation = self.operations.of_image(&import.sha256.to_string())?;
        Some(format!("operation {operation} needs {name}: wait until it has ended, or cancel it"))
    }

    /// Begins to receive an image that is to have this name, of which `declared` bytes are said to come.
    pub fn receive_import(&self, name: &str, declared: Option<u64>) -> Result<Upload, SiteError> {
        check_import_name(name).map_err(|error| SiteError::invalid("name", error.to_string()))?;
        self.refuse_import(name)?;
        let upload = self.imports.receive(declared)?;
        self.uploads.begin(name, &upload.gauge(), self.now());
        Ok(upload)
    }

    /// Whether something may be imported under this name.
    pub(super) fn refuse_import(&self, name: &str) -> Result<(), SiteError> {
        self.refuse_shipped(name)?;
        self.refuse_full(name)
    }

    /// Gives a received image its name; whether it had other bytes before. A pin of that name stays, and so do bytes that an
    /// operation has by their digest. Refused where it came by a token that has ended in between.
    pub async fn import(
        &self,
        name: &str,
        received: Received,
        actor: Actor,
        standing: Option<&Standing>,
    ) -> Result<(Artifact, bool), SiteError> {
        let wanted = Wanted::Upload(standing);
        self.name_import(name, received, actor, ArtifactOrigin::default(), wanted).await
    }

    /// Gives a received image its name, if it is still wanted.
    pub(super) async fn name_import(
        &self,
        name: &str,
        received: Received,
        actor: Actor,
        origin: ArtifactOrigin,
        wanted: Wanted<'_>,
    ) -> Result<(Artifact, bool), SiteError> {
        let _gate = self.gate.lock().await;
        if received.is_cancelled() {
            return Err(ImportError::Cancelled.into());
        }
        let download = match wanted {
            Wanted::Download(download) if !self.wants_download(download) => {
                return Err(ImportError::Cancelled.into());
            }
            Wanted::Download(download) => Some(download),
            Wanted::Upload(standing) => {
                Standing::check(standing)?;
                None
            }
        };
        self.refuse_full(name)?;
        let before = self.imports.get(name);
        let pinned = before.as_ref().is_some_and(|before| before.pinned);
        let mut import = received.import(name, pinned, self.now(), actor.clone());
        import.origin = ArtifactOrigin { converted: import.origin.converted.take(), ..origin };
        let plan = self.evictions(Some(&import));
        self.refuse_beyond(&plan)?;
        let settled = tokio::task::spawn_blocking(|| received.settle()).await;
        // It does not panic, so the runtime is going down.
        let bytes = settled.map_err(|_| StoreError::Closed)??;
        self.imports.publish(import.sha256, bytes);
        let kind = EventKind::ArtifactReady { name: name.into(), digest: digest(&import) };
        let mut changes = vec![Change::Import(Box::new(import.clone())), self.event(actor, None, kind)];
        changes.extend(download.map(|download| Change::DownloadDeleted(download.name.clone())));
        let saved = self.store.save(changes).await;
        if saved.is_ok() {
            self.imports.put(import.clone());
            if let Some(download) = download {
                self.finish_download(download);
            }
            self.evict(plan).await;
        }
        self.sweep_imports();
        saved?;
        Ok((self.artifact(name)?, before.is_some()))
    }

    /// Changes the fields that `patch` names.
    pub async fn edit_import(
        &self,
        name: &str,
        patch: ArtifactPatch,
        actor: Actor,
    ) -> Result<Artifact, SiteError> {
        let _gate = self.gate.lock().await;
        let mut import = self.find_import(name)?;
        if let Some(pinned) = patch.pinned.filter(|pinned| *pinned != import.pinned) {
            import.pinned = pinned;
            let event = self.event(actor, None, EventKind::ArtifactPinned { name: name.into(), pinned });
            self.store.save(vec![Change::Import(Box::new(import.clone())), event]).await?;
            self.imports.put(import);
        }
        self.artifact(name)
    }

    /// Forgets a name, and its bytes unless they are needed otherwise. Where a download or an upload is to bring it, only
    /// that ends: what the name had before stays.
    pub async fn delete_import(&self, name: &str, actor: Actor) -> Result<(), SiteError> {
        let _gate = self.gate.lock().await;
        if self.cancel_download(name, &actor).await? || self.cancel_uploads(name, &actor).await? {
            return Ok(());
        }
        let import = self.find_import(name)?;
        if let Some(reason) = self.undeletable(name) {
            return Err(SiteError::Conflict(reason));
        }
        let kind = EventKind::ArtifactDeleted { name: name.into(), digest: digest(&import) };
        let event = self.event(actor, None, kind);
        self.store.save(vec![Change::ImportDeleted(name.into()), event]).await?;
        self.imports.forget(name);
        self.sweep_imports();
        Ok(())
    }

    /// Removes bytes that no import names and no operation installs.
    pub(super) fn sweep_imports(&self) {
        let maps = self.imports.sweep(|sha256| self.operations.of_image(sha256).is_some());
        if !maps.is_empty() {
            tokio::task::spawn_blocking(move || drop(maps));
        }
    }

    fn find_import(&self, name: &str) -> Result<Import, SiteError> {
        match self.imports.get(name) {
            Some(import) => Ok(import),
            None => {
                self.refuse_shipped(name)?;
                Err(SiteError::NoSuchArtifact(name.into()))
            }
        }
    }

    fn refuse_shipped(&self, name: &str) -> Result<(), SiteError> {
        match self.shipped_artifact(name) {
            Some(_) if self.imports.get(name).is_none() => Err(SiteError::Conflict(format!(
                "{name} is a boot file, which is not imported: choose another name"
            ))),
            _ => Ok(()),
        }
    }

    fn refuse_full(&self, name: &str) -> Result<(), SiteError> {
        match self.imports.get(name).is_none() && self.imports.count() >= IMPORTS_MAX {
            true => Err(SiteError::Full { what: "imports", limit: IMPORTS_MAX }),
            false => Ok(()),
        }
    }
}

fn digest(import: &Import) -> String {
    format!("sha256:{}", import.sha256)
}

impl From<ImportError> for SiteError {
    fn from(error: ImportError) -> Self {
        Self::Import(Box::new(error))
    }
}
