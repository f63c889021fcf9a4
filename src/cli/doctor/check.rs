//! Judges what was seen. Each check is a function of the facts.

use std::net::{IpAddr, Ipv4Addr};

use super::facts::{ConfigFact, Facts};
use super::ports::{Listener, Protocol};
use super::{Finding, Interface};
use crate::artifacts::expected_loaders;
use crate::cli::human;
use crate::config::{DhcpMode, Network};

/// Numbers of linux/capability.h.
const CAPABILITIES: [(u32, &str, &str); 2] =
    [(13, "CAP_NET_RAW", "DHCP frames"), (10, "CAP_NET_BIND_SERVICE", "the ports 67 and 69")];
/// A boot file's packets have 1468 bytes of data at most: what Ethernet carries.
const MTU_MIN: u32 = 1500;
/// Below this the database and one discovery image do not fit.
const FREE_BYTES_MIN: u64 = 256 << 20;
/// Below this there is little room for images.
const FREE_BYTES_WARN: u64 = 2 << 30;
/// 2026-01-01, before this program was made: an earlier clock has not been set.
const TIME_MIN: u64 = 1_767_225_600_000;

/// Every check.
pub(super) fn all(facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![config(facts)];
    let networks = facts.config.settings().map_or(&[][..], |config| &config.networks);
    if facts.config.settings().is_some() && networks.is_empty() {
        let remedy =
            "set the appliance up (`ironwake setup show`), or add [[network]] with interface = \"NAME\"";
        findings.push(Finding::warn("config", "no network is configured: nothing is served", remedy));
    }
    for network in networks {
        findings.extend(interface(network, &facts.interfaces));
    }
    findings.extend(http_address(facts));
    findings.extend(capabilities(facts));
    findings.extend(ports(facts, networks));
    findings.extend(networks.iter().filter_map(|network| other_servers(network, facts)));
    findings.push(firewall(facts));
    findings.push(boot_files(facts));
    findings.extend(state(facts));
    findings.push(time(facts.now));
    findings
}

fn config(facts: &Facts) -> Finding {
    match &facts.config {
        ConfigFact::Good(path, None, _) => Finding::ok("config", format!("{} is fine", path.display())),
        ConfigFact::Good(path, Some(settings), _) => {
            let message = format!("{} is fine, with {} over it", path.display(), settings.display());
            Finding::ok("config", message)
        }
        ConfigFact::Alone(path, why, _) => {
            let message =
                format!("{} is fine by itself; what was changed through the API: {why}", path.display());
            Finding::warn("config", message, "run `ironwake doctor` as root, which may read both")
        }
        ConfigFact::Wrong { path, within, count } => {
            let remedy = format!("ironwake config check {}", path.display());
            Finding::fail("config", format!("{within} has {count} mistakes"), remedy)
        }
        ConfigFact::Unreadable(path, why) => Finding::fail(
            "config",
            format!("{}: {why}", path.display()),
            "name another with --config, or begin with `ironwake config example`",
        ),
    }
}

fn interface(network: &Network, interfaces: &[Interface]) -> Vec<Finding> {
    let name = &network.interface;
    let Some(found) = interfaces.iter().find(|interface| interface.name == *name) else {
        let others: Vec<&str> = interfaces.iter().filter(|i| !i.loopback).map(|i| i.name.as_str()).collect();
        let remedy = format!("interfaces here: {}", others.join(", "));
        return vec![Finding::fail("interface", format!("{name} does not exist"), remedy)];
    };
    if !found.up {
        return vec![Finding::fail("interface", format!("{name} is down"), format!("ip link set {name} up"))];
    }
    let mut findings = Vec::new();
    match &found.addresses[..] {
        [] => findings.push(Finding::fail(
            "interface",
            format!("{name} has no IPv4 address for machines to reach"),
            format!("ip address add 10.0.0.1/16 dev {name}, with an address of your network"),
        )),
        addresses => {
            let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            findings.push(Finding::ok("interface", format!("{name} is up with {}", shown.join(", "))));
        }
    }
    if let Some(mtu) = found.mtu.filter(|mtu| *mtu < MTU_MIN) {
        let remedy = format!("ip link set {name} mtu {MTU_MIN}; boot ROMs cannot fragment");
        findings.push(Finding::warn("mtu", format!("{name} carries {mtu} bytes only"), remedy));
    }
    findings
}

fn http_address(facts: &Facts) -> Option<Finding> {
    let listen = facts.config.settings()?.http.listen;
    let IpAddr::V4(address) = listen.ip() else { return None };
    let here = address.is_unspecified() || facts.interfaces.iter().any(|i| i.addresses.contains(&address));
    (!here).then(|| {
        Finding::fail(
            "http",
            format!("http.listen is {listen}, and no interface has {address}"),
            "set it to an address of this host, or to 0.0.0.0",
        )
    })
}

fn capabilities(facts: &Facts) -> Vec<Finding> {
    let judge = |(number, name, use_for): (u32, &str, &str)| {
        if facts.capabilities >> number & 1 == 1 {
            return Finding::ok("capability", format!("this shell has {name}"));
        }
        // The service has its own; only a daemon started by hand needs the shell's.
        let message = format!("this shell lacks {name}, which `ironwake serve` needs for {use_for}");
        Finding::warn("capability", message, "start it with `systemctl start ironwake`, or use sudo")
    };
    CAPABILITIES.into_iter().map(judge).collect()
}

/// Ports that the configuration uses, and what for.
fn wanted_ports(facts: &Facts, networks: &[Network]) -> Vec<(Protocol, u16, &'static str)> {
    let mut wanted = Vec::new();
    let any = |test: fn(&Network) -> bool| networks.iter().any(test);
    if any(|network| network.dhcp != DhcpMode::Off) {
        wanted.push((Protocol::Udp, 67, "DHCP"));
    }
    if any(|network| network.dhcp == DhcpMode::Proxy) {
        wanted.push((Protocol::Udp, 4011, "proxy DHCP"));
    }
    if any(|network| network.tftp) {
        wanted.push((Protocol::Udp, 69, "TFTP"));
    }
    if let Some(config) = facts.config.settings() {
        wanted.push((Protocol::Tcp, config.http.listen.port(), "HTTP"));
    }
    wanted
}

fn ports(facts: &Facts, networks: &[Network]) -> Vec<Finding> {
    let judge = |(protocol, port, what): (Protocol, u16, &str)| {
        let is_here = |listener: &&Listener| listener.protocol == protocol && listener.port == port;
        let holders: Vec<&Listener> = facts.listeners.iter().filter(is_here).collect();
        let is_ours =
            |listener: &&Listener| listener.program.as_deref().is_some_and(|p| p.starts_with("ironwake "));
        let Some(holder) = holders.iter().find(|holder| !is_ours(holder)) else {
            let held = if holders.is_empty() { "free" } else { "held by the running daemon" };
            return Finding::ok("port", format!("{port} ({what}) is {held}"));
        };
        let address = holder.address.map_or("an IPv6 address".into(), |address| address.to_string());
        match &holder.program {
            Some(program) => Finding::fail(
                "port",
                format!("{port} ({what}) is in use on {address} by {program}"),
                "stop that program, or take the port from it",
            ),
            None => Finding::warn(
                "port",
                format!("{port} ({what}) is in use on {address} by a program that only root can see"),
                "run `sudo ironwake doctor` to see which; it may be the daemon itself",
            ),
        }
    };
    wanted_ports(facts, networks).into_iter().map(judge).collect()
}

fn other_servers(network: &Network, facts: &Facts) -> Option<Finding> {
    let name = &network.interface;
    let asked = facts.asked.iter().find(|asked| asked.interface == *name)?;
    let servers = match &asked.servers {
        Ok(servers) => servers,
        Err(why) => {
            let message = format!("other DHCP servers on {name} were not looked for: {why}");
            return Some(Finding::warn("dhcp", message, "run `sudo ironwake doctor`"));
        }
    };
    let is_own =
        |server: &Ipv4Addr| facts.interfaces.iter().any(|interface| interface.addresses.contains(server));
    let others: Vec<String> = servers.iter().filter(|s| !is_own(s)).map(ToString::to_string).collect();
    let shown = others.join(", ");
    Some(match (network.dhcp, others.is_empty()) {
        (DhcpMode::Server, true) => Finding::ok("dhcp", format!("no other DHCP server answers on {name}")),
        (DhcpMode::Server, false) if network.allow_rogue => Finding::warn(
            "dhcp",
            format!("another DHCP server answers on {name}: {shown}; allow_rogue serves beside it"),
            "make sure that the two give different addresses",
        ),
        (DhcpMode::Server, false) => Finding::fail(
            "dhcp",
            format!("another DHCP server answers on {name}: {shown}; server mode stays silent beside it"),
            "switch it off, or set dhcp = \"proxy\" and let it give the addresses",
        ),
        (_, false) => Finding::ok("dhcp", format!("{shown} gives the addresses on {name}")),
        (_, true) => Finding::warn(
            "dhcp",
            format!("nobody gives addresses on {name}, which dhcp = \"proxy\" relies on"),
            "start a DHCP server there, or set dhcp = \"server\" with a range",
        ),
    })
}

fn firewall(facts: &Facts) -> Finding {
    match &facts.firewall.loaded[..] {
        [] => Finding::ok("firewall", "the kernel has no packet filter loaded"),
        loaded => Finding::warn(
            "firewall",
            format!("{} is loaded; its rules are not read here and may drop requests", loaded.join(" and ")),
            "look with `nft list ruleset`; UDP 67, 69, 4011 and the TCP port of http.listen must come in",
        ),
    }
}

fn boot_files(facts: &Facts) -> Finding {
    let missing: Vec<&str> =
        expected_loaders().into_iter().filter(|name| !facts.boot_files.contains(name)).collect();
    let folders: Vec<String> = facts.boot_folders.iter().map(|folder| folder.display().to_string()).collect();
    let folders = folders.join(", ");
    if missing.is_empty() {
        return Finding::ok("boot files", format!("every loader is in {folders}"));
    }
    let remedy = "run `./dev setup`, or name the folder that has them in IRONWAKE_BOOT";
    if facts.boot_files.is_empty() {
        return Finding::fail("boot files", format!("no loader is in {folders}"), remedy);
    }
    let message = format!("missing in {folders}: {}", missing.join(", "));
    Finding::warn("boot files", message, format!("machines of that kind cannot boot; {remedy}"))
}

fn state(facts: &Facts) -> Vec<Finding> {
    let state = &facts.state;
    let path = state.path.display();
    let mut findings = Vec::new();
    if !state.writable {
        let message = format!("{path} may not be written by this user");
        // The service's own user may, even where this one may not.
        let remedy = "run as the user `ironwake` or root, or set `state` to another folder";
        findings.push(if facts.root {
            Finding::fail("state", message, remedy)
        } else {
            Finding::warn("state", message, remedy)
        });
    } else if state.exists {
        findings.push(Finding::ok("state", format!("{path} can be written")));
    } else {
        findings.push(Finding::ok("state", format!("{path} is not there yet, and can be made")));
    }
    let remedy = "make room there, or set `state` to a folder on a larger disk";
    match state.free_bytes {
        Some(free) if free < FREE_BYTES_MIN => {
            findings.push(Finding::fail("disk", format!("{} free for {path}", human::size(free)), remedy));
        }
        Some(free) if free < FREE_BYTES_WARN => {
            findings.push(Finding::warn("disk", format!("{} free for {path}", human::size(free)), remedy));
        }
        Some(free) => findings.push(Finding::ok("disk", format!("{} free for {path}", human::size(free)))),
        None => {}
    }
    findings
}

fn time(now: u64) -> Finding {
    let shown = human::time(now);
    if now < TIME_MIN {
        let remedy =
            "set it: `timedatectl set-ntp true`, or `date --set`; leases and certificates depend on it";
        return Finding::fail("time", format!("the clock says {shown} UTC, which is past"), remedy);
    }
    Finding::ok("time", format!("{shown} UTC"))
}

#[cfg(test)]
mod tests {
    use super::super::facts::{Asked, Firewall, StateFolder};
    use super::*;
    use crate::cli::doctor::Verdict;
    use crate::config::Config;

    /// A host where everything is as it should be.
    fn good() -> Facts {
        let config = include_str!("../../../tests/data/config/smallest.toml");
        let config = Config::parse(config, "f").expect("legal");
        let address = Ipv4Addr::new(10, 0, 0, 1);
        Facts {
            config: ConfigFact::Good("/etc/f".into(), None, Box::new(config)),
            interfaces: vec![Interface {
                name: "br0".into(),
                up: true,
                loopback: false,
                mtu: Some(1500),
                addresses: vec![address],
            }],
            capabilities: u64::MAX,
            root: true,
            listeners: Vec::new(),
            firewall: Firewall::default(),
            boot_folders: vec!["/boot".into()],
            boot_files: expected_loaders(),
            state: StateFolder { path: "/s".into(), exists: true, writable: true, free_bytes: Some(1 << 40) },
            asked: vec![Asked { interface: "br0".into(), servers: Ok(Vec::new()) }],
            now: TIME_MIN,
        }
    }

    /// Another server answers on a network of this mode.
    fn beside(facts: &mut Facts, dhcp: DhcpMode, servers: Result<Vec<Ipv4Addr>, String>) {
        facts.asked[0].servers = servers;
        if let ConfigFact::Good(.., config) = &mut facts.config {
            config.networks[0].dhcp = dhcp;
        }
    }

    /// Spoils one fact; the findings that are not ok must be `expected`.
    fn check(spoil: impl FnOnce(&mut Facts), expected: &[(&str, Verdict, &str)]) {
        let mut facts = good();
        spoil(&mut facts);
        let found: Vec<Finding> = all(&facts).into_iter().filter(|f| f.verdict != Verdict::Ok).collect();
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (finding, (check, verdict, message)) in found.iter().zip(expected) {
            assert_eq!((finding.check, finding.verdict), (*check, *verdict), "{finding:?}");
            assert!(finding.message.contains(message), "{finding:?}");
            assert!(finding.remedy.is_some(), "{finding:?}");
        }
    }

    fn held(port: u16, program: Option<&str>) -> Listener {
        let (protocol, program) = (Protocol::Udp, program.map(str::to_owned));
        Listener { protocol, address: Some(Ipv4Addr::UNSPECIFIED), port, program }
    }

    #[test]
    fn each_spoilt_fact_is_found_with_its_remedy() {
        use Verdict::{Fail, Warn};
        check(|_| {}, &[]);
        let wrong = || ConfigFact::Wrong { path: "/f".into(), within: "/s".into(), count: 3 };
        check(|facts| facts.config = wrong(), &[("config", Fail, "/s has 3 mistakes")]);
        let alone = |config| ConfigFact::Alone("/f".into(), "no rights".into(), config);
        check(
            |facts| facts.config = alone(Box::new(facts.config.settings().expect("settings").clone())),
            &[("config", Warn, "no rights")],
        );
        check(|f| f.interfaces[0].up = false, &[("interface", Fail, "br0 is down")]);
        check(|f| f.interfaces[0].mtu = Some(1400), &[("mtu", Warn, "1400")]);
        check(
            |f| f.interfaces[0].addresses.clear(),
            &[("interface", Fail, "no IPv4 address"), ("http", Fail, "10.0.0.1")],
        );
        check(|f| f.interfaces[0].name = "eth0".into(), &[("interface", Fail, "br0 does not exist")]);
        check(|f| f.capabilities = 1 << 13, &[("capability", Warn, "CAP_NET_BIND_SERVICE")]);
        check(|f| f.listeners = vec![held(67, Some("dnsmasq (process 9)"))], &[("port", Fail, "dnsmasq")]);
        check(|f| f.listeners = vec![held(69, None)], &[("port", Warn, "only root can see")]);
        check(|f| f.listeners = vec![held(67, Some("ironwake (process 9)"))], &[]);
        check(|f| f.listeners = vec![held(4011, Some("other (process 9)"))], &[]);
        let other = || Ok(vec![Ipv4Addr::new(10, 0, 0, 2)]);
        check(|f| beside(f, DhcpMode::Server, other()), &[("dhcp", Fail, "answers on br0: 10.0.0.2")]);
        check(|f| beside(f, DhcpMode::Server, Ok(vec![Ipv4Addr::new(10, 0, 0, 1)])), &[]);
        check(|f| beside(f, DhcpMode::Proxy, other()), &[]);
        check(|f| beside(f, DhcpMode::Proxy, Ok(Vec::new())), &[("dhcp", Warn, "nobody gives addresses")]);
        check(|f| beside(f, DhcpMode::Server, Err("no".into())), &[("dhcp", Warn, "not looked for: no")]);
        check(|f| f.firewall.loaded = vec!["nftables"], &[("firewall", Warn, "nftables is loaded")]);
        check(|f| f.boot_files.clear(), &[("boot files", Fail, "no loader")]);
        check(
            |f| f.boot_files.retain(|name| *name != "undionly.kpxe"),
            &[("boot files", Warn, "undionly.kpxe")],
        );
        check(|f| f.state.writable = false, &[("state", Fail, "/s")]);
        check(|f| (f.state.writable, f.root) = (false, false), &[("state", Warn, "/s")]);
        check(|f| f.state.free_bytes = Some(1 << 20), &[("disk", Fail, "1 MiB")]);
        check(|f| f.now = 0, &[("time", Fail, "1970")]);
    }
}
