//! The appliance's own address with systemd-networkd itself (package systemd), in namespaces of its own: taken up, kept, and
//! put back when the daemon is killed.

mod bus;
mod loopback;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};

use bus::{PATIENCE, PrivateBus};
use futures_util::StreamExt;
use ironwake_api::client::{Client, ClientError};
use ironwake_api::{NetworkConfirm, OwnAddress, SystemAction};
use loopback::Daemon;
use serde_json::json;
use zbus::{MessageStream, connection};

const NETWORKD: &str = "/lib/systemd/systemd-networkd";
/// What it is told of the other end of the cable: there it gives addresses.
const OTHER_END: &str =
    "[Match]\nName=eth1\n[Network]\nAddress=10.88.0.1/24\nDHCPServer=yes\nLinkLocalAddressing=no\n";
/// A network with a cable, where systemd-networkd reads our folder as it would on an appliance. /sys is read-only, as in a
/// container: no udev has to have seen the interface.
const SET_UP: &str = "set -e
mount -t tmpfs none /run
mount -t tmpfs none /usr/local/lib
mount -t tmpfs none /etc/systemd
mount -t sysfs -o ro none /sys
mkdir -p /usr/local/lib/systemd /run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp
ln -s \"$1/network\" /usr/local/lib/systemd/network
chown -R systemd-network /run/systemd/netif
ip link set lo up
ip link add eth0 type veth peer name eth1
ip link set eth1 up
echo ready
exec sleep 600";

/// A child that ends with its test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Lines of a child's output, as they come.
fn lines(child: &mut Child) -> Receiver<String> {
    let output = child.stdout.take().expect("a pipe");
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

#[track_caller]
fn wait_for(lines: &Receiver<String>, part: &str) {
    wait_until(lines, part, |line| line.contains(part));
}

/// Waits for a line of something that was added.
#[track_caller]
fn wait_until(lines: &Receiver<String>, what: &str, is_it: impl Fn(&str) -> bool) {
    loop {
        let line = lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no {what}"));
        if is_it(&line) && !line.starts_with("Deleted") {
            return;
        }
    }
}

/// A command in the namespaces of a process.
fn within(process: &Child, words: &[&str]) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--mount", "--net", "--target", &process.id().to_string(), "--"]).args(words);
    command
}

fn address(text: &str) -> OwnAddress {
    OwnAddress { address: Some(text.into()), gateway: Some("10.77.0.1".into()), ..OwnAddress::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn networkd_takes_an_address_up_and_the_one_of_before_comes_back() {
    if !Path::new(NETWORKD).exists() || !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: it takes systemd-networkd (package systemd), and root");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("network")).expect("made");
    fs::write(folder.path().join("network/10-eth1.network"), OTHER_END).expect("written");
    // systemd-networkd reads as a user of its own.
    for shared in [folder.path().to_owned(), folder.path().join("network")] {
        fs::set_permissions(shared, fs::Permissions::from_mode(0o755)).expect("changed");
    }
    let private = PrivateBus::start(folder.path());
    let mut command = Command::new("unshare");
    command.args(["--mount", "--net", "sh", "-c", SET_UP, "set-up"]).arg(folder.path());
    let mut holder = Ended(command.stdout(Stdio::piped()).spawn().expect("unshare starts"));
    wait_for(&lines(&mut holder.0), "ready");
    let holder = &holder.0;
    let mut monitor = within(holder, &["ip", "-4", "monitor", "address"]);
    let mut monitor = Ended(monitor.stdout(Stdio::piped()).spawn().expect("ip starts"));
    let addresses = lines(&mut monitor.0);

    let connection = connection::Builder::address(private.address()).build().await.expect("on the bus");
    let rule = "type='signal',member='NameOwnerChanged',arg0='org.freedesktop.network1'";
    let mut owners = MessageStream::for_match_rule(rule, &connection, None).await.expect("a rule");
    let mut networkd = within(holder, &[NETWORKD]);
    networkd.env("DBUS_SYSTEM_BUS_ADDRESS", private.address());
    let _networkd = Ended(networkd.spawn().expect("it starts"));
    let began = tokio::time::timeout(PATIENCE, owners.next()).await.expect("networkd is on the bus");
    began.expect("a signal").expect("a message");

    let daemon = Daemon::start_within(folder.path(), holder.id());
    let client = Client::new(folder.path().join("api.sock"));
    let system = client.system().await.expect("shown");
    let network = system.changes.iter().find(|change| change.what == SystemAction::Network);
    assert_eq!(network.expect("it").unavailable, None);
    let change = client.change_network("eth0", &address("10.77.0.2/24")).await.expect("changed");
    wait_for(&addresses, "10.77.0.2/24");
    let confirm = NetworkConfirm { token: change.token.expect("a token") };
    client.confirm_network(&confirm).await.expect("confirmed");
    client.change_network("eth0", &address("10.77.0.3/24")).await.expect("changed");
    wait_for(&addresses, "10.77.0.3/24");
    // Dropping it is kill -9.
    drop(daemon);
    let _daemon = Daemon::start_within(folder.path(), holder.id());
    wait_for(&addresses, "10.77.0.2/24");
    let text = fs::read_to_string(folder.path().join("network/05-ironwake-eth0.network")).expect("a file");
    assert!(text.contains("Address=10.77.0.2/24\nGateway=10.77.0.1\n"), "{text}");

    // Addresses are given beside one that is configured, and not beside one that came.
    let server =
        |range: &str| json!({"network": [{"interface": "eth0", "dhcp": "server", "range": [range]}]});
    let changed = client.change_settings(&server("10.77.0.100-10.77.0.200")).await.expect("changed");
    assert_eq!(changed.warnings, [""; 0]);
    let dhcp = OwnAddress { dhcp: true, ..OwnAddress::default() };
    let change = client.change_network("eth0", &dhcp).await.expect("changed");
    wait_until(&addresses, "a lease", |line| line.contains("10.88.0.") && !line.contains("10.88.0.1/"));
    let confirm = NetworkConfirm { token: change.token.expect("a token") };
    client.confirm_network(&confirm).await.expect("confirmed");
    let Err(ClientError::Refused(problem)) = client.change_settings(&server("10.88.0.100-10.88.0.200")).await
    else {
        panic!("it was done")
    };
    assert!(problem.detail.contains("eth0 comes from another DHCP server"), "{problem:?}");
}
