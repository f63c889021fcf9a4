//! What real firmware sends is understood, and what is answered avoids each failure that was captured.
//!
//! `tests/data/captures/*.pcap` → `*.server.txt` and `*.proxy.txt`; `UPDATE=1` rewrites them.

use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use ironwake::boot::{ArchRow, Handoff, Sighting, Transport};
use ironwake::dhcp::{
    LeaseTable, LinkTarget, MessageKind, Packet, Proxy, Request, Server, Service, Settings, Source,
    SubnetSettings, code,
};
use ironwake_api::{ClientStage, MacAddr, StageKind};
use smoltcp::wire::{EthernetFrame, IpProtocol, Ipv4Packet, UdpPacket};

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 98, 0, 1);

/// One client message of a capture.
struct Seen {
    at_millis: u64,
    source: Source,
    payload: Vec<u8>,
}

fn captures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/captures");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "pcap")).collect();
    files.sort();
    assert!(files.len() >= 20, "captures are missing");
    files
}

fn capture(name: &str) -> Vec<Seen> {
    client_messages(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/captures").join(name))
}

/// The UDP datagrams to ports 67 and 4011 of a little-endian Ethernet pcap file.
fn client_messages(path: &Path) -> Vec<Seen> {
    let bytes = fs::read(path).unwrap();
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    assert_eq!(
        (word(0), word(20)),
        (0xa1b2_c3d4, 1),
        "{}: not a pcap file of Ethernet frames",
        path.display()
    );
    let (mut at, mut seen, mut first) = (24, Vec::new(), None);
    while at + 16 <= bytes.len() {
        let millis = u64::from(word(at)) * 1000 + u64::from(word(at + 4)) / 1000;
        let kept = word(at + 8) as usize;
        let frame = &bytes[at + 16..at + 16 + kept];
        at += 16 + kept;
        let start = *first.get_or_insert(millis);
        seen.extend(client_message(frame, millis - start));
    }
    seen
}

fn client_message(frame: &[u8], at_millis: u64) -> Option<Seen> {
    let ethernet = EthernetFrame::new_checked(frame).ok()?;
    let ip = Ipv4Packet::new_checked(ethernet.payload()).ok().filter(|ip| ip.version() == 4)?;
    if ip.next_header() != IpProtocol::Udp {
        return None;
    }
    let udp = UdpPacket::new_checked(ip.payload()).ok()?;
    let to_client = udp.src_port() != 67 || udp.dst_port() == 4011;
    (matches!(udp.dst_port(), 67 | 4011) && to_client && ip.src_addr() != SERVER).then(|| Seen {
        at_millis,
        source: Source {
            mac: MacAddr(ethernet.src_addr().0),
            address: ip.src_addr(),
            port: udp.src_port(),
            to_port: udp.dst_port(),
            unicast: ip.dst_addr() == SERVER,
        },
        payload: udp.payload().to_vec(),
    })
}

fn settings() -> Settings {
    Settings {
        network: "br0".into(),
        server: SERVER,
        next_server: SERVER,
        mtu: 1500,
        lease_secs: 3600,
        dns: vec![SERVER],
        domain: Some("lab.example".into()),
        subnets: vec![SubnetSettings {
            network: "10.98.0.0/24".parse().unwrap(),
            ranges: vec![Ipv4Addr::new(10, 98, 0, 90)..=Ipv4Addr::new(10, 98, 0, 150)],
            routers: vec![SERVER],
        }],
        reservations: Vec::new(),
    }
}

fn server() -> Service {
    let settings = settings();
    let leases = LeaseTable::new("br0", SERVER, &settings.subnets, &[]);
    Service::Server(Box::new(Server::new(settings, leases)))
}

fn proxy() -> Service {
    Service::Proxy(Proxy::new(settings()))
}

/// The plainest boot policy: the table's loader, and a script for iPXE.
fn handoff(sighting: &Sighting) -> Handoff {
    let why = "test".to_owned();
    let row = sighting.arches.iter().find_map(|number| ArchRow::by_number(*number));
    match (sighting.stage, row) {
        (ClientStage::Ipxe, _) if sighting.http_capable => Handoff::Url {
            url: format!("http://{}:8080/ipxe/{}", sighting.server, sighting.mac.dashed()),
            why,
        },
        (ClientStage::Firmware | ClientStage::Ipxe, Some(row)) if row.transport == Transport::Http => {
            Handoff::Url {
                url: format!("http://{}:8080/boot/files/{}", sighting.server, row.loader.unwrap()),
                why,
            }
        }
        (ClientStage::Firmware | ClientStage::Ipxe, Some(row)) => {
            Handoff::File { file: row.loader.unwrap().into(), why }
        }
        _ => Handoff::AddressOnly,
    }
}

fn show(options: &Packet<'_>) -> String {
    let mut text = String::new();
    for (code, value) in options.options.iter() {
        let printable = value.len() > 4 && value.iter().all(|byte| (32..127).contains(byte) || *byte == 0);
        let value = match printable {
            true => String::from_utf8_lossy(value).replace('\0', "\\0"),
            false => value.iter().map(|byte| format!("{byte:02x}")).collect(),
        };
        write!(text, " {code}={value}").unwrap();
    }
    text
}

fn transcript(mut service: Service, seen: &[Seen]) -> String {
    let mut text = String::new();
    for one in seen {
        let packet = Packet::decode(&one.payload).expect("real firmware is understood");
        let request = Request::try_from(&packet).expect("real firmware is legal");
        writeln!(
            text,
            "{:>8.2} {} {} {:?} arch={:?} uuid={} http={}",
            one.at_millis as f64 / 1000.0,
            request.kind.name(),
            request.mac,
            request.stage,
            request.arches,
            request.uuid.map_or("-".into(), |uuid| uuid.to_string()),
            request.http_capable,
        )
        .unwrap();
        let outcome = service.handle(&request, &one.source, handoff, 1_000_000 + one.at_millis);
        let Some(reply) = outcome.reply else {
            writeln!(text, "         silent: {}", outcome.why).unwrap();
            continue;
        };
        let answer = Packet::decode(&reply.payload).unwrap();
        let link = match reply.destination.link {
            LinkTarget::Broadcast => "all".into(),
            LinkTarget::Station(mac) => mac.to_string(),
        };
        writeln!(
            text,
            "         {} {}>{}:{} at {link} flags={:04x} ci={} yi={} si={} file={}{}",
            reply.kind.name(),
            reply.destination.from_port,
            reply.destination.address,
            reply.destination.port,
            answer.flags,
            answer.ciaddr,
            answer.yiaddr,
            answer.siaddr,
            String::from_utf8_lossy(answer.file_name()),
            show(&answer),
        )
        .unwrap();
    }
    text
}

fn check(path: &Path, mode: &str, service: Service) {
    let found = transcript(service, &client_messages(path));
    let golden = path.with_extension(format!("{mode}.txt"));
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&golden, &found).unwrap();
    }
    let expected = fs::read_to_string(&golden).unwrap_or_default();
    assert!(found == expected, "{} differs; UPDATE=1 rewrites it. Found:\n{found}", golden.display());
}

#[test]
fn every_captured_client_gets_the_golden_answer() {
    for path in captures() {
        check(&path, "server", server());
        check(&path, "proxy", proxy());
    }
}

/// Every answer to every captured client in `mode`.
fn answers(service: fn() -> Service) -> Vec<(String, Vec<u8>, MessageKind, Vec<u8>)> {
    let mut all = Vec::new();
    for path in captures() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let mut service = service();
        for one in client_messages(&path) {
            let packet = Packet::decode(&one.payload).unwrap();
            let request = Request::try_from(&packet).unwrap();
            let outcome = service.handle(&request, &one.source, handoff, 1_000_000 + one.at_millis);
            if let Some(reply) = outcome.reply {
                all.push((name.clone(), one.payload, reply.kind, reply.payload));
            }
        }
    }
    assert!(all.len() > 60, "only {} answers", all.len());
    all
}

#[test]
fn an_answer_with_a_boot_file_says_everything_about_it() {
    for service in [server, proxy] {
        for (name, question, _, answer) in answers(service) {
            let (question, answer) = (Packet::decode(&question).unwrap(), Packet::decode(&answer).unwrap());
            let Some(file) = answer.options.get(code::BOOT_FILE) else {
                assert!(answer.file_name().is_empty(), "{name}: a file without option 67");
                continue;
            };
            // A siaddr of zero made iPXE's 2019 ROM refuse the offer: "Nothing to boot".
            assert_eq!(answer.siaddr, SERVER, "{name}");
            // With option 67 alone shim looked for its next stage at the root.
            assert_eq!(answer.file_name(), file.strip_suffix(b"\0").expect("NUL-terminated"), "{name}");
            assert_eq!(answer.options.get(code::TFTP_SERVER), Some(SERVER.to_string().as_bytes()), "{name}");
            assert_eq!(answer.options.address(code::SERVER_ID), Some(SERVER), "{name}");
            assert_eq!(
                answer.options.get(code::CLIENT_UUID),
                question.options.get(code::CLIENT_UUID),
                "{name}"
            );
        }
    }
}

#[test]
fn a_server_never_names_pxe_without_a_usable_option_43() {
    for (name, _, _, answer) in answers(server) {
        let answer = Packet::decode(&answer).unwrap();
        // EDK2 would ask port 4011 four times and end with PXE-E16.
        let bare = answer.options.get(code::VENDOR_CLASS) == Some(b"PXEClient")
            && answer.options.get(code::VENDOR_SPECIFIC).is_none();
        assert!(!bare || answer.yiaddr.is_unspecified(), "{name}");
    }
}

#[test]
fn http_boot_gets_its_class_and_a_url() {
    let mut seen = 0;
    for service in [server, proxy] {
        for (name, question, _, answer) in answers(service) {
            let (question, answer) = (Packet::decode(&question).unwrap(), Packet::decode(&answer).unwrap());
            let class = question.options.get(code::VENDOR_CLASS).unwrap_or_default();
            if class.starts_with(b"HTTPClient") {
                seen += 1;
                assert_eq!(answer.options.get(code::VENDOR_CLASS), Some(&b"HTTPClient"[..]), "{name}");
                assert!(answer.options.get(code::BOOT_FILE).unwrap().starts_with(b"http://"), "{name}");
            }
        }
    }
    assert!(seen > 5);
}

#[test]
fn no_machine_is_given_the_same_file_for_ever() {
    // QEMU's ROM is iPXE and says so in its first packet; its script must come, not another iPXE.
    for service in [server, proxy] {
        for (name, question, _, answer) in answers(service) {
            let question = Packet::decode(&question).unwrap();
            if question.options.get(code::USER_CLASS) == Some(b"iPXE") {
                let answer = Packet::decode(&answer).unwrap();
                assert!(answer.file_name().starts_with(b"http://10.98.0.1:8080/ipxe/52-54-"), "{name}");
            }
        }
    }
}

#[test]
fn ipxe_does_not_wait_for_a_proxy_beside_a_server() {
    for (mode, service) in [("server", server as fn() -> Service), ("proxy", proxy)] {
        for (name, question, _, answer) in answers(service) {
            let question = Packet::decode(&question).unwrap();
            let answer = Packet::decode(&answer).unwrap();
            let ipxe = question.options.get(code::USER_CLASS) == Some(b"iPXE");
            let expected =
                (mode == "server" && ipxe && !answer.yiaddr.is_unspecified()).then_some(&[0xb0, 1, 1][..]);
            assert_eq!(answer.options.get(code::IPXE), expected, "{mode} {name}");
        }
    }
}

#[test]
fn a_proxy_gives_no_address_and_answers_only_who_boots() {
    for (name, question, kind, answer) in answers(proxy) {
        let (question, answer) = (Packet::decode(&question).unwrap(), Packet::decode(&answer).unwrap());
        assert!(answer.yiaddr.is_unspecified(), "{name}");
        assert_eq!(answer.options.get(code::LEASE_TIME), None, "{name}");
        let class = answer.options.get(code::VENDOR_CLASS).expect("option 60");
        assert!(question.options.get(code::VENDOR_CLASS).unwrap().starts_with(class), "{name}");
        let discover = question.options.get(code::MESSAGE_KIND) == Some(&[MessageKind::Discover as u8][..]);
        let expected = if discover { MessageKind::Offer } else { MessageKind::Ack };
        assert_eq!(kind, expected, "{name}");
        let bios = question.options.u16(code::CLIENT_ARCH) == Some(0);
        assert_eq!(answer.options.get(code::VENDOR_SPECIFIC), bios.then_some(&[6, 1, 8, 0xff][..]), "{name}");
    }
}

#[test]
fn port_4011_answers_where_the_request_came_from() {
    let check = |name: &str, port: u16| {
        let mut service = proxy();
        let asked: Vec<_> = capture(name).into_iter().filter(|one| one.source.to_port == 4011).collect();
        assert!(!asked.is_empty(), "{name} has no request to port 4011");
        for one in asked {
            let packet = Packet::decode(&one.payload).unwrap();
            let request = Request::try_from(&packet).unwrap();
            let reply = service.handle(&request, &one.source, handoff, 1_000_000).reply.unwrap();
            let to = reply.destination;
            assert_eq!((to.address, to.port, to.from_port), (one.source.address, port, 4011), "{name}");
            assert_eq!(to.link, LinkTarget::Station(one.source.mac), "{name}");
        }
    };
    check("uefi-proxy-ovmf-2025.02-snponly-ipxe-2.0.0.pcap", 4011);
    check("bios-proxy-ipxe-rom-2019-fails-siaddr-zero.pcap", 68);
}

#[test]
fn a_proxy_learns_addresses_from_what_clients_ask_the_other_server() {
    let mut service = proxy();
    let mut learnt = Vec::new();
    for one in capture("uefi-proxy-ovmf-2025.02-snponly-ipxe-2.0.0.pcap") {
        let packet = Packet::decode(&one.payload).unwrap();
        let request = Request::try_from(&packet).unwrap();
        let outcome = service.handle(&request, &one.source, handoff, 1_000_000);
        learnt.extend(outcome.learnt);
        if outcome.chosen_server.is_some() {
            assert_eq!(outcome.chosen_server, Some(Ipv4Addr::new(10, 98, 0, 2)));
            let stage = outcome.observation.expect("a stage of the boot").kind;
            assert!(matches!(stage, StageKind::Dhcp { answer: None, address: Some(_), .. }), "{stage:?}");
        }
    }
    assert!(learnt.iter().all(|(_, address)| *address == Ipv4Addr::new(10, 98, 0, 144)), "{learnt:?}");
    assert!(!learnt.is_empty());
}
