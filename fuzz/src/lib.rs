//! One function for each parser of bytes that come from outside: it may refuse anything and panic at nothing,
//! and what it accepts has to survive a second round.
//!
//! The parsers are safe Rust, so no sanitizer is needed; AddressSanitizer stops at once at a table that the linked
//! SQLite has twice, unless `ASAN_OPTIONS=detect_odr_violation=0` is set.
//!
//! `cargo fuzz` calls these with what it finds; `tests/fuzz_smoke.rs` with mutated seeds, on any toolchain.

use std::net::Ipv4Addr;

use ironwake::appliance::bundle::Manifest;
use ironwake::appliance::{GRUBENV_BYTES, Grubenv};
use ironwake::artifact::{DISK_BYTES_MAX, Qcow2};
use ironwake::boot::Handoff;
use ironwake::config::Config;
use ironwake::{builders, dhcp, tftp};
use ironwake_agent::inventory::smbios;

/// A DHCP message, through decoding, both services and encoding.
pub fn dhcp(bytes: &[u8]) {
    let Ok(packet) = dhcp::Packet::decode(bytes) else { return };
    let encoded = packet.encode();
    let again = dhcp::Packet::decode(&encoded).expect("an encoded message is legal");
    assert_eq!(again.encode(), encoded, "encoding loses nothing");

    let Ok(request) = dhcp::Request::try_from(&packet) else { return };
    let pxe = bytes.len().is_multiple_of(2);
    let source = dhcp::Source {
        mac: request.mac,
        address: request.client.unwrap_or(Ipv4Addr::UNSPECIFIED),
        port: dhcp::PORT_CLIENT,
        to_port: if pxe { dhcp::PORT_PXE } else { dhcp::PORT_SERVER },
        unicast: pxe,
    };
    for mut service in dhcp_services() {
        let url = "http://10.0.0.1:8080/ipxe/52-54-00-12-34-56";
        let handoff = |_: &_| Handoff::Url { url: url.into(), why: "fuzzing".into() };
        if let Some(reply) = service.handle(&request, &source, handoff, 1_000_000).reply {
            dhcp::Packet::decode(&reply.payload).expect("an answer is legal");
        }
    }
}

fn dhcp_services() -> [dhcp::Service; 2] {
    let server = Ipv4Addr::new(10, 0, 0, 1);
    let settings = dhcp::Settings {
        network: "fuzz".into(),
        server,
        next_server: server,
        mtu: 1500,
        lease_secs: 3600,
        dns: vec![server],
        domain: Some("example.net".into()),
        subnets: vec![dhcp::SubnetSettings {
            network: "10.0.0.0/24".parse().expect("a network"),
            ranges: vec![Ipv4Addr::new(10, 0, 0, 100)..=Ipv4Addr::new(10, 0, 0, 110)],
            routers: vec![server],
        }],
        reservations: Vec::new(),
    };
    let leases = dhcp::LeaseTable::new("fuzz", server, &settings.subnets, &settings.reservations);
    let proxy = dhcp::Proxy::new(settings.clone());
    [dhcp::Service::Proxy(proxy), dhcp::Service::Server(Box::new(dhcp::Server::new(settings, leases)))]
}

/// A TFTP packet and, for a request, the path that it asks for.
pub fn tftp(bytes: &[u8]) {
    let Ok(packet) = tftp::Packet::parse(bytes) else { return };
    if let tftp::Packet::Read(request) = &packet
        && let Ok(path) = tftp::clean_path(request.file)
    {
        let mut parts = path.split('/');
        assert!(parts.all(|part| !matches!(part, "" | "." | "..")), "{path:?} leaves what is published");
    }
    let encoded = packet.encode();
    let again = tftp::Packet::parse(&encoded).expect("an encoded packet is legal");
    assert_eq!(again.encode(), encoded, "encoding loses nothing");
}

/// An SMBIOS entry point, behind one byte that says how long it is, and a table.
pub fn smbios(bytes: &[u8]) {
    let Some((length, rest)) = bytes.split_first() else { return };
    let (entry_point, table) = rest.split_at(usize::from(*length).min(rest.len()));
    smbios::read(entry_point, table);
}

/// A kernel module's `.modinfo`.
pub fn modinfo(bytes: &[u8]) {
    // Whatever is wrong with it is an error, and both are fine.
    let _ = builders::modinfo(bytes);
}

/// An image of QEMU: its header and tables, and its first clusters.
pub fn qcow2(bytes: &[u8]) {
    const RUNS_MAX: usize = 200;
    let Ok(mut image) = Qcow2::open(bytes) else { return };
    let mut at = 0;
    for _ in 0..RUNS_MAX {
        let Ok(Some(run)) = image.next_run() else { return };
        assert!(run.data.is_none_or(|data| data.len() as u64 == run.bytes), "a run is as long as it says");
        at += run.bytes;
        assert!(at <= DISK_BYTES_MAX, "a disk ends");
    }
}

/// The list of files of an update, and GRUB's environment block.
pub fn update(bytes: &[u8]) {
    if let Ok(manifest) = Manifest::parse(bytes) {
        let again = Manifest::parse(&manifest.encode()).expect("its own words are legal");
        assert_eq!(again, manifest, "encoding loses nothing");
    }
    let mut block = [b'#'; GRUBENV_BYTES];
    let length = bytes.len().min(GRUBENV_BYTES);
    block[..length].copy_from_slice(&bytes[..length]);
    let Ok(grubenv) = Grubenv::parse(&block) else { return };
    if let Ok(encoded) = grubenv.encode() {
        let again = Grubenv::parse(&encoded).expect("an encoded block is legal");
        assert_eq!(again.encode(), Ok(encoded), "encoding loses nothing");
    }
}

/// A settings file; its mistakes are printed as the operator would see them.
pub fn config(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Err(mistakes) = Config::parse(text, "ironwake.toml") {
        assert!(!mistakes.to_string().is_empty(), "a refusal says why");
    }
}
