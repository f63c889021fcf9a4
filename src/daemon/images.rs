//! Boot files from the cache, and the discovery image built from them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use ironwake_api::{Actor, Artifact, ArtifactKind, ArtifactState, EventKind, Inventory};
use tracing::{debug, error, info, warn};

use crate::artifacts::{self, PciNames, Shelf};
use crate::builders::{self, BuiltDiscovery};
use crate::script::DiscoveryFiles;
use crate::site::{SharedSite, Site};
use crate::store::{Change, NewEvent};

/// The first pause before the discovery image is built again; it doubles with each failure.
const REBUILD_PAUSE_MIN: Duration = Duration::from_secs(5);
/// The longest pause: what is missing is put there by hand, and a try reads and packs the whole image.
const REBUILD_PAUSE_MAX: Duration = Duration::from_secs(5 * 60);

/// Fills in the names of PCI devices, which the agent leaves out to stay small.
pub(super) fn annotator(boot_dirs: &[PathBuf]) -> Box<dyn Fn(&mut Inventory) + Send + Sync> {
    let Some(dir) = artifacts::boot_dir(boot_dirs) else { return Box::new(|_| {}) };
    match PciNames::load(&dir.join("pci.ids")) {
        Ok(names) => Box::new(move |inventory| name_devices(&names, inventory)),
        Err(error) => {
            warn!(%error, "PCI devices stay without names");
            Box::new(|_| {})
        }
    }
}

fn name_devices(names: &PciNames, inventory: &mut Inventory) {
    let look_up = |id: &str| {
        let (vendor, device) = id.split_once(':')?;
        let vendor = u16::from_str_radix(vendor, 16).ok()?;
        let device = u16::from_str_radix(device, 16).ok()?;
        Some((names.vendor(vendor).map(str::to_owned), names.device(vendor, device).map(str::to_owned)))
    };
    for function in &mut inventory.pci {
        (function.vendor, function.name) = look_up(&function.id).unwrap_or_default();
    }
    for gpu in &mut inventory.gpus {
        (gpu.vendor, gpu.name) = look_up(&gpu.id).unwrap_or_default();
    }
}

/// Publishes the loaders and says what is missing.
pub(super) fn publish_loaders(boot_dirs: &[PathBuf], site: &Site, shelf: &Shelf) {
    let (blobs, found) = artifacts::load_boot_files(boot_dirs);
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

/// Builds the discovery image, or takes it from the cache, and publishes it; tries until that works.
pub(super) async fn publish_discovery(
    boot_dirs: Vec<PathBuf>,
    state: PathBuf,
    site: SharedSite,
    shelf: Shelf,
) {
    let mut pause = REBUILD_PAUSE_MIN;
    loop {
        set_discovery(&site, ArtifactState::Working, None);
        match build_discovery(&boot_dirs, &state).await {
            Ok(built) => return publish_built(built, &site, &shelf),
            Err(error) => {
                let (reason, pause_s) = (format!("{error:#}"), pause.as_secs());
                error!(%reason, pause_s, "no discovery image: without one, unknown machines and what needs the agent boot their disks");
                set_discovery(&site, ArtifactState::Failed, Some(&reason));
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(REBUILD_PAUSE_MAX);
    }
}

fn publish_built(built: BuiltDiscovery, site: &Site, shelf: &Shelf) {
    let path = |blob: &artifacts::Blob, file| format!("/artifacts/{}/{file}", blob.sha256);
    let files = DiscoveryFiles {
        kernel: path(&built.kernel, "vmlinuz"),
        initramfs: path(&built.initramfs, "initramfs"),
        installing: path(&built.installing, "installing"),
        rescue: built.rescue.as_ref().map(|blob| path(blob, "rescue")),
    };
    let bytes = built.kernel.bytes.len() + built.initramfs.bytes.len();
    info!(bytes, build_ms = built.build.as_millis() as u64, cached = built.cached, "discovery image");
    shelf.publish(built.kernel);
    shelf.publish(built.initramfs);
    shelf.publish(built.installing);
    if let Some(rescue) = built.rescue {
        shelf.publish(rescue);
    }
    for artifact in built.artifacts {
        announce(site, &artifact);
        site.set_artifact(artifact);
    }
    site.set_discovery_image(files);
}

async fn build_discovery(boot_dirs: &[PathBuf], state: &Path) -> anyhow::Result<BuiltDiscovery> {
    let boot = artifacts::boot_dir(boot_dirs).context("no boot files: fetch them with `./dev setup`")?;
    let agent = builders::agent_path().map_err(anyhow::Error::msg)?;
    let progress = |progress| debug!(?progress, "building the discovery image");
    Ok(builders::discovery(boot, &agent, state, progress).await?)
}

fn announce(site: &Site, artifact: &Artifact) {
    let digest = format!("sha256:{}", artifact.sha256.as_deref().unwrap_or_default());
    let kind = EventKind::ArtifactReady { name: artifact.name.clone(), digest };
    let event = NewEvent { at: site.now(), actor: Actor::Daemon, machine: None, kind };
    site.store().save_behind(vec![Change::Event(Box::new(event))]);
}

/// The files of the discovery image are in this state.
fn set_discovery(site: &Site, state: ArtifactState, error: Option<&str>) {
    for (name, kind) in [
        ("discovery/vmlinuz", ArtifactKind::Kernel),
        ("discovery/initramfs", ArtifactKind::Initramfs),
        ("discovery/installing", ArtifactKind::Initramfs),
    ] {
        let error = error.map(str::to_owned);
        site.set_artifact(Artifact { error, ..Artifact::new(name, kind, state) });
    }
}
