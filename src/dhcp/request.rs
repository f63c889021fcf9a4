//! What is legal of what a client can send, and which program on the machine sent it.

use std::net::Ipv4Addr;

use ironwake_api::{ClientStage, MacAddr};
use uuid::Uuid;

use super::packet::{BOOT_REQUEST, FLAG_BROADCAST, Packet};
use super::{ClientKey, code};
use crate::boot::{ArchRow, Sighting, Transport};

/// The agent's option 60.
pub const AGENT_CLASS: &[u8] = b"ironwake-agent";

/// iPXE's feature number of HTTP, inside option 175.
const IPXE_FEATURE_HTTP: u8 = 0x13;
/// Architectures in option 93 that are read; firmware lists one, seldom two.
const ARCHES_MAX: usize = 8;

/// Message types (option 53).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are those of RFC 2131")]
pub enum MessageKind {
    Discover = 1,
    Offer = 2,
    Request = 3,
    Decline = 4,
    Ack = 5,
    Nak = 6,
    Release = 7,
    Inform = 8,
}

impl MessageKind {
    /// The kind of a value of option 53.
    pub fn by_number(number: u8) -> Option<Self> {
        use MessageKind::*;
        [Discover, Offer, Request, Decline, Ack, Nak, Release, Inform]
            .into_iter()
            .find(|kind| *kind as u8 == number)
    }

    /// As stages show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Discover => "DISCOVER",
            Self::Offer => "OFFER",
            Self::Request => "REQUEST",
            Self::Decline => "DECLINE",
            Self::Ack => "ACK",
            Self::Nak => "NAK",
            Self::Release => "RELEASE",
            Self::Inform => "INFORM",
        }
    }
}

/// Why a packet is not for us. None of these is an error of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ignored {
    /// A server's message.
    #[error("it is not a client's message")]
    NotARequest,
    /// Not Ethernet.
    #[error("hardware type {htype} with {hlen} bytes is not Ethernet")]
    NotEthernet {
        /// Hardware type.
        htype: u8,
        /// Address length.
        hlen: u8,
    },
    /// A MAC address that no interface has.
    #[error("{0} is not the address of an interface")]
    BadMac(MacAddr),
    /// Plain BOOTP.
    #[error("it has no message type: plain BOOTP is not served")]
    Bootp,
    /// A message type that no client sends.
    #[error("message type {0} is not one that clients send")]
    BadKind(u8),
    /// RFC 4578 section 2.3.
    #[error("option 97 has {0} bytes instead of 17")]
    UuidLength(usize),
    /// RFC 4578 section 2.1.
    #[error("option 93 has {0} bytes, which is not a list of 16-bit numbers")]
    ArchLength(usize),
}

/// Which netboot protocol option 60 names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VendorClass {
    /// `PXEClient…`
    Pxe,
    /// `HTTPClient…`
    Http,
    /// Something else, or nothing.
    Other,
}

impl VendorClass {
    /// What an answer carries in option 60.
    pub fn name(self) -> Option<&'static [u8]> {
        match self {
            Self::Pxe => Some(b"PXEClient"),
            Self::Http => Some(b"HTTPClient"),
            Self::Other => None,
        }
    }
}

/// A legal message of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'a> {
    /// Message type.
    pub kind: MessageKind,
    /// Transaction.
    pub xid: u32,
    /// `flags` as received.
    pub flags: u16,
    /// `ciaddr`, unless zero.
    pub client: Option<Ipv4Addr>,
    /// `giaddr`, unless zero.
    pub relay: Option<Ipv4Addr>,
    /// Hardware address.
    pub mac: MacAddr,
    /// Option 61, unless empty.
    pub client_id: Option<&'a [u8]>,
    /// Option 50.
    pub requested: Option<Ipv4Addr>,
    /// Option 54.
    pub server_id: Option<Ipv4Addr>,
    /// Option 51.
    pub lease_secs: Option<u32>,
    /// Option 57.
    pub size_max: Option<u16>,
    /// Option 12.
    pub hostname: Option<&'a [u8]>,
    /// Option 60.
    pub class: VendorClass,
    /// Which program speaks.
    pub stage: ClientStage,
    /// Option 93, else the architecture in option 60.
    pub arches: Vec<u16>,
    /// Option 97 as received, to be echoed.
    pub uuid_raw: Option<&'a [u8]>,
    /// Option 97 as an identity.
    pub uuid: Option<Uuid>,
    /// Option 175 says that iPXE speaks HTTP.
    pub http_capable: bool,
    /// Option 82, to be echoed last.
    pub relay_information: Option<&'a [u8]>,
}

impl<'a> TryFrom<&'a Packet<'_>> for Request<'a> {
    type Error = Ignored;

    fn try_from(packet: &'a Packet<'_>) -> Result<Self, Ignored> {
        if packet.op != BOOT_REQUEST {
            return Err(Ignored::NotARequest);
        }
        if (packet.htype, packet.hlen) != (1, 6) {
            return Err(Ignored::NotEthernet { htype: packet.htype, hlen: packet.hlen });
        }
        let [a, b, c, d, e, f, ..] = packet.chaddr;
        let mac = MacAddr([a, b, c, d, e, f]);
        if !mac.is_unicast() {
            return Err(Ignored::BadMac(mac));
        }
        let options = &packet.options;
        let kind = message_kind(options.get(code::MESSAGE_KIND))?;
        let uuid_raw = options.get(code::CLIENT_UUID);
        let class_text = options.get(code::VENDOR_CLASS).unwrap_or_default();
        let class = vendor_class(class_text);
        let ipxe = options.get(code::IPXE);
        let stage = stage(class_text, class, options.get(code::USER_CLASS).unwrap_or_default(), ipxe);
        Ok(Self {
            kind,
            xid: packet.xid,
            flags: packet.flags,
            client: specified(packet.ciaddr),
            relay: specified(packet.giaddr),
            mac,
            client_id: options.get(code::CLIENT_ID).filter(|id| !id.is_empty()),
            requested: options.address(code::REQUESTED_ADDRESS).and_then(specified),
            server_id: options.address(code::SERVER_ID).and_then(specified),
            lease_secs: options.u32(code::LEASE_TIME),
            size_max: options.u16(code::MESSAGE_SIZE_MAX),
            hostname: options.get(code::HOSTNAME),
            class,
            stage,
            arches: arches(options.get(code::CLIENT_ARCH), class_text)?,
            uuid: uuid_raw.map(identity).transpose()?.flatten(),
            uuid_raw,
            http_capable: stage != ClientStage::Ipxe || ipxe.is_some_and(ipxe_has_http),
            relay_information: options.get(code::RELAY_INFORMATION),
        })
    }
}

impl Request<'_> {
    /// Whether the client boots from the network: a PXE or HTTP Boot client, whatever its stage.
    pub fn is_netboot(&self) -> bool {
        self.class != VendorClass::Other
    }

    /// Whether the client asks that answers be broadcast.
    pub fn wants_broadcast(&self) -> bool {
        self.flags & FLAG_BROADCAST != 0
    }

    /// The row of the first architecture that is in the table.
    pub fn arch(&self) -> Option<&'static ArchRow> {
        self.arches.iter().find_map(|number| ArchRow::by_number(*number))
    }

    /// Whether the firmware does HTTP Boot; the architecture says it more reliably than option 60.
    pub fn http_boot(&self) -> bool {
        self.arch().map_or(self.class == VendorClass::Http, |row| row.transport == Transport::Http)
    }

    /// Whom a lease belongs to. Firmware, iPXE and the agent are one machine on one NIC whatever each
    /// puts into option 61, so that a boot takes one address; so is an identifier that is the MAC.
    pub fn client_key(&self) -> ClientKey {
        match self.client_id {
            Some(id) if self.stage == ClientStage::Os && !is_mac_id(id, self.mac) => ClientKey::Id(id.into()),
            _ => ClientKey::Mac(self.mac),
        }
    }

    /// The client as the boot plan sees it.
    pub fn sighting(&self, server: Ipv4Addr, network: &str) -> Sighting {
        Sighting {
            mac: self.mac,
            uuid: self.uuid,
            arches: self.arches.clone(),
            stage: self.stage,
            http_boot: self.http_boot(),
            http_capable: self.http_capable,
            server,
            network: network.to_owned(),
        }
    }
}

/// Whether option 61 is the hardware type and the MAC (RFC 2132 section 9.14).
pub(super) fn is_mac_id(id: &[u8], mac: MacAddr) -> bool {
    id.split_first().is_some_and(|(kind, rest)| *kind == 1 && rest == mac.0)
}

fn specified(address: Ipv4Addr) -> Option<Ipv4Addr> {
    Some(address).filter(|address| !address.is_unspecified())
}

fn message_kind(value: Option<&[u8]>) -> Result<MessageKind, Ignored> {
    use MessageKind::*;
    let number = value.and_then(|value| value.first().copied()).ok_or(Ignored::Bootp)?;
    match MessageKind::by_number(number) {
        Some(kind @ (Discover | Request | Decline | Release | Inform)) => Ok(kind),
        _ => Err(Ignored::BadKind(number)),
    }
}

fn vendor_class(text: &[u8]) -> VendorClass {
    // An EDK2 iPXE sends a bare `PXEClient` in its second stage, without the architecture behind it.
    if text.starts_with(b"PXEClient") {
        VendorClass::Pxe
    } else if text.starts_with(b"HTTPClient") {
        VendorClass::Http
    } else {
        VendorClass::Other
    }
}

fn stage(class_text: &[u8], class: VendorClass, user_class: &[u8], ipxe: Option<&[u8]>) -> ClientStage {
    // RFC 3004 puts a length before each class; iPXE sends the bare text.
    let user_class = match user_class.split_first() {
        Some((bytes, rest)) if usize::from(*bytes) == rest.len() => rest,
        _ => user_class,
    };
    if class_text.starts_with(AGENT_CLASS) {
        ClientStage::Agent
    } else if user_class == b"iPXE"
        || user_class == b"gPXE"
        || (ipxe.is_some() && class != VendorClass::Other)
    {
        ClientStage::Ipxe
    } else if user_class.starts_with(b"GRUB") || class_text.starts_with(b"GRUB") {
        ClientStage::Grub
    } else if class != VendorClass::Other {
        ClientStage::Firmware
    } else {
        ClientStage::Os
    }
}

fn arches(value: Option<&[u8]>, class_text: &[u8]) -> Result<Vec<u16>, Ignored> {
    match value {
        Some(value) if value.is_empty() || value.len() % 2 != 0 => Err(Ignored::ArchLength(value.len())),
        Some(value) => Ok(value
            .chunks_exact(2)
            .take(ARCHES_MAX)
            .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
            .collect()),
        None => Ok(arch_in_class(class_text).into_iter().collect()),
    }
}

/// `7` of `PXEClient:Arch:00007:UNDI:003000`.
fn arch_in_class(class_text: &[u8]) -> Option<u16> {
    let mut parts = class_text.split(|byte| *byte == b':');
    parts.find(|part| *part == b"Arch")?;
    std::str::from_utf8(parts.next()?).ok()?.parse().ok()
}

/// Option 97 as a UUID: its first three fields are little-endian on the wire (SMBIOS order).
fn identity(value: &[u8]) -> Result<Option<Uuid>, Ignored> {
    let (kind, bytes) = value.split_first().ok_or(Ignored::UuidLength(0))?;
    let bytes = <[u8; 16]>::try_from(bytes).map_err(|_| Ignored::UuidLength(value.len()))?;
    // All zeros and all ones are what boards without a UUID say.
    let junk = *kind != 0 || bytes == [0; 16] || bytes == [0xff; 16];
    Ok((!junk).then(|| Uuid::from_bytes_le(bytes)))
}

/// Option 175 is a list of options of its own; what is malformed in it ends the list.
fn ipxe_has_http(mut list: &[u8]) -> bool {
    while let [feature, bytes, rest @ ..] = list {
        let Some((value, rest)) = rest.split_at_checked(usize::from(*bytes)) else { return false };
        if *feature == IPXE_FEATURE_HTTP {
            return value.iter().any(|byte| *byte != 0);
        }
        list = rest;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(options: &[(u8, &[u8])]) -> Packet<'static> {
        let mut packet = Packet::new(BOOT_REQUEST, 1);
        packet.chaddr[..6].copy_from_slice(&[0x52, 0x54, 0, 1, 2, 3]);
        packet.options.set(code::MESSAGE_KIND, &[1][..]);
        for (code, value) in options {
            packet.options.set(*code, value.to_vec());
        }
        packet
    }

    fn check(options: &[(u8, &[u8])], expected: &str) {
        let packet = packet(options);
        let found = match Request::try_from(&packet) {
            Ok(r) => {
                format!("{:?} {:?} http_boot={} http={}", r.stage, r.arches, r.http_boot(), r.http_capable)
            }
            Err(ignored) => ignored.to_string(),
        };
        assert_eq!(found, expected, "{options:?}");
    }

    #[test]
    fn stages_are_told_apart() {
        check(&[], "Os [] http_boot=false http=true");
        check(&[(60, b"ironwake-agent")], "Agent [] http_boot=false http=true");
        check(&[(60, b"PXEClient:Arch:00007:UNDI:003000")], "Firmware [7] http_boot=false http=true");
        check(&[(60, b"PXEClient"), (93, &[0, 9, 0, 7])], "Firmware [9, 7] http_boot=false http=true");
        check(&[(60, b"HTTPClient:Arch:00016"), (93, &[0, 16])], "Firmware [16] http_boot=true http=true");
        check(&[(60, b"PXEClient"), (77, b"iPXE")], "Ipxe [] http_boot=false http=false");
        check(
            &[(60, b"PXEClient"), (77, b"\x04iPXE"), (175, &[0x13, 1, 1])],
            "Ipxe [] http_boot=false http=true",
        );
        check(&[(60, b"PXEClient"), (175, &[0x13, 9, 1])], "Ipxe [] http_boot=false http=false");
        check(&[(60, b"GRUB")], "Grub [] http_boot=false http=true");
        check(
            &[(60, b"PXEClient"), (93, &[0])],
            "option 93 has 1 bytes, which is not a list of 16-bit numbers",
        );
        check(&[(97, &[0; 16])], "option 97 has 16 bytes instead of 17");
        check(&[(53, &[2])], "message type 2 is not one that clients send");
        check(&[(53, &[])], "it has no message type: plain BOOTP is not served");
    }

    #[test]
    fn option_97_is_swapped_and_junk_is_no_identity() {
        let mut raw = vec![0, 0x44, 0x33, 0x22, 0x11, 0x66, 0x55, 0x88, 0x77];
        raw.extend_from_slice(&[0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 0]);
        let uuid =
            |raw: &[u8]| Request::try_from(&packet(&[(97, raw)])).unwrap().uuid.map(|uuid| uuid.to_string());
        assert_eq!(uuid(&raw).as_deref(), Some("11223344-5566-7788-99aa-bbccddeeff00"));
        assert_eq!(uuid(&[0; 17]), None);
        let mut ones = [0xff; 17];
        ones[0] = 0;
        assert_eq!(uuid(&ones), None);
    }

    #[test]
    fn hardware_that_is_not_ethernet_is_ignored() {
        let mut odd = packet(&[]);
        odd.hlen = 200;
        assert_eq!(Request::try_from(&odd), Err(Ignored::NotEthernet { htype: 1, hlen: 200 }));
        let mut zero = packet(&[]);
        zero.chaddr = [0; 16];
        assert_eq!(Request::try_from(&zero), Err(Ignored::BadMac(MacAddr([0; 6]))));
    }
}
