//! What there is to see of a host, without changing anything.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::{getsockopt, setsockopt, sockopt};
use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access, geteuid};

use super::Interface;
use super::ports::{self, Listener, Protocol};
use crate::artifacts;
use crate::cli::human;
use crate::config::{Config, ConfigErrors, DhcpMode, Layers, SettingsError};
use crate::serve::dhcp;

/// Everything that the checks judge.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub config: ConfigFact,
    pub interfaces: Vec<Interface>,
    pub capabilities: u64,
    pub root: bool,
    pub listeners: Vec<Listener>,
    pub firewall: Firewall,
    /// Where boot files are looked for, in order.
    pub boot_folders: Vec<PathBuf>,
    /// Boot files found anywhere there.
    pub boot_files: Vec<&'static str>,
    pub state: StateFolder,
    /// What was answered to a DISCOVER, network by network.
    pub asked: Vec<Asked>,
    pub now: u64,
}

/// Who gives addresses on one interface.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub interface: String,
    /// Servers that offered an address, or why nobody could be asked.
    pub servers: Result<Vec<Ipv4Addr>, String>,
}

/// The configuration file.
#[derive(Debug, Clone)]
pub(super) enum ConfigFact {
    /// With what the API changed, where it changed something.
    Good(PathBuf, Option<PathBuf>, Box<Config>),
    /// Without what the API changed, which cannot be read: why.
    Alone(PathBuf, String, Box<Config>),
    /// How many mistakes there are, in which of its two files.
    Wrong { path: PathBuf, within: String, count: usize },
    /// Why it cannot be read.
    Unreadable(PathBuf, String),
}

impl ConfigFact {
    /// The settings, where there are any.
    pub(super) fn settings(&self) -> Option<&Config> {
        match self {
            Self::Good(.., config) | Self::Alone(.., config) => Some(config),
            Self::Wrong { .. } | Self::Unreadable(..) => None,
        }
    }
}

/// What can be told of packet filters without their tools.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Firewall {
    /// Packet filters that the kernel has loaded.
    pub loaded: Vec<&'static str>,
}

/// The state folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StateFolder {
    pub path: PathBuf,
    pub exists: bool,
    pub writable: bool,
    /// Bytes that a user other than root may still write.
    pub free_bytes: Option<u64>,
}

impl Facts {
    /// Looks at this host.
    pub(super) fn gather(config: &Path) -> Self {
        let config = read_config(config);
        let defaults = Config::default();
        let settings = config.settings().unwrap_or(&defaults);
        let wanted = [
            (Protocol::Udp, 67),
            (Protocol::Udp, 69),
            (Protocol::Udp, 4011),
            (Protocol::Tcp, settings.http.listen.port()),
        ];
        let boot_folders = artifacts::boot_dirs();
        Self {
            interfaces: interfaces(),
            capabilities: capabilities(&fs::read_to_string("/proc/self/status").unwrap_or_default()),
            root: geteuid().is_root(),
            listeners: ports::listeners(Path::new("/proc"), &wanted),
            firewall: firewall(Path::new("/")),
            boot_files: boot_files(&boot_folders),
            boot_folders,
            state: state_folder(&settings.state),
            asked: Vec::new(),
            now: human::now(),
            config,
        }
    }

    /// Sends one DISCOVER on each network that DHCP is configured for, which changes nothing there.
    pub(super) async fn ask(&mut self) {
        let networks = self.config.settings().map_or(&[][..], |config| &config.networks);
        let here =
            |name: &str| self.interfaces.iter().any(|interface| interface.name == name && interface.up);
        let wanted =
            networks.iter().filter(|network| network.dhcp != DhcpMode::Off && here(&network.interface));
        let asked = futures_util::future::join_all(wanted.map(|network| ask(&network.interface))).await;
        self.asked = asked;
    }
}

async fn ask(interface: &str) -> Asked {
    let servers = dhcp::servers(interface).await.map_err(|error| error.to_string());
    Asked { interface: interface.to_owned(), servers }
}

/// Reads the file as the daemon does, with what the API changed over it.
fn read_config(path: &Path) -> ConfigFact {
    match Layers::open(path.into(), false) {
        Ok((layers, config)) => {
            ConfigFact::Good(path.into(), layers.changed().map(Path::to_owned), Box::new(config))
        }
        Err(SettingsError::Config(ConfigErrors::Wrong(mistakes))) => ConfigFact::Wrong {
            path: path.into(),
            count: mistakes.list.len() + mistakes.more,
            within: mistakes.file,
        },
        Err(SettingsError::Config(ConfigErrors::Read { source, .. })) => {
            ConfigFact::Unreadable(path.into(), source.to_string())
        }
        Err(SettingsError::File(error)) => match Config::load(path) {
            Ok(config) => ConfigFact::Alone(path.into(), with_cause(&error), Box::new(config)),
            Err(error) => ConfigFact::Unreadable(path.into(), with_cause(&error)),
        },
        Err(error) => ConfigFact::Unreadable(path.into(), with_cause(&error)),
    }
}

fn with_cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

/// Interfaces of this network namespace; `/sys/class/net` may show another one's.
fn interfaces() -> Vec<Interface> {
    let mut interfaces: Vec<Interface> = Vec::new();
    for entry in getifaddrs().into_iter().flatten() {
        let index = match interfaces.iter().position(|known| known.name == entry.interface_name) {
            Some(index) => index,
            None => {
                interfaces.push(Interface {
                    up: entry.flags.contains(InterfaceFlags::IFF_UP),
                    loopback: entry.flags.contains(InterfaceFlags::IFF_LOOPBACK),
                    mtu: None,
                    name: entry.interface_name,
                    addresses: Vec::new(),
                });
                interfaces.len() - 1
            }
        };
        let address =
            entry.address.as_ref().and_then(|address| address.as_sockaddr_in()).map(|address| address.ip());
        interfaces[index].addresses.extend(address);
    }
    for interface in &mut interfaces {
        interface.mtu = interface.addresses.first().and_then(|address| mtu(&interface.name, *address));
    }
    interfaces
}

/// What one packet carries on an interface, by the route to a neighbour's address. Nothing is sent.
fn mtu(name: &str, own: Ipv4Addr) -> Option<u32> {
    let socket = UdpSocket::bind((own, 0)).ok()?;
    setsockopt(&socket, sockopt::BindToDevice, &name.into()).ok()?;
    // The host's own address would be routed through the loopback interface.
    let neighbour = Ipv4Addr::from(u32::from(own) ^ 1);
    socket.connect((neighbour, 9)).ok()?;
    u32::try_from(getsockopt(&socket, sockopt::IpMtu).ok()?).ok()
}

/// The effective set, as `/proc/self/status` writes it.
fn capabilities(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok()).unwrap_or(0)
}

/// Rules cannot be read without their tools; that a filter is loaded can.
fn firewall(root: &Path) -> Firewall {
    let tables = fs::read_to_string(root.join("proc/net/ip_tables_names")).unwrap_or_default();
    let mut loaded = Vec::new();
    if tables.lines().any(|table| table == "filter") {
        loaded.push("iptables");
    }
    if root.join("sys/module/nf_tables").exists() {
        loaded.push("nftables");
    }
    Firewall { loaded }
}

fn boot_files(folders: &[PathBuf]) -> Vec<&'static str> {
    let is_there = |name: &&str| folders.iter().any(|folder| folder.join("loaders").join(name).is_file());
    artifacts::expected_loaders().into_iter().filter(is_there).collect()
}

fn state_folder(path: &Path) -> StateFolder {
    let existing = path.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    // Free space is asked where the folder would be made.
    let free = statvfs(existing).ok().map(|found| found.blocks_available() * found.fragment_size());
    StateFolder {
        path: path.into(),
        exists: path.is_dir(),
        writable: access(existing, AccessFlags::W_OK | AccessFlags::X_OK).is_ok(),
        free_bytes: free,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_can_be_looked_at() {
        let facts = Facts::gather(Path::new("/nonexistent/ironwake.toml"));
        assert!(matches!(facts.config, ConfigFact::Unreadable(..)));
        if let Some(loopback) = facts.interfaces.iter().find(|interface| interface.loopback && interface.up) {
            assert!(loopback.mtu.is_some_and(|mtu| mtu >= 1280), "{loopback:?}");
        }
        assert!(facts.state.free_bytes.is_some());
    }

    #[test]
    fn capabilities_are_the_effective_ones() {
        assert_eq!(capabilities("CapPrm:\tffff\nCapEff:\t0000000000002400\n"), 0x2400);
        assert_eq!(capabilities("nonsense"), 0);
    }

    #[test]
    fn filters_are_told_by_what_the_kernel_loaded() {
        let root = tempfile::tempdir().expect("a folder");
        assert_eq!(firewall(root.path()), Firewall::default());
        fs::create_dir_all(root.path().join("proc/net")).expect("made");
        fs::create_dir_all(root.path().join("sys/module/nf_tables")).expect("made");
        fs::write(root.path().join("proc/net/ip_tables_names"), "nat\nfilter\n").expect("written");
        assert_eq!(firewall(root.path()).loaded, ["iptables", "nftables"]);
    }
}
