//! The DHCP edge against real clients, relays and servers, in network namespaces of its own. Needs root.

mod site;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ironwake::boot::ArchRow;
use ironwake::config::{DhcpMode, Network, RelayedSubnet};
use ironwake::serve::dhcp::{self, ProbeAnswer, ProbeOptions, probe};
use ironwake::serve::links;
use ironwake_api::{
    EventKind, HealthState, LeaseEnd, LeaseState, MacAddr, NetworkHealth, SecureBoot, Silence, StageKind,
};
use site::{PATIENCE, TestSite};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);

/// What DHCP serves for: a whole site, on which a test waits from outside any runtime.
struct Daemon {
    runtime: Runtime,
    test: TestSite,
}

impl Daemon {
    fn new() -> Self {
        let runtime = runtime();
        let test = runtime.block_on(TestSite::open());
        Self { runtime, test }
    }

    fn restart(self) -> Self {
        let Self { runtime, test } = self;
        let test = runtime.block_on(test.restart());
        Self { runtime, test }
    }

    fn wait_event<T>(&mut self, what: &str, pick: impl Fn(&EventKind) -> Option<T>) -> T {
        self.runtime.block_on(self.test.next(what, pick))
    }

    fn wait_health(&self, what: &str, ready: impl Fn(&NetworkHealth) -> bool) {
        let ready = self.test.site.networks_until(&["br0"], ready);
        let waited = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, ready).await });
        assert!(waited.is_ok(), "no {what}: {:?}", self.test.site.health().networks);
    }

    fn network(&self) -> NetworkHealth {
        self.test.site.health().networks.remove(0)
    }

    fn wait_serving(&self) {
        self.wait_health("service", |health| health.message.starts_with("serves"));
    }

    fn bound(&self) -> Vec<String> {
        let leases = self.runtime.block_on(self.test.site.store().leases()).unwrap();
        let bound = leases.into_iter().filter(|lease| lease.state == LeaseState::Bound);
        bound.map(|lease| lease.address).collect()
    }

    /// Has the store refuse leases, as on a full disk, or take them again.
    fn break_store(&self, broken: bool) {
        let refuse =
            "CREATE TRIGGER full BEFORE INSERT ON leases BEGIN SELECT RAISE(ABORT, 'disk full'); END";
        let sql = if broken { refuse } else { "DROP TRIGGER full" };
        let database = rusqlite::Connection::open(self.test.folder().join("ironwake.db")).unwrap();
        database.execute_batch(sql).unwrap();
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A server namespace with a bridge, and one namespace for each client, `c0` in each.
struct Wire {
    name: String,
    clients: usize,
}

fn run(command: &str) -> String {
    let mut words = command.split_whitespace();
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

impl Wire {
    fn new(clients: usize) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        assert!(nix::unistd::geteuid().is_root(), "network namespaces need root");
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let wire = Self { name: format!("iwdhcp{}n{number}", std::process::id()), clients };
        let server = wire.server();
        run(&format!("ip netns add {server}"));
        run(&format!("ip -n {server} link add br0 address 02:00:00:77:00:01 type bridge"));
        run(&format!("ip -n {server} link set lo up"));
        for client in 0..clients {
            let ns = wire.client(client);
            run(&format!("ip netns add {ns}"));
            run(&format!("ip -n {server} link add p{client} type veth peer name c0 netns {ns}"));
            run(&format!("ip -n {server} link set p{client} master br0 up"));
            run(&format!("ip -n {ns} link set lo up"));
            run(&format!("ip -n {ns} link set c0 up"));
        }
        run(&format!("ip -n {server} addr add {SERVER}/24 dev br0"));
        run(&format!("ip -n {server} link set br0 up"));
        wire
    }

    fn server(&self) -> String {
        format!("{}s", self.name)
    }

    fn client(&self, number: usize) -> String {
        format!("{}c{number}", self.name)
    }

    fn command(&self, client: usize, line: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.client(client)]).args(line.split_whitespace());
        command
    }

    /// Runs udhcpc once and yields whether it got a lease, and what it said.
    fn udhcpc(&self, client: usize, more: &str) -> (bool, String) {
        let line = format!("busybox udhcpc -i c0 -n -q -f -s /bin/true -t 6 -T 1 {more}");
        let output = self.command(client, &line).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Runs `work` on a thread inside a namespace.
    fn inside<T: Send + 'static>(
        namespace: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let file = File::open(format!("/run/netns/{namespace}")).unwrap();
        std::thread::spawn(move || {
            nix::sched::setns(file, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            work()
        })
    }

    fn serve(&self, network: Network, daemon: &Daemon) -> Serving {
        let shutdown = CancellationToken::new();
        let (site, token) = (daemon.test.site.clone(), shutdown.clone());
        let thread = Self::inside(&self.server(), move || {
            runtime().block_on(dhcp::run(network, site, token)).unwrap();
        });
        Serving { shutdown, thread: Some(thread) }
    }

    /// Another DHCP server where client 1 is, with more of its options.
    fn dnsmasq(&self, more: &str) -> Running {
        run(&format!("ip -n {} addr add {OTHER}/24 dev c0", self.client(1)));
        let line = "dnsmasq -k -C /dev/null --port=0 --interface=c0 --bind-interfaces --log-facility=- \
                    --pid-file= --dhcp-range=10.77.0.200,10.77.0.210,1h --dhcp-leasefile=/dev/null \
                    --dhcp-authoritative";
        let mut other = Running::start(self.command(1, &format!("{line} {more}")));
        other.wait_for("IP range");
        other
    }

    fn probe(&self, client: usize, options: ProbeOptions) -> Vec<ProbeAnswer> {
        Self::inside(&self.client(client), move || runtime().block_on(probe(options)).unwrap())
            .join()
            .unwrap()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        for namespace in (0..self.clients).map(|client| self.client(client)).chain([self.server()]) {
            let _ = Command::new("ip").args(["netns", "del", &namespace]).status();
        }
    }
}

/// A server at work; it stops when dropped.
struct Serving {
    shutdown: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.shutdown.cancel();
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || matches!(ended, Some(Ok(()))), "the server failed");
    }
}

/// A child that ends with its test.
struct Running(Child);

impl Running {
    fn start(mut command: Command) -> Self {
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// Reads its messages until one contains `text`.
    fn wait_for(&mut self, text: &str) -> String {
        let mut lines = BufReader::new(self.0.stderr.as_mut().unwrap()).lines();
        lines.find_map(|line| line.ok().filter(|line| line.contains(text))).expect(text)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn network(dhcp: DhcpMode) -> Network {
    Network {
        interface: "br0".into(),
        dhcp,
        ranges: vec![Ipv4Addr::new(10, 77, 0, 100)..=Ipv4Addr::new(10, 77, 0, 110)],
        subnet: None,
        routers: vec![SERVER],
        dns: vec![SERVER],
        domain: None,
        lease_time: Duration::from_secs(600),
        reservations: Vec::new(),
        next_server: None,
        allow_rogue: false,
        tftp: true,
        secure_boot: SecureBoot::default(),
        relayed: vec![RelayedSubnet {
            subnet: "10.78.0.0/24".parse().unwrap(),
            ranges: vec![Ipv4Addr::new(10, 78, 0, 50)..=Ipv4Addr::new(10, 78, 0, 60)],
            routers: vec![Ipv4Addr::new(10, 78, 0, 1)],
        }],
    }
}

fn uefi_client() -> ProbeOptions {
    ProbeOptions {
        interface: "c0".into(),
        arch: ArchRow::by_name("uefi-x64").unwrap(),
        mac: MacAddr([0x52, 0x54, 0, 1, 2, 3]),
        uuid: None,
        http: false,
        user_class_ipxe: false,
        timeout: Duration::from_millis(700),
    }
}

#[test]
fn udhcpc_gets_renews_and_releases_an_address_and_a_restart_forgets_nothing() {
    let (wire, daemon) = (Wire::new(1), Daemon::new());
    let serving = wire.serve(network(DhcpMode::Server), &daemon);
    daemon.wait_serving();
    let (bound, said) = wire.udhcpc(0, "");
    assert!(bound && said.contains("lease of 10.77.0.100 obtained"), "{said}");
    assert_eq!(daemon.bound(), ["10.77.0.100"]);
    daemon.wait_health("an address in use", |health| health.addresses_bound == 1);
    let seen = daemon.network();
    assert_eq!((seen.silence, seen.addresses_free), (None, seen.addresses - 1));
    // A client that was not heard at once asks again.
    let traffic = seen.traffic.expect("counts");
    assert!(traffic.requests >= 2 && traffic.offers >= 1 && traffic.acks >= 1, "{traffic:?}");
    assert_eq!((traffic.answers, traffic.naks), (traffic.offers + traffic.acks, 0), "{traffic:?}");
    drop(serving);

    let daemon = daemon.restart();
    let _serving = wire.serve(network(DhcpMode::Server), &daemon);
    daemon.wait_serving();
    let (bound, said) = wire.udhcpc(0, "-R");
    assert!(bound && said.contains("lease of 10.77.0.100 obtained"), "{said}");
}

#[test]
fn an_address_that_is_given_and_not_renewed_is_told_each_once() {
    let (wire, mut daemon) = (Wire::new(1), Daemon::new());
    let short = Network { lease_time: Duration::from_secs(2), ..network(DhcpMode::Server) };
    let _serving = wire.serve(short, &daemon);
    daemon.wait_serving();
    assert!(wire.udhcpc(0, "").0);
    // Both may be told together, where a busy host looks late.
    let mut told = Vec::new();
    while told.len() < 2 {
        told.extend(daemon.wait_event("news of leases", |kind| match kind {
            EventKind::LeasesChanged { given, ended, .. } => {
                let all = given.iter().chain(ended);
                Some(all.map(|news| (news.address.clone(), news.end)).collect::<Vec<_>>())
            }
            _ => None,
        }));
    }
    let address = || "10.77.0.100".to_owned();
    assert_eq!(told, [(address(), None), (address(), Some(LeaseEnd::Expired))]);
}

#[test]
fn dhclient_gets_an_address() {
    let (wire, daemon) = (Wire::new(1), Daemon::new());
    let _serving = wire.serve(network(DhcpMode::Server), &daemon);
    daemon.wait_serving();
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().display();
    let line = format!("dhclient -1 -d -v -sf /bin/true -lf {at}/leases -pf {at}/pid c0");
    let mut client = Running::start(wire.command(0, &line));
    assert!(client.wait_for("bound to").contains("10.77.0.100"));
}

#[test]
fn a_client_behind_a_relay_gets_an_address_of_its_subnet() {
    let (wire, daemon) = (Wire::new(2), Daemon::new());
    let (relay, client) = (wire.client(0), wire.client(1));
    // The second client leaves the bridge and stands behind the first, which relays.
    run(&format!("ip -n {} link del p1", wire.server()));
    run(&format!("ip -n {relay} addr add 10.77.0.2/24 dev c0"));
    run(&format!("ip -n {relay} link add d0 type veth peer name c0 netns {client}"));
    run(&format!("ip -n {relay} addr add 10.78.0.1/24 dev d0"));
    run(&format!("ip -n {relay} link set d0 up"));
    run(&format!("ip -n {client} link set c0 up"));
    run(&format!("ip -n {} route add 10.78.0.0/24 via 10.77.0.2", wire.server()));
    let _serving = wire.serve(network(DhcpMode::Server), &daemon);
    daemon.wait_serving();
    let mut relaying = Running::start(wire.command(0, "dhcrelay -4 -d -a -iu c0 -id d0 --no-pid 10.77.0.1"));
    relaying.wait_for("Sending on   Socket");
    let (bound, said) = wire.udhcpc(1, "");
    assert!(bound && said.contains("lease of 10.78.0.50 obtained"), "{said}");
}

#[test]
fn an_address_in_use_is_found_and_another_is_given() {
    let (wire, mut daemon) = (Wire::new(2), Daemon::new());
    run(&format!("ip -n {} addr add 10.77.0.100/24 dev c0", wire.client(1)));
    let _serving = wire.serve(network(DhcpMode::Server), &daemon);
    daemon.wait_serving();
    // A probe of ours is a client that only asks for an offer: the address is found to be in use.
    assert_eq!(wire.probe(0, uefi_client())[0].address, Some(Ipv4Addr::new(10, 77, 0, 100)));
    let conflict = daemon.wait_event("conflict", |event| match event {
        EventKind::AddressConflict { address, mac, .. } => Some((address.clone(), mac.is_some())),
        _ => None,
    });
    assert_eq!(conflict, ("10.77.0.100".into(), true));
    let (bound, said) = wire.udhcpc(0, "");
    assert!(bound && said.contains("lease of 10.77.0.101 obtained"), "{said}");
}

#[test]
fn no_ack_leaves_when_the_store_fails() {
    let (wire, daemon) = (Wire::new(1), Daemon::new());
    let _serving = wire.serve(network(DhcpMode::Server), &daemon);
    daemon.wait_serving();
    daemon.break_store(true);
    let (bound, said) = wire.udhcpc(0, "");
    assert!(!bound, "{said}");
    daemon.wait_health("failed health", |health| health.state == HealthState::Failed);
    daemon.break_store(false);
    let (bound, said) = wire.udhcpc(0, "");
    assert!(bound, "{said}");
}

/// Who is told to silence DHCP.
fn silencer(event: &EventKind) -> Option<String> {
    match event {
        EventKind::OtherDhcpServer { server, silenced: true, .. } => Some(server.clone()),
        _ => None,
    }
}

#[test]
fn another_server_silences_server_mode_and_is_named() {
    let (wire, mut daemon) = (Wire::new(2), Daemon::new());
    let _other = wire.dnsmasq("--no-ping");
    let _serving = wire.serve(network(DhcpMode::Server), &daemon);
    assert_eq!(daemon.wait_event("event", silencer), "10.77.0.2");
    daemon.wait_health("degraded health", |health| {
        health.state == HealthState::Degraded && health.other_server.as_deref() == Some("10.77.0.2")
    });
    let seen = daemon.network();
    assert_eq!(seen.silence, Some(Silence::OtherServer));
    let heard = seen.other_servers.first().expect("the other server");
    assert_eq!((heard.address.as_str(), seen.other_servers.len()), ("10.77.0.2", 1));
    assert!(heard.heard_at <= daemon.test.site.now() && heard.heard_at > 0);
    let servers: Vec<_> = wire.probe(0, uefi_client()).into_iter().map(|answer| answer.server).collect();
    assert_eq!(servers, [OTHER]);
    let why = daemon.wait_event("stage", |event| match event {
        EventKind::AttemptStage { stage, .. } => match &stage.kind {
            StageKind::Dhcp { answer: None, why, .. } => Some(why.clone()),
            _ => None,
        },
        _ => None,
    });
    assert!(why.contains("10.77.0.2"), "{why}");
}

#[test]
fn a_server_that_pings_an_address_before_it_offers_it_is_waited_for() {
    let (wire, daemon) = (Wire::new(2), Daemon::new());
    let _other = wire.dnsmasq("");
    let _serving = wire.serve(network(DhcpMode::Server), &daemon);
    let Daemon { runtime, mut test } = daemon;
    let site = test.site.clone();
    runtime.block_on(async {
        tokio::select! {
            () = site.networks_until(&["br0"], |health| health.answering) => {
                panic!("it answered before the other server was heard");
            }
            _ = test.next("event", silencer) => {}
        }
    });
}

#[test]
fn a_proxy_stands_beside_another_server_and_answers_only_who_boots() {
    let (wire, daemon) = (Wire::new(2), Daemon::new());
    let _other = wire.dnsmasq("--no-ping");
    let _serving = wire.serve(network(DhcpMode::Proxy), &daemon);
    daemon.wait_serving();
    let answers = wire.probe(0, uefi_client());
    let ours = answers.iter().find(|answer| answer.server == SERVER).expect("the proxy's offer");
    assert_eq!(
        (ours.address, ours.next_server, ours.file.as_deref()),
        (None, Some(SERVER), Some("snponly.efi"))
    );
    assert!(answers.iter().any(|answer| answer.server == OTHER && answer.address.is_some()));
    let (bound, said) = wire.udhcpc(0, "");
    assert!(bound && said.contains("obtained from 10.77.0.2"), "{said}");
    daemon.wait_health("health beside", |health| health.message.contains("beside 10.77.0.2"));
    for event in daemon.runtime.block_on(daemon.test.events()) {
        match event {
            EventKind::OtherDhcpServer { .. } => panic!("another server is expected beside a proxy"),
            EventKind::MachineSeen { mac } | EventKind::AttemptStage { mac, .. } => {
                assert_eq!(mac, uefi_client().mac, "plain clients are not boots");
            }
            _ => {}
        }
    }
}

#[test]
fn an_interface_that_goes_down_is_said_and_served_again() {
    let (wire, daemon) = (Wire::new(1), Daemon::new());
    let _serving = wire.serve(network(DhcpMode::Server), &daemon);
    daemon.wait_serving();
    let look = || Wire::inside(&wire.server(), || links::look("br0", 7)).join().unwrap();
    let link = look();
    assert!(link.present && link.enabled && link.up, "{link:?}");
    assert_eq!(link.mac, Some(MacAddr([2, 0, 0, 0x77, 0, 1])));
    assert!(link.addresses.contains(&format!("{SERVER}/24")), "{link:?}");
    assert_eq!(link.mtu, Some(1500));
    run(&format!("ip -n {} link set br0 down", wire.server()));
    assert!(!look().enabled && !look().up && look().present);
    daemon.wait_health("failed health", |health| {
        health.state == HealthState::Failed && health.silence == Some(Silence::Interface)
    });
    run(&format!("ip -n {} link set br0 up", wire.server()));
    daemon.wait_serving();
    assert!(wire.udhcpc(0, "").0);
}

#[test]
fn a_bridge_that_changes_its_mac_address_is_served_on() {
    let (wire, daemon) = (Wire::new(1), Daemon::new());
    let _serving = wire.serve(network(DhcpMode::Server), &daemon);
    daemon.wait_serving();
    run(&format!("ip -n {} link set br0 address 02:00:00:77:00:99", wire.server()));
    run(&format!("ip -n {} link set br0 mtu 1400", wire.server()));
    // Each DISCOVER is answered at once, before the change is noticed and after.
    let end = Instant::now() + PATIENCE;
    loop {
        let answers = wire.probe(0, uefi_client());
        let answer = answers.first().expect("an answer within the time of a probe");
        if answer.mac == MacAddr([2, 0, 0, 0x77, 0, 0x99]) {
            break;
        }
        assert!(Instant::now() < end, "answers still come from {}", answer.mac);
    }
    let (bound, said) = wire.udhcpc(0, "");
    assert!(bound, "{said}");
}

#[test]
fn perfdhcp_loses_nothing_at_a_steady_rate() {
    let (wire, daemon) = (Wire::new(1), Daemon::new());
    run(&format!("ip -n {} addr add 10.77.0.3/24 dev c0", wire.client(0)));
    let mut network = network(DhcpMode::Server);
    network.ranges = vec![Ipv4Addr::new(10, 77, 0, 20)..=Ipv4Addr::new(10, 77, 0, 250)];
    let _serving = wire.serve(network, &daemon);
    daemon.wait_serving();
    let output = wire.command(0, "perfdhcp -4 -l c0 -r 100 -R 150 -n 300 -W 2000000").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert_eq!(said.matches("drops: 0").count(), 2, "{said}");
    assert!(daemon.bound().len() >= 100, "{} leases", daemon.bound().len());
}
