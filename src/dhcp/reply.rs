//! How an answer is built: the options of a network, and what points a client to its boot file.
//!
//! Real firmware decides what stands here. Each rule that looks redundant has a client that fails
//! without it.

use std::borrow::Cow;
use std::net::Ipv4Addr;

use ironwake_api::{ClientStage, Millis};

use super::packet::{BOOT_REPLY, Packet};
use super::{Destination, MessageKind, Outcome, Reply, Request, Settings, VendorClass, code};
use crate::boot::{Firmware, Handoff};

/// IP and UDP headers.
const HEADERS_BYTES: u16 = 28;
/// What every client can take: an IP datagram of this size (RFC 2131 section 2).
const DATAGRAM_BYTES_MIN: u16 = 576;
/// The header's `file`, less its NUL.
const FILE_BYTES_MAX: usize = 127;
/// What is left out first where an answer would not fit.
const DISPENSABLE: [u8; 7] = [
    code::HOSTNAME,
    code::DOMAIN,
    code::BROADCAST,
    code::REBINDING_TIME,
    code::RENEWAL_TIME,
    code::TFTP_SERVER,
    code::DNS,
];

/// iPXE's option "no-pxedhcp": it does not wait 2–3 s for a proxy's offer.
const IPXE_NO_PXEDHCP: [u8; 3] = [0xb0, 0x01, 0x01];
/// PXE_DISCOVERY_CONTROL = 8: take the boot file that this answer names, ask no boot server.
const PXE_USE_THIS_FILE: [u8; 4] = [0x06, 0x01, 0x08, 0xff];
/// A Raspberry Pi's ROM boots only from a server whose PXE menu says this.
const RASPBERRY_PI_MENU: [u8; 32] = *b"\x06\x01\x03\x0a\x04\0PXE\x09\x14\0\0\x11Raspberry Pi Boot\xff";

/// Which service answers; the rules of options 43, 60 and 175 differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Proxy,
    Server,
}

/// The answer cannot be made to fit.
#[derive(Debug, thiserror::Error)]
#[error("the answer has {bytes} bytes, and the client takes {limit}")]
struct TooLong {
    bytes: usize,
    limit: usize,
}

/// Bytes of a DHCP message that a client with this option 57 takes over a link with this MTU.
/// Clients count the IP datagram; OVMF claims 65280.
pub fn message_bytes_max(size_max: Option<u16>, mtu: u16) -> usize {
    let datagram = size_max.unwrap_or(DATAGRAM_BYTES_MIN).min(mtu).max(DATAGRAM_BYTES_MIN);
    usize::from(datagram - HEADERS_BYTES)
}

/// An answer in the making.
pub(super) struct Answer<'a, 'r> {
    settings: &'a Settings,
    request: &'a Request<'r>,
    kind: MessageKind,
    /// What it says so far.
    pub packet: Packet<'r>,
    /// The file or URL that it points to.
    file: Option<String>,
}

impl<'a, 'r> Answer<'a, 'r> {
    /// An answer with what every answer carries.
    pub fn begin(settings: &'a Settings, request: &'a Request<'r>, kind: MessageKind) -> Self {
        let mut packet = Packet::new(BOOT_REPLY, request.xid);
        packet.flags = request.flags;
        packet.giaddr = request.relay.unwrap_or(Ipv4Addr::UNSPECIFIED);
        packet.chaddr[..6].copy_from_slice(&request.mac.0);
        packet.options.set(code::MESSAGE_KIND, vec![kind as u8]);
        packet.options.set(code::SERVER_ID, settings.server.octets().to_vec());
        Self { settings, request, kind, packet, file: None }
    }

    /// Points the client to what it boots.
    pub fn point(&mut self, handoff: Handoff, mode: Mode) {
        let Self { settings, request, packet, .. } = self;
        // GRUB takes its server from siaddr even where it is given no file.
        packet.siaddr = settings.next_server;
        let file = match handoff {
            Handoff::File { file, .. } => file,
            Handoff::Url { url, .. } => url,
            Handoff::AddressOnly | Handoff::Refused(_) => return,
        };
        // Shim takes the directory of its next stage from the header, EDK2 and iPXE prefer option 67.
        if file.len() <= FILE_BYTES_MAX {
            packet.file[..file.len()].copy_from_slice(file.as_bytes());
        }
        packet.options.set(code::TFTP_SERVER, settings.next_server.to_string().into_bytes());
        // EDK2 writes a NUL behind option 67 where it was received; this one is there for it.
        let mut terminated = file.clone().into_bytes();
        terminated.push(0);
        packet.options.set(code::BOOT_FILE, terminated);
        class(packet, request, mode);
        if mode == Mode::Server && request.stage == ClientStage::Ipxe {
            packet.options.set(code::IPXE, IPXE_NO_PXEDHCP.to_vec());
        }
        self.file = Some(file);
    }

    /// The answer on its way, or why it cannot leave; `address` is what the client has or gets by it.
    pub fn finish(
        mut self,
        destination: Destination,
        address: Option<Ipv4Addr>,
        why: impl Into<Cow<'static, str>>,
        now: Millis,
    ) -> Outcome {
        match self.encode() {
            Ok(payload) => {
                let reply = Some(Reply { kind: self.kind, payload, destination });
                Outcome { reply, ..Outcome::silent(why) }.observed(self.request, address, self.file, now)
            }
            Err(error) => Outcome::refused(self.request, error.to_string(), now),
        }
    }

    /// Adds what is echoed, makes the answer fit and encodes it.
    fn encode(&mut self) -> Result<Vec<u8>, TooLong> {
        let Self { request, packet, .. } = self;
        if let Some(uuid) = request.uuid_raw {
            packet.options.set(code::CLIENT_UUID, uuid);
        }
        if let Some(id) = request.client_id {
            packet.options.set(code::CLIENT_ID, id);
        }
        // RFC 3046 section 2.2: the relay's option is the last one.
        if let Some(relay) = request.relay_information {
            packet.options.set(code::RELAY_INFORMATION, relay);
        }
        let limit = message_bytes_max(request.size_max, self.settings.mtu);
        let mut dispensable = DISPENSABLE.iter();
        while packet.encoded_bytes() > limit {
            let Some(code) = dispensable.next() else {
                return Err(TooLong { bytes: packet.encoded_bytes(), limit });
            };
            packet.options.remove(*code);
        }
        Ok(packet.encode())
    }
}

/// Options 60 and 43. In server mode a bare 60 makes EDK2 ask port 4011 four times and give up.
fn class(packet: &mut Packet<'_>, request: &Request<'_>, mode: Mode) {
    let Some(name) = request.class.name() else { return };
    let firmware = request.arch().map(|row| row.firmware);
    let vendor = match (firmware, request.class, mode) {
        (Some(Firmware::RaspberryPi), VendorClass::Pxe, _) => Some(&RASPBERRY_PI_MENU[..]),
        (Some(Firmware::Bios), VendorClass::Pxe, Mode::Proxy) => Some(&PXE_USE_THIS_FILE[..]),
        _ => None,
    };
    if mode == Mode::Proxy || request.class == VendorClass::Http || vendor.is_some() {
        packet.options.set(code::VENDOR_CLASS, name);
    }
    if let Some(vendor) = vendor {
        packet.options.set(code::VENDOR_SPECIFIC, vendor);
    }
}

/// Addresses as an option carries them; `None` for an empty list.
pub(super) fn addresses(list: &[Ipv4Addr]) -> Option<Vec<u8>> {
    (!list.is_empty()).then(|| list.iter().flat_map(Ipv4Addr::octets).collect())
}
