//! Other programs on the lab's networks: a DHCP server that is not ours, a relay, a packet recorder.

use std::path::Path;

use super::error::LabError;
use super::names::LabName;
use super::net::{Bridge, Namespace};
use super::process::Process;

/// A real dnsmasq as the network's own DHCP server: it gives addresses and knows nothing of booting.
#[derive(Debug)]
pub struct Dnsmasq {
    process: Process,
    /// Where it runs, at 10.77.0.2.
    pub namespace: Namespace,
}

impl Dnsmasq {
    /// Starts it in a namespace of its own, on `bridge` of `site`. `extra` are further options.
    pub fn start(
        lab: &LabName,
        site: &Namespace,
        bridge: &Bridge,
        folder: &Path,
        extra: &[&str],
    ) -> Result<Self, LabError> {
        let namespace = Namespace::create(lab, "dhcp")?;
        namespace.join("eth0", "10.77.0.2/24", site, bridge)?;
        let mut command = namespace.command("dnsmasq");
        command.args(["--keep-in-foreground", "--conf-file=/dev/null", "--log-facility=-", "--log-dhcp"]);
        command.args(["--port=0", "--interface=eth0", "--bind-interfaces", "--user=root", "--no-ping"]);
        command.arg(format!("--pid-file={}", folder.join("dnsmasq.pid").display()));
        command.arg(format!("--dhcp-leasefile={}", folder.join("dnsmasq.leases").display()));
        command.args(["--dhcp-authoritative", "--dhcp-range=10.77.0.100,10.77.0.250,255.255.255.0,1h"]);
        command.args(extra);
        let process = Process::start("dnsmasq", command, &folder.join("dnsmasq.log"))?;
        Ok(Self { process, namespace })
    }

    /// The end of its log.
    pub fn log_tail(&self, lines: usize) -> String {
        self.process.log_tail(lines)
    }
}

/// A router with ISC's DHCP relay: a second bridge, 10.78.0.0/24, whose machines reach the site through it.
#[derive(Debug)]
pub struct Relay {
    process: Process,
    /// Where it runs; taps of machines behind it are here.
    pub namespace: Namespace,
    /// The bridge behind it.
    pub bridge: Bridge,
}

impl Relay {
    /// Starts it between `bridge` of `site` (as 10.77.0.3) and its own bridge (as 10.78.0.1).
    pub fn start(lab: &LabName, site: &Namespace, bridge: &Bridge, folder: &Path) -> Result<Self, LabError> {
        let namespace = Namespace::create(lab, "relay")?;
        namespace.join("up0", "10.77.0.3/24", site, bridge)?;
        let behind = namespace.bridge("br1", "10.78.0.1/24")?;
        namespace.set("net/ipv4/ip_forward", "1")?;
        site.ip("route add 10.78.0.0/24 via 10.77.0.3")?;
        let mut command = namespace.command("dhcrelay");
        command.args(["-4", "-d", "--no-pid", "-iu", "up0", "-id", "br1", "10.77.0.1"]);
        let process = Process::start("dhcrelay", command, &folder.join("dhcrelay.log"))?;
        Ok(Self { process, namespace, bridge: behind })
    }

    /// The end of its log.
    pub fn log_tail(&self, lines: usize) -> String {
        self.process.log_tail(lines)
    }
}

/// Records every frame on `bridge` into `pcap`, as long as the value lives.
pub fn record(site: &Namespace, bridge: &Bridge, pcap: &Path, log: &Path) -> Result<Process, LabError> {
    let mut command = site.command("tcpdump");
    command.args(["-n", "-U", "-Z", "root", "-i", &bridge.interface, "-w"]).arg(pcap);
    Process::start("tcpdump", command, log)
}
