//! DHCP clients, relays and load generators that others wrote, against the real daemon.

#[path = "lab/mod.rs"]
mod lab;
#[path = "peers/mod.rs"]
mod peers;

use ironwake_api::{Lease, LeaseState};
use lab::{Dhcp, Lab, LabError, LabOptions, Namespace};
use peers::{Talker, output_of};

/// As many clients as a site of twenty racks has, started within some seconds.
const CLIENTS: u32 = 500;
/// Exchanges started each second: slow enough for a loaded host.
const RATE: u32 = 100;

fn options(dhcp: Dhcp) -> LabOptions {
    LabOptions::new(env!("CARGO_BIN_EXE_ironwake"), dhcp)
}

/// BusyBox's client at work in a namespace.
fn udhcpc(lab: &Lab, namespace: &Namespace) -> Result<Talker, LabError> {
    let script = peers::script(lab, "udhcpc.sh", peers::UDHCPC)?;
    let mut command = namespace.command("udhcpc");
    command.args(["-f", "-i", "eth0", "-t", "10", "-T", "1", "-s"]).arg(script);
    Ok(Talker::start(command))
}

fn leases(lab: &Lab) -> Result<Vec<Lease>, LabError> {
    let value = lab.cli().json(&["lease", "list"])?;
    // A list may come bare or as a page.
    let items = value.get("items").unwrap_or(&value).clone();
    serde_json::from_value(items).map_err(|error| LabError::Unexpected {
        what: format!("ironwake lease list: {error}"),
        text: value.to_string(),
    })
}

fn lease_of(lab: &Lab, address: &str) -> Result<Option<Lease>, LabError> {
    Ok(leases(lab)?.into_iter().find(|lease| lease.address == address))
}

/// Every exchange of 500 clients completes, each with a lease of its own.
#[test]
fn perfdhcp_loses_nothing() -> Result<(), LabError> {
    let mut options = options(Dhcp::Server);
    // perfdhcp speaks as a relay: its own address is giaddr, and chooses the subnet.
    options.config =
        "[[network.relayed]]\nsubnet = \"10.80.0.0/16\"\nrange = \"10.80.1.0-10.80.9.255\"\n".into();
    let lab = Lab::new(options)?;
    peers::serving(&lab)?;
    lab.client().ip("addr add 10.80.0.1/16 dev eth0")?;
    lab.site().ip("route add 10.80.0.0/16 dev br0")?;
    let mut perfdhcp = lab.client().command("perfdhcp");
    perfdhcp.args(["-4", "-l", "10.80.0.1", "-g", "single", "-u", "-W", "2000000"]);
    perfdhcp.args([
        "-R",
        &CLIENTS.to_string(),
        "-n",
        &CLIENTS.to_string(),
        "-r",
        &RATE.to_string(),
        "10.77.0.1",
    ]);
    // Its exit code is 0 only when nothing went unanswered and no address was given twice.
    let report = output_of(perfdhcp);
    assert_eq!(report.matches("drops: 0\n").count(), 2, "{report}");
    assert!(report.contains(&format!("received packets: {CLIENTS}\n")), "{report}");
    let bound = leases(&lab)?.into_iter().filter(|lease| lease.address.starts_with("10.80.")).count();
    // Once it has sent the last DISCOVER, perfdhcp may leave that one's OFFER without a REQUEST.
    assert!(bound >= CLIENTS as usize - 1, "{bound} leases: {report}");
    Ok(())
}

/// BusyBox's client: a lease, its renewal and its release.
#[test]
fn udhcpc_leases_renews_and_releases() -> Result<(), LabError> {
    let lab = Lab::new(options(Dhcp::Server))?;
    let mut udhcpc = udhcpc(&lab, lab.client())?;
    let address = udhcpc.wait("bound ");
    let first = lease_of(&lab, &address)?.expect("the address is leased");
    assert_eq!(first.state, LeaseState::Bound);

    udhcpc.signal(nix::sys::signal::Signal::SIGUSR1);
    assert_eq!(udhcpc.wait("renew "), address);
    let renewed = lease_of(&lab, &address)?.expect("the lease is kept");
    assert!(renewed.renewed_at > first.renewed_at, "{first:?} {renewed:?}");

    udhcpc.signal(nix::sys::signal::Signal::SIGUSR2);
    udhcpc.wait("deconfig");
    wait_released(&lab, &address)
}

/// ISC's client: a lease, the same one asked for again after a restart (INIT-REBOOT), and its release.
#[test]
fn dhclient_leases_reboots_and_releases() -> Result<(), LabError> {
    let lab = Lab::new(options(Dhcp::Server))?;
    let script = peers::script(&lab, "dhclient.sh", peers::DHCLIENT)?;
    let dhclient = |words: &[&str]| {
        let mut command = lab.client().command("dhclient");
        command.args(["-4", "-d"]).args(words).arg("-sf").arg(&script);
        command.arg("-lf").arg(lab.folder().join("dhclient.leases"));
        command.arg("-pf").arg(lab.folder().join("dhclient.pid")).arg("eth0");
        command
    };
    let mut client = Talker::start(dhclient(&[]));
    let address = client.wait("BOUND ");
    assert_eq!(lease_of(&lab, &address)?.map(|lease| lease.state), Some(LeaseState::Bound));
    drop(client);

    let mut again = Talker::start(dhclient(&[]));
    assert_eq!(again.wait("REBOOT "), address);
    drop(again);

    output_of(dhclient(&["-r"]));
    wait_released(&lab, &address)
}

/// A RELEASE has no answer: the list shows it within a moment.
fn wait_released(lab: &Lab, address: &str) -> Result<(), LabError> {
    peers::eventually("the lease to be released", || {
        Ok(lease_of(lab, address)?.is_none_or(|lease| lease.state == LeaseState::Released))
    })
}

/// Behind ISC's relay a client gets an address and the router of its own subnet.
#[test]
fn dhcrelay_carries_another_subnet() -> Result<(), LabError> {
    let mut options = options(Dhcp::Server);
    options.relay = true;
    let lab = Lab::new(options)?;
    let (router, bridge) = lab.relay_network().expect("the lab has a relay");
    let behind = Namespace::create(lab.name(), "behind")?;
    behind.join("eth0", "", router, bridge)?;
    let mut udhcpc = udhcpc(&lab, &behind)?;
    let address = udhcpc.wait("bound ");
    assert!(address.starts_with("10.78.0."), "{address}");
    assert_eq!(udhcpc.wait("router "), "10.78.0.1");
    assert_eq!(lease_of(&lab, &address)?.map(|lease| lease.state), Some(LeaseState::Bound));

    // A renewal goes past the relay, from the client's own address, and is answered there.
    udhcpc.signal(nix::sys::signal::Signal::SIGUSR1);
    assert_eq!(udhcpc.wait("renew "), address);
    Ok(())
}

/// A daemon that is killed knows its leases when it is back, and renews them.
#[test]
fn a_lease_outlives_kill_9() -> Result<(), LabError> {
    let lab = Lab::new(options(Dhcp::Server))?;
    let mut udhcpc = udhcpc(&lab, lab.client())?;
    let address = udhcpc.wait("bound ");
    lab.crash_daemon()?;
    assert_eq!(lease_of(&lab, &address)?.map(|lease| lease.state), Some(LeaseState::Bound));
    udhcpc.signal(nix::sys::signal::Signal::SIGUSR1);
    assert_eq!(udhcpc.wait("renew "), address);
    Ok(())
}

/// A backup that is made while clients are served, restored on another appliance: the same machine gets the same address
/// there, and has the same name.
#[test]
fn a_restored_appliance_gives_the_same_address() -> Result<(), LabError> {
    const MAC: &str = "52:54:00:aa:00:07";
    let first = Lab::new(options(Dhcp::Server))?;
    let passphrase = first.folder().join("passphrase");
    std::fs::write(&passphrase, "correct horse battery\n").expect("written");
    let passphrase = passphrase.to_str().expect("a path in ASCII").to_owned();
    let file = first.folder().join("a.backup").to_str().expect("a path in ASCII").to_owned();
    first.cli().run(&["machine", "add", "--mac", MAC, "--name", "node-7"])?;
    let own_mac = |lab: &Lab| lab.client().ip(&format!("link set eth0 address {MAC}"));
    own_mac(&first)?;
    // Somebody is served before, so that the address is not the first one.
    let namespace = Namespace::create(first.name(), "other")?;
    namespace.join("eth0", "", first.site(), first.bridge())?;
    let mut other = udhcpc(&first, &namespace)?;
    other.wait("bound ");
    let mut client = udhcpc(&first, first.client())?;
    let address = client.wait("bound ");
    first.cli().run(&["backup", &file, "--passphrase-file", &passphrase])?;
    drop(client);

    let second = Lab::new(options(Dhcp::Server))?;
    peers::serving(&second)?;
    let said = second.cli().run(&["restore", &file, "--passphrase-file", &passphrase])?;
    assert!(said.contains("restored: "), "{said}");
    peers::eventually("the daemon to go on from the backup", || {
        Ok(second.cli().run(&["machine", "show", "node-7"]).is_ok_and(|shown| shown.contains(MAC)))
    })?;
    peers::serving(&second)?;
    assert_eq!(lease_of(&second, &address)?.map(|lease| lease.state), Some(LeaseState::Bound));
    own_mac(&second)?;
    let mut client = udhcpc(&second, second.client())?;
    assert_eq!(client.wait("bound "), address);
    Ok(())
}
