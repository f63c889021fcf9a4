//! What `ironwake probe dhcp` gets from a real daemon: each architecture its loader, in proxy and in server mode.

#[path = "lab/mod.rs"]
mod lab;
#[path = "peers/mod.rs"]
mod peers;

use std::net::Ipv4Addr;

use lab::{Dhcp, Lab, LabError, LabOptions};
use serde::Deserialize;

/// The daemon in the lab.
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// dnsmasq in the lab, where it gives the addresses.
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);

/// Architectures 0, 7, 9 and 11 with what their firmware loads.
const ROWS: [(&str, &str); 4] = [
    ("bios", "undionly.kpxe"),
    ("uefi-x64", "snponly.efi"),
    ("uefi-x64-ebc", "snponly.efi"),
    ("uefi-arm64", "ipxe-arm64.efi"),
];

/// What the test reads of an answer.
#[derive(Debug, Deserialize)]
struct Answer {
    kind: String,
    server: Ipv4Addr,
    address: Option<Ipv4Addr>,
    next_server: Option<Ipv4Addr>,
    file: Option<String>,
}

/// Every answer that a client of this architecture gets.
fn probe(lab: &Lab, row: usize) -> Vec<Answer> {
    let mut command = lab.client().command(env!("CARGO_BIN_EXE_ironwake"));
    command.args(["probe", "dhcp", "--interface", "eth0", "--arch", ROWS[row].0, "--json"]);
    // A MAC for each: the daemon remembers what it has told a machine.
    command.args(["--mac", &format!("52:54:00:cc:00:{row:02x}")]);
    let text = peers::output_of(command);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn ours(answers: &[Answer]) -> &Answer {
    let found: Vec<_> = answers.iter().filter(|answer| answer.server == SERVER).collect();
    assert_eq!(found.len(), 1, "one answer of the daemon: {answers:?}");
    assert_eq!(found[0].kind, "OFFER");
    assert_eq!(found[0].next_server, Some(SERVER), "iPXE rejects offers without siaddr: {answers:?}");
    found[0]
}

/// proxyDHCP: BIOS gets a kpxe, EFI an efi; the addresses are the other server's, and there are no leases.
#[test]
fn parity_cp11_proxy_points_each_architecture_to_its_loader() -> Result<(), LabError> {
    let lab = Lab::new(LabOptions::new(env!("CARGO_BIN_EXE_ironwake"), Dhcp::Proxy))?;
    peers::serving(&lab)?;
    for (row, (arch, loader)) in ROWS.iter().enumerate() {
        let answers = probe(&lab, row);
        let ours = ours(&answers);
        assert_eq!(ours.address, None, "{arch}: yiaddr is 0");
        assert_eq!(ours.file.as_deref(), Some(*loader), "{arch}");
        let other = answers.iter().find(|answer| answer.server == OTHER);
        assert!(other.is_some_and(|other| other.address.is_some()), "{arch}: dnsmasq offers: {answers:?}");
    }
    let leases = lab.cli().json(&["lease", "list"])?;
    let leases = leases.get("items").unwrap_or(&leases);
    assert_eq!(leases.as_array().map(Vec::len), Some(0), "a proxy gives no leases: {leases}");
    Ok(())
}

/// Full DHCP: an address of the configured range and the right next server, with the same loaders.
#[test]
fn parity_cp12_server_offers_from_its_range() -> Result<(), LabError> {
    let lab = Lab::new(LabOptions::new(env!("CARGO_BIN_EXE_ironwake"), Dhcp::Server))?;
    peers::serving(&lab)?;
    let range = Ipv4Addr::new(10, 77, 0, 100)..=Ipv4Addr::new(10, 77, 0, 250);
    let mut given = Vec::new();
    for (row, (arch, loader)) in ROWS.iter().enumerate() {
        let answers = probe(&lab, row);
        let ours = ours(&answers);
        let address = ours.address.expect("a server offers an address");
        assert!(range.contains(&address), "{arch}: {address}");
        assert!(!given.contains(&address), "{arch}: {address} was offered to another client");
        given.push(address);
        assert_eq!(ours.file.as_deref(), Some(*loader), "{arch}");
    }
    Ok(())
}
