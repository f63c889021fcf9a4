//! How far an attempt has come, read from one observation.

use ironwake_api::{ClientStage, StageKind};

use super::Observation;

/// How far an attempt has come; later is greater.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reached {
    /// Nothing yet.
    #[default]
    Nothing,
    /// The firmware asked by DHCP.
    Asked,
    /// The firmware was refused, with a named reason.
    Refused,
    /// The firmware was offered a boot file.
    Offered,
    /// The firmware has an address and knows its boot file.
    Bound,
    /// The boot file's transfer broke.
    LoaderBroken,
    /// The boot file was fetched whole.
    Loader,
    /// iPXE or GRUB runs.
    LoaderRuns,
    /// It fetched its script.
    Script,
    /// It fetched the kernel.
    Kernel,
    /// It fetched the initramfs.
    Initramfs,
    /// The agent runs.
    Agent,
    /// The inventory is in.
    Inventory,
}

/// Whether a path is that of a generated script rather than a loader or its companion.
fn is_script(path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    path.starts_with("/ipxe/") || path.ends_with("grub.cfg")
}

fn is_bootstrap(path: &str) -> bool {
    path.ends_with("autoexec.ipxe")
}

impl Reached {
    /// What `seen` shows on its own; [`Reached::Nothing`] where it shows nothing, as a miss does.
    pub fn by(seen: &Observation) -> Self {
        match &seen.kind {
            StageKind::Dhcp { message, answer, file, .. } => match seen.client {
                ClientStage::Firmware => match (answer.as_deref(), file) {
                    (Some("ACK"), Some(_)) => Self::Bound,
                    (Some("OFFER"), Some(_)) => Self::Offered,
                    (Some(_), None) => Self::Refused,
                    _ => Self::Asked,
                },
                ClientStage::Ipxe | ClientStage::Grub => Self::LoaderRuns,
                ClientStage::Agent if message == "DISCOVER" || message == "REQUEST" => Self::Agent,
                ClientStage::Agent | ClientStage::Os => Self::Nothing,
            },
            StageKind::Tftp { file, bytes, size, aborted, .. } => {
                Self::by_file(seen.client, file, aborted.is_none() && bytes >= size && *size > 0)
            }
            StageKind::Http { method, path, status, .. } if method == "GET" => {
                Self::by_file(seen.client, path, matches!(status, 200 | 206))
            }
            StageKind::Http { .. } => Self::Nothing,
            StageKind::Agent { .. } => Self::Agent,
            StageKind::Inventory { .. } => Self::Inventory,
        }
    }

    fn by_file(client: ClientStage, path: &str, whole: bool) -> Self {
        let name = path.split('?').next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
        if is_bootstrap(path) {
            Self::LoaderRuns
        } else if is_script(path) {
            if whole { Self::Script } else { Self::LoaderRuns }
        } else if path.starts_with("/artifacts/") && whole {
            match name {
                "vmlinuz" => Self::Kernel,
                "initramfs" => Self::Initramfs,
                _ => Self::Nothing,
            }
        } else if client == ClientStage::Firmware && whole {
            Self::Loader
        } else {
            Self::Nothing
        }
    }
}

/// Whether `seen` is the fetch that hands a boot plan to the machine.
pub fn carries_plan(seen: &Observation) -> bool {
    match &seen.kind {
        StageKind::Tftp { file, aborted: None, .. } => is_script(file),
        StageKind::Http { method, path, status: 200, .. } => method == "GET" && is_script(path),
        _ => false,
    }
}
