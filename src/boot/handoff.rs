//! What a DHCP answer points a client to.

use std::net::SocketAddrV4;

use ironwake_api::{ClientStage, Diagnosis};

use super::{ArchRow, Sighting, Transport};

/// What a DHCP answer points a client to, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handoff {
    /// A file by TFTP, at most 127 bytes; the header's `file`, options 66 and 67 name it.
    File {
        /// Path on the TFTP server.
        file: String,
        /// In a sentence.
        why: String,
    },
    /// A URL: iPXE's script, or HTTP Boot's loader.
    Url {
        /// The URL.
        url: String,
        /// In a sentence.
        why: String,
    },
    /// No boot file: an operating system or the agent wants an address only.
    AddressOnly,
    /// A netboot client that cannot be served, with the named reason.
    Refused(Diagnosis),
}

/// Which loader this machine's firmware gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LoaderPolicy {
    /// Shim and GRUB, because Secure Boot is on.
    pub secure_boot: bool,
    /// The fallback loader, because the first one failed on this machine.
    pub fallback: bool,
}

/// Chooses what a DHCP answer points `sighting` to. `http` is where machines reach the HTTP server.
pub fn handoff(sighting: &Sighting, policy: LoaderPolicy, http: SocketAddrV4) -> Handoff {
    match sighting.stage {
        ClientStage::Os | ClientStage::Agent | ClientStage::Grub => Handoff::AddressOnly,
        ClientStage::Ipxe if sighting.http_capable => Handoff::Url {
            // iPXE expands these itself: a machine registered by UUID or serial number has no address yet.
            url: format!(
                "http://{http}/ipxe/{}?uuid=${{uuid}}&serial=${{serial:uristring}}&asset=${{asset:uristring}}",
                sighting.mac.dashed()
            ),
            why: "iPXE runs: it gets its script".into(),
        },
        ClientStage::Firmware | ClientStage::Ipxe => loader(sighting, policy, http),
    }
}

fn loader(sighting: &Sighting, policy: LoaderPolicy, http: SocketAddrV4) -> Handoff {
    let Some(row) = sighting.arches.iter().find_map(|number| ArchRow::by_number(*number)) else {
        return Handoff::Refused(Diagnosis {
            code: "unknown_arch".into(),
            message: format!(
                "the firmware announces architecture {:?}, which is in no table",
                sighting.arches
            ),
            remedy: "report it with the firmware's name; the machine can be booted from a USB stick".into(),
        });
    };
    let preferred = match policy {
        LoaderPolicy { secure_boot: true, .. } if row.shim.is_some() => row.shim,
        LoaderPolicy { fallback: true, .. } if row.fallback.is_some() => row.fallback,
        _ => row.loader,
    };
    let Some(file) = preferred else {
        return Handoff::Refused(Diagnosis {
            code: "no_loader_for_arch".into(),
            message: format!("no loader is shipped for {} (architecture {})", row.name, row.number),
            remedy: "import a loader for this architecture, or switch the firmware to 64-bit UEFI".into(),
        });
    };
    let why = match policy {
        LoaderPolicy { secure_boot: true, .. } if row.shim.is_some() => {
            format!("{} with Secure Boot: the signed shim", row.name)
        }
        LoaderPolicy { fallback: true, .. } if row.fallback.is_some() => {
            format!("{}: the fallback loader, since the first one failed here", row.name)
        }
        _ => format!("{}: its loader", row.name),
    };
    match row.transport {
        Transport::Tftp => Handoff::File { file: file.into(), why },
        Transport::Http => Handoff::Url { url: format!("http://{http}/boot/files/{file}"), why },
    }
}
