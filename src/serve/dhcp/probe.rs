//! `probe dhcp`: what this network answers to a netboot client, without being one.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use ironwake_api::MacAddr;
use serde::Serialize;
use tokio::time::Instant;
use uuid::Uuid;

use super::frame::{self, Datagram};
use super::socket::{Inbox, PacketSocket};
use super::{Interface, Unready, filter};
use crate::boot::ArchRow;
use crate::dhcp::{
    BOOT_REPLY, BOOT_REQUEST, Destination, FLAG_BROADCAST, LinkTarget, MessageKind, PORT_CLIENT, PORT_SERVER,
    Packet, code,
};

/// Answers that are gathered; more come only from a network that is being attacked.
const ANSWERS_MAX: usize = 64;
/// Options that netboot firmware asks for (option 55), as OVMF does.
const PARAMETERS: [u8; 14] = [1, 3, 6, 12, 15, 28, 43, 54, 60, 66, 67, 97, 128, 175];
/// iPXE's option 175 with the features HTTP and TFTP-less boot of an EFI build.
const IPXE_FEATURES: [u8; 6] = [0x13, 1, 1, 0x24, 1, 1];

/// How long servers are waited for: long enough for one that looks with a ping whether an address is free.
const ASK_TIME: Duration = Duration::from_secs(4);
/// A locally administered address: no machine has it.
const ASKING_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
/// Every server answers the most usual firmware.
const ASKING_ARCH: &str = "uefi-x64";

/// Which client is played.
#[derive(Debug, Clone)]
pub struct ProbeOptions {
    /// Interface to ask on.
    pub interface: String,
    /// The client's architecture.
    pub arch: &'static ArchRow,
    /// The client's MAC address, which the frame carries too.
    pub mac: MacAddr,
    /// The client's UUID.
    pub uuid: Option<Uuid>,
    /// Ask as an HTTP Boot client.
    pub http: bool,
    /// Ask as iPXE.
    pub user_class_ipxe: bool,
    /// How long answers are gathered.
    pub timeout: Duration,
}

/// Why nothing could be asked.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The interface cannot be used.
    #[error(transparent)]
    Interface(#[from] Unready),
    /// The socket failed.
    #[error("ask on {interface} (CAP_NET_RAW is needed)")]
    Socket {
        /// Interface.
        interface: String,
        /// Cause.
        #[source]
        source: io::Error,
    },
}

/// One server's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProbeAnswer {
    /// Milliseconds from question to answer.
    pub after_ms: u64,
    /// `OFFER`, `NAK`, …
    pub kind: String,
    /// Option 54, else the sender's address.
    pub server: Ipv4Addr,
    /// Sender's link address.
    pub mac: MacAddr,
    /// The address offered; absent in a proxy's offer.
    pub address: Option<Ipv4Addr>,
    /// siaddr.
    pub next_server: Option<Ipv4Addr>,
    /// The boot file: option 67, else the header's.
    pub file: Option<String>,
    /// Every option, in order.
    pub options: Vec<ProbeOption>,
}

/// One option of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProbeOption {
    /// Its code.
    pub code: u8,
    /// Its value in hexadecimal.
    pub hex: String,
    /// Its value as text, where it is printable.
    pub text: Option<String>,
}

/// Sends one DISCOVER and gathers every answer until the time is up.
pub async fn probe(options: ProbeOptions) -> Result<Vec<ProbeAnswer>, ProbeError> {
    let failed = |source| ProbeError::Socket { interface: options.interface.clone(), source };
    let index = match Interface::find(&options.interface, None) {
        Ok(interface) => interface.index,
        // A client needs no address to ask.
        Err(Unready::NoAddress(name)) => {
            nix::net::if_::if_nametoindex(name.as_str()).map_err(|error| failed(error.into()))?
        }
        Err(unready) => return Err(unready.into()),
    };
    let socket = PacketSocket::open(index, libc::ETH_P_IP, &filter::DHCP).map_err(failed)?;
    let xid = Uuid::new_v4().as_u128() as u32;
    let everybody = Destination {
        link: LinkTarget::Broadcast,
        address: Ipv4Addr::BROADCAST,
        port: PORT_SERVER,
        from_port: PORT_CLIENT,
    };
    let frame =
        frame::encode(options.mac, Ipv4Addr::UNSPECIFIED, &everybody, &question(&options, xid).encode());
    let began = Instant::now();
    socket.send(&[frame]).await.map_err(failed)?;
    let mut answers = Vec::new();
    let mut inbox = Inbox::default();
    while answers.len() < ANSWERS_MAX {
        match tokio::time::timeout_at(began + options.timeout, socket.receive(&mut inbox)).await {
            Err(_elapsed) => break,
            Ok(read) => read.map_err(failed)?,
        }
        let after_ms = began.elapsed().as_millis() as u64;
        answers.extend(inbox.iter().filter_map(|(frame, ready)| answer(frame, ready, xid, after_ms)));
    }
    Ok(answers)
}

/// Servers that offer an address on an interface. Nothing is changed there by asking.
pub async fn servers(interface: &str) -> Result<Vec<Ipv4Addr>, ProbeError> {
    let answers = probe(ProbeOptions {
        interface: interface.to_owned(),
        arch: ArchRow::by_name(ASKING_ARCH).expect("it is in the table"),
        mac: ASKING_MAC,
        uuid: None,
        http: false,
        user_class_ipxe: false,
        timeout: ASK_TIME,
    });
    let offers = answers.await?.into_iter().filter(|answer| answer.address.is_some());
    Ok(offers.map(|answer| answer.server).collect())
}

/// The DISCOVER of a netboot client.
fn question(options: &ProbeOptions, xid: u32) -> Packet<'static> {
    let mut packet = Packet::new(BOOT_REQUEST, xid);
    packet.flags = FLAG_BROADCAST;
    packet.chaddr[..6].copy_from_slice(&options.mac.0);
    let class = if options.http { "HTTPClient" } else { "PXEClient" };
    let number = options.arch.number;
    let set = &mut packet.options;
    set.set(code::MESSAGE_KIND, vec![MessageKind::Discover as u8]);
    set.set(code::MESSAGE_SIZE_MAX, 1472_u16.to_be_bytes().to_vec());
    set.set(code::PARAMETERS, PARAMETERS.to_vec());
    set.set(code::CLIENT_ARCH, number.to_be_bytes().to_vec());
    set.set(code::CLIENT_INTERFACE, vec![1, 3, 0]);
    set.set(code::VENDOR_CLASS, format!("{class}:Arch:{number:05}:UNDI:003000").into_bytes());
    if let Some(uuid) = options.uuid {
        set.set(code::CLIENT_UUID, [&[0], &uuid.to_bytes_le()[..]].concat());
    }
    if options.user_class_ipxe {
        set.set(code::USER_CLASS, b"iPXE".to_vec());
        set.set(code::IPXE, IPXE_FEATURES.to_vec());
    }
    packet
}

fn answer(frame: &[u8], checksum_ready: bool, xid: u32, after_ms: u64) -> Option<ProbeAnswer> {
    let datagram = Datagram::parse(frame, checksum_ready)?;
    let packet = Packet::decode(datagram.payload).ok()?;
    if packet.op != BOOT_REPLY || packet.xid != xid {
        return None;
    }
    let kind = packet.options.get(code::MESSAGE_KIND).and_then(|value| value.first().copied());
    let named = packet.options.get(code::BOOT_FILE).map(until_nul).filter(|file| !file.is_empty());
    let file = named.unwrap_or(packet.file_name());
    let some = |address: Ipv4Addr| (!address.is_unspecified()).then_some(address);
    Some(ProbeAnswer {
        after_ms,
        kind: kind.and_then(MessageKind::by_number).map_or("BOOTP", MessageKind::name).into(),
        server: packet.options.address(code::SERVER_ID).unwrap_or(datagram.source.0),
        mac: datagram.mac,
        address: some(packet.yiaddr),
        next_server: some(packet.siaddr),
        file: (!file.is_empty()).then(|| String::from_utf8_lossy(file).into_owned()),
        options: packet.options.iter().map(|(code, value)| option(code, value)).collect(),
    })
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn option(code: u8, value: &[u8]) -> ProbeOption {
    let text = until_nul(value);
    let printable = text.len() > 1 && text.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
    let rest_is_nul = value[text.len()..].iter().all(|byte| *byte == 0);
    ProbeOption {
        code,
        hex: value.iter().map(|byte| format!("{byte:02x}")).collect(),
        text: (printable && rest_is_nul).then(|| String::from_utf8_lossy(text).into_owned()),
    }
}
