//! What a read request names: a published artifact, or a script made for the client that asks.

use std::net::{Ipv4Addr, SocketAddrV4};

use bytes::Bytes;
use ironwake_api::ClientStage;

use crate::serve::Backend;
use crate::site::ScriptRequest;
use crate::tftp::{ErrorCode, PathError, clean_path};

/// Names that shim asks for beside itself; its successor GRUB is told by its own name.
const SHIM_NAMES: &[&str] = &["grubx64.efi", "grubaa64.efi", "revocations_sku.efi", "revocations_sbat.efi"];

/// Bytes to send.
pub(super) struct Found {
    pub bytes: Bytes,
    /// The program that asks for such a file.
    pub client: ClientStage,
}

/// Why nothing is sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub code: ErrorCode,
    pub reason: String,
}

/// Finds what `from` names by `file`; `http` is where it reaches the HTTP server.
pub(super) fn find(
    backend: &Backend,
    file: &str,
    from: Ipv4Addr,
    http: SocketAddrV4,
) -> Result<Found, Refusal> {
    let path = clean_path(file).map_err(|error| Refusal {
        code: match error {
            PathError::Parent | PathError::Control => ErrorCode::AccessViolation,
            PathError::Empty | PathError::TooLong(_) => ErrorCode::NotFound,
        },
        reason: error.to_string(),
    })?;
    let name = path.rsplit('/').next().unwrap_or(&path);
    let client = client_of(&path, name);
    let bytes = match name {
        "autoexec.ipxe" => Bytes::from(backend.site.ipxe_bootstrap(http)),
        "grub.cfg" => Bytes::from(grub_script(backend, from, http)?),
        _ => match backend.files.by_name(&path) {
            Some(blob) => blob.bytes.clone(),
            None => return Err(Refusal { code: ErrorCode::NotFound, reason: format!("no file {path}") }),
        },
    };
    Ok(Found { bytes, client })
}

/// Which program asks for this file, which is all that TFTP tells of it.
pub(super) fn client_of_request(file: &str) -> ClientStage {
    match clean_path(file) {
        Ok(path) => client_of(&path, path.rsplit('/').next().unwrap_or(&path)),
        Err(_) => ClientStage::Firmware,
    }
}

fn client_of(path: &str, name: &str) -> ClientStage {
    let shim = SHIM_NAMES.contains(&name) || name.starts_with("shim_certificate");
    match name {
        "autoexec.ipxe" => ClientStage::Ipxe,
        "grub.cfg" => ClientStage::Grub,
        _ if shim || path.starts_with("grub/") => ClientStage::Grub,
        _ => ClientStage::Firmware,
    }
}

/// GRUB sends nothing that names its machine, so the address must.
fn grub_script(backend: &Backend, from: Ipv4Addr, http: SocketAddrV4) -> Result<String, Refusal> {
    let Some(mac) = backend.site.mac_of(from) else {
        return Err(Refusal {
            code: ErrorCode::NotFound,
            reason: format!("no machine is known at {from}, so it has no grub.cfg"),
        });
    };
    let request = ScriptRequest {
        mac,
        uuid: None,
        serial: None,
        asset_tag: None,
        client: ClientStage::Grub,
        http,
        from,
        only_looks: false,
    };
    if backend.site.awaits_first_boot(mac) {
        // The script is told without waiting; should this be lost, the host's call home passes through the state.
        let site = backend.site.clone();
        tokio::spawn(async move {
            if let Err(error) = site.sent_to_disk(mac).await {
                tracing::warn!(%mac, %error, "that the machine was sent to its disk was not noted");
            }
        });
    }
    Ok(backend.site.grub_script(&request).text)
}
