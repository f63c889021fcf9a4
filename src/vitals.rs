//! How the appliance is, as its kernel says: processors, memory, disk, interfaces. Everything here may block.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::Path;

use ironwake_api::{MacAddr, SystemDisk, SystemInterface, SystemMemory};
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::{InterfaceFlags, if_nametoindex};
use nix::sys::socket::SockaddrStorage;
use nix::sys::statvfs::statvfs;

/// A link to the file of the time zone (localtime(5)).
const LOCALTIME: &str = "/etc/localtime";

/// Addresses of one interface that are shown; one that routes may have hundreds.
const ADDRESSES_MAX: usize = 32;

/// What is said of the appliance at one moment.
#[derive(Debug, Clone)]
pub struct Vitals {
    /// Its name, as the kernel has it.
    pub hostname: String,
    /// Seconds since it was switched on.
    pub uptime_secs: u64,
    /// Its time zone, where the system says it as systemd does (localtime(5)).
    pub timezone: Option<String>,
    /// Time that its processors have spent.
    pub cpu: CpuTime,
    /// How many processors the kernel runs on.
    pub cpus: u32,
    /// Memory.
    pub memory: SystemMemory,
    /// The filesystem that was asked about.
    pub disk: SystemDisk,
    /// Interfaces, loopback apart, by name.
    pub interfaces: Vec<SystemInterface>,
}

/// Time of all processors together since the start, in ticks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// With something to do.
    pub busy: u64,
    /// In all.
    pub all: u64,
}

impl CpuTime {
    /// How busy they were between an earlier moment and this one: 0 to 100.
    pub fn percent_since(self, earlier: Self) -> u8 {
        let (busy, all) = (self.busy.saturating_sub(earlier.busy), self.all.saturating_sub(earlier.all));
        u8::try_from((busy * 100).checked_div(all).unwrap_or(0).min(100)).unwrap_or(100)
    }
}

/// Whether this process may listen on a UDP port, were nobody else there.
pub fn may_listen_on(port: u16) -> bool {
    let bound = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port));
    !bound.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

/// Looks at the appliance; `folder` is on the filesystem that is asked about.
pub fn read(folder: &Path) -> Vitals {
    let proc = |name: &str| fs::read_to_string(Path::new("/proc").join(name)).unwrap_or_default();
    let (cpu, cpus) = cpu(&proc("stat"));
    Vitals {
        hostname: proc("sys/kernel/hostname").trim().to_owned(),
        uptime_secs: uptime(&proc("uptime")),
        timezone: fs::read_link(LOCALTIME).ok().and_then(|link| timezone(&link)),
        cpu,
        cpus,
        memory: memory(&proc("meminfo")),
        disk: disk(folder),
        interfaces: interfaces(),
    }
}

/// The number that the kernel has for an interface.
pub fn index_of(interface: &str) -> Option<i32> {
    if_nametoindex(interface).ok().and_then(|index| i32::try_from(index).ok())
}

/// Interfaces of this network namespace, loopback apart, by name. `/sys/class/net` may show another one's.
pub fn interfaces() -> Vec<SystemInterface> {
    gather(|entry| !entry.flags.contains(InterfaceFlags::IFF_LOOPBACK))
}

/// The interface of this name, loopback included, if this thread's network namespace has it.
pub fn interface(name: &str) -> Option<SystemInterface> {
    gather(|entry| entry.interface_name == name).pop()
}

fn gather(wanted: impl Fn(&InterfaceAddress) -> bool) -> Vec<SystemInterface> {
    let mut interfaces: Vec<SystemInterface> = Vec::new();
    for entry in getifaddrs().into_iter().flatten().filter(wanted) {
        let index = interfaces.iter().position(|known| known.name == entry.interface_name);
        let index = index.unwrap_or_else(|| {
            interfaces.push(SystemInterface {
                name: entry.interface_name.clone(),
                mac: None,
                up: entry.flags.contains(InterfaceFlags::IFF_UP),
                // The kernel's word for a carrier, and what is beneath being ready.
                link: entry.flags.contains(InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING),
                addresses: Vec::new(),
            });
            interfaces.len() - 1
        });
        let found = &mut interfaces[index];
        let link = entry.address.as_ref().and_then(|address| address.as_link_addr()?.addr());
        found.mac = link.map(MacAddr).filter(MacAddr::is_unicast).or(found.mac);
        found.addresses.extend(address(&entry).filter(|_| found.addresses.len() < ADDRESSES_MAX));
    }
    interfaces.sort_by(|a, b| a.name.cmp(&b.name));
    interfaces
}

/// `10.0.0.1/24`
fn address(entry: &InterfaceAddress) -> Option<String> {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(mask) => u32::from(mask).count_ones(),
        IpAddr::V6(mask) => u128::from(mask).count_ones(),
    };
    let address = ip(entry.address.as_ref()?)?;
    let mask = entry.netmask.as_ref().and_then(ip)?;
    Some(format!("{address}/{}", bits(mask)))
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|address| IpAddr::from(address.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::from(address.ip())))
}

/// `/usr/share/zoneinfo/Europe/Vienna` is `Europe/Vienna`.
fn timezone(link: &Path) -> Option<String> {
    let (_, name) = link.to_str()?.split_once("zoneinfo/")?;
    Some(name.to_owned()).filter(|name| !name.is_empty())
}

fn uptime(text: &str) -> u64 {
    text.split('.').next().and_then(|secs| secs.trim().parse().ok()).unwrap_or(0)
}

/// The first line of /proc/stat, and how many `cpuN` follow (proc_stat(5)): user, nice, system, idle, iowait, irq,
/// softirq, steal; what guests take is in user already.
fn cpu(text: &str) -> (CpuTime, u32) {
    let times: Vec<u64> = text
        .lines()
        .find_map(|line| line.strip_prefix("cpu "))
        .map(|line| line.split_whitespace().take(8).map_while(|word| word.parse().ok()).collect())
        .unwrap_or_default();
    let all = times.iter().sum();
    let idle: u64 = times.iter().skip(3).take(2).sum();
    let is_one = |line: &&str| {
        line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let count = text.lines().filter(is_one).count();
    (CpuTime { busy: all - idle, all }, u32::try_from(count).unwrap_or(u32::MAX))
}

fn memory(text: &str) -> SystemMemory {
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kib: Option<u64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        kib.unwrap_or(0) * 1024
    };
    SystemMemory { total_bytes: of("MemTotal"), available_bytes: of("MemAvailable") }
}

fn disk(folder: &Path) -> SystemDisk {
    let Ok(found) = statvfs(folder) else { return SystemDisk::default() };
    SystemDisk {
        total_bytes: found.blocks() * found.fragment_size(),
        free_bytes: found.blocks_available() * found.fragment_size(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_read() {
        let stat = "cpu  100 0 50 800 50 0 0 0 9 0\ncpu0 1 2\ncpu1 1 2\nintr 5\n";
        assert_eq!(cpu(stat), (CpuTime { busy: 150, all: 1000 }, 2));
        assert_eq!(cpu("nonsense"), (CpuTime::default(), 0));
        assert_eq!(uptime("12345.67 1.0\n"), 12345);
        assert_eq!(timezone(Path::new("../usr/share/zoneinfo/Etc/UTC")).as_deref(), Some("Etc/UTC"));
        assert_eq!(timezone(Path::new("/etc/timezone")), None);
        let told = memory("MemTotal:       16384 kB\nMemFree: 1 kB\nMemAvailable:    8192 kB\n");
        assert_eq!(told, SystemMemory { total_bytes: 16 << 20, available_bytes: 8 << 20 });
    }

    #[test]
    fn how_busy_it_was_is_of_the_time_between() {
        let check = |busy, all, expected| {
            assert_eq!(CpuTime { busy, all }.percent_since(CpuTime { busy: 100, all: 1000 }), expected);
        };
        check(150, 1100, 50);
        check(100, 1000, 0);
        check(200, 1100, 100);
        // The counters of a restored guest may be behind.
        check(0, 0, 0);
    }

    #[test]
    fn this_host_can_be_looked_at() {
        let vitals = read(Path::new("/"));
        assert!(
            vitals.cpus > 0 && vitals.memory.total_bytes > 0 && vitals.disk.total_bytes > 0,
            "{vitals:?}"
        );
        assert!(!vitals.hostname.is_empty() && vitals.interfaces.iter().all(|found| found.name != "lo"));
    }
}
