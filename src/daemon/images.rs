//! Boot files from the cache, and the discovery image built from them.

use std::sync::Arc;

use ironwake_api::{Actor, Artifact, ArtifactKind, ArtifactState, EventKind};
use tracing::{error, info, warn};

use crate::artifacts::{self, PciNames, Shelf};
use crate::builders;
use crate::config::Config;
use crate::site::Site;
use crate::store::{Change, NewEvent};

/// Fills in the names of PCI devices, which the agent leaves out to stay small.
pub(super) fn annotator() -> Box<dyn Fn(&mut ironwake_api::Inventory) + Send + Sync> {
    let names = match PciNames::load(&artifacts::boot_dir().join("pci.ids")) {
        Ok(names) => names,
        Err(error) => {
            warn!(%error, "PCI devices stay without names");
            return Box::new(|_| {});
        }
    };
    Box::new(move |inventory| names.fill_in(inventory))
}

/// Publishes the loaders and says what is missing.
pub(super) fn publish_loaders(site: &Site, shelf: &Shelf) {
    let (blobs, found) = artifacts::load_boot_files();
    for blob in blobs {
        shelf.publish(blob);
    }
    for artifact in found {
        if artifact.state != ArtifactState::Done {
            warn!(name = artifact.name, error = artifact.error.as_deref(), "a boot file is not usable");
        }
        site.set_artifact(artifact);
    }
}

/// Builds the discovery image, or takes it from the cache, and publishes it.
pub(super) async fn build_discovery(config: Config, site: Arc<Site>, shelf: Shelf) {
    let names = ["discovery/vmlinuz", "discovery/initramfs"];
    for name in names {
        site.set_artifact(pending(name, ArtifactState::Working, None));
    }
    match builders::discovery(&artifacts::boot_dir(), &config.state).await {
        Ok(built) => {
            let path = |blob: &artifacts::Blob, file| format!("/artifacts/{}/{file}", blob.sha256);
            let paths = (path(&built.kernel, "vmlinuz"), path(&built.initramfs, "initramfs"));
            let bytes = built.kernel.bytes.len() + built.initramfs.bytes.len();
            info!(bytes, build_ms = built.build.as_millis() as u64, cached = built.cached, "discovery image");
            shelf.publish(built.kernel);
            shelf.publish(built.initramfs);
            for artifact in built.artifacts {
                announce(&site, &artifact);
                site.set_artifact(artifact);
            }
            site.set_discovery_image(paths.0, paths.1);
        }
        Err(error) => {
            let reason = format!("{:#}", anyhow::Error::from(error));
            error!(%reason, "the discovery image could not be built; unknown machines boot their disks");
            for name in names {
                site.set_artifact(pending(name, ArtifactState::Failed, Some(reason.clone())));
            }
        }
    }
}

fn announce(site: &Site, artifact: &Artifact) {
    let digest = format!("sha256:{}", artifact.sha256.as_deref().unwrap_or_default());
    let kind = EventKind::ArtifactReady { name: artifact.name.clone(), digest };
    let event = NewEvent { at: site.now(), actor: Actor::Daemon, machine: None, kind };
    site.store().save_behind(vec![Change::Event(Box::new(event))]);
}

fn pending(name: &str, state: ArtifactState, error: Option<String>) -> Artifact {
    Artifact {
        name: name.into(),
        kind: if name.ends_with("vmlinuz") { ArtifactKind::Kernel } else { ArtifactKind::Initramfs },
        state,
        source: None,
        version: None,
        size: None,
        sha256: None,
        path: None,
        created_at: None,
        build_ms: None,
        error,
    }
}
