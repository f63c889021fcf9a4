//! What is done to a NIC by ioctl: up, address, route; and what its driver says.

use std::{
    fs, io,
    net::{Ipv4Addr, UdpSocket},
    os::fd::AsRawFd,
    path::Path,
};

use ironwake_api::{MacAddr, Nic};

use crate::dhcp::Lease;

// linux/sockios.h; the C libraries disagree on the type of these.
const SIOCADDRT: u32 = 0x890b;
const SIOCGIFFLAGS: u32 = 0x8913;
const SIOCSIFFLAGS: u32 = 0x8914;
const SIOCSIFADDR: u32 = 0x8916;
const SIOCSIFNETMASK: u32 = 0x891c;
const SIOCETHTOOL: u32 = 0x8946;
/// linux/ethtool.h: ask for `struct ethtool_drvinfo` and the permanent address.
const ETHTOOL_GDRVINFO: u32 = 3;
const ETHTOOL_GPERMADDR: u32 = 0x20;
/// Longest address of any NIC (linux/netdevice.h, MAX_ADDR_LEN).
const ADDRESS_BYTES_MAX: usize = 32;

/// `struct rtentry` of linux/route.h, which the C library's headers do not all have.
#[repr(C)]
struct RouteEntry {
    pad1: libc::c_ulong,
    destination: libc::sockaddr,
    gateway: libc::sockaddr,
    netmask: libc::sockaddr,
    flags: libc::c_ushort,
    pad2: libc::c_short,
    pad3: libc::c_ulong,
    pad4: *mut libc::c_void,
    metric: libc::c_short,
    device: *mut libc::c_char,
    mtu: libc::c_ulong,
    window: libc::c_ulong,
    round_trip: libc::c_ushort,
}

/// `struct ethtool_drvinfo` of linux/ethtool.h.
#[repr(C)]
struct DriverInfo {
    command: u32,
    driver: [u8; 32],
    version: [u8; 32],
    firmware: [u8; 32],
    bus: [u8; 32],
    erom: [u8; 32],
    reserved: [u8; 12],
    counts: [u32; 5],
}

/// `struct ethtool_perm_addr` of linux/ethtool.h, with room for its address.
#[repr(C)]
struct PermanentAddress {
    command: u32,
    size: u32,
    address: [u8; ADDRESS_BYTES_MAX],
}

/// The kernel's index of a NIC.
pub fn index(name: &str) -> io::Result<u32> {
    nix::net::if_::if_nametoindex(name).map_err(io::Error::from)
}

/// Whether the NIC has a link; false while it is down.
pub fn has_link(root: &Path, name: &str) -> bool {
    fs::read(root.join("sys/class/net").join(name).join("carrier"))
        .is_ok_and(|value| value.first() == Some(&b'1'))
}

/// Brings the NIC up.
pub fn up(name: &str) -> io::Result<()> {
    let mut request = request(name)?;
    ioctl(SIOCGIFFLAGS, &mut request)?;
    // SAFETY: SIOCGIFFLAGS filled in the flags' member of the union.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    request.ifr_ifru.ifru_flags = flags | libc::IFF_UP as i16;
    ioctl(SIOCSIFFLAGS, &mut request)
}

/// Gives the NIC the lease's address, and the machine its route and name servers.
pub fn apply(name: &str, lease: &Lease) -> io::Result<()> {
    set_address(name, SIOCSIFADDR, lease.address)?;
    let mask = u32::MAX.checked_shl(32 - u32::from(lease.prefix_length.min(32))).unwrap_or(0);
    set_address(name, SIOCSIFNETMASK, Ipv4Addr::from_bits(mask))?;
    if let Some(router) = lease.router {
        add_default_route(router)?;
    }
    let servers: String = lease.dns.iter().map(|server| format!("nameserver {server}\n")).collect();
    // Only a URL with a name in it needs this; an image without /etc does not matter.
    let _ = fs::create_dir_all("/etc").and_then(|()| fs::write("/etc/resolv.conf", servers));
    Ok(())
}

/// Takes the NIC's address away; its routes go with it.
pub fn clear(name: &str) -> io::Result<()> {
    set_address(name, SIOCSIFADDR, Ipv4Addr::UNSPECIFIED)
}

fn set_address(name: &str, operation: u32, address: Ipv4Addr) -> io::Result<()> {
    let mut request = request(name)?;
    request.ifr_ifru.ifru_addr = socket_address(address);
    ioctl(operation, &mut request)
}

fn add_default_route(router: Ipv4Addr) -> io::Result<()> {
    // SAFETY: integers, addresses of bytes and null pointers: zeros are valid for all of them.
    let mut route: RouteEntry = unsafe { std::mem::zeroed() };
    route.destination = socket_address(Ipv4Addr::UNSPECIFIED);
    route.gateway = socket_address(router);
    route.netmask = socket_address(Ipv4Addr::UNSPECIFIED);
    route.flags = libc::RTF_UP | libc::RTF_GATEWAY;
    match ioctl(SIOCADDRT, &mut route) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

fn socket_address(address: Ipv4Addr) -> libc::sockaddr {
    let mut data = [0; 14];
    for (to, from) in data[2..6].iter_mut().zip(address.octets()) {
        *to = from as libc::c_char;
    }
    libc::sockaddr { sa_family: libc::AF_INET as u16, sa_data: data }
}

/// Fills in what only the driver knows: its name, firmware version, burnt-in address, and the addresses in use.
pub fn ask_driver(nic: &mut Nic) {
    let mut info = DriverInfo {
        command: ETHTOOL_GDRVINFO,
        driver: [0; 32],
        version: [0; 32],
        firmware: [0; 32],
        bus: [0; 32],
        erom: [0; 32],
        reserved: [0; 12],
        counts: [0; 5],
    };
    if ethtool(&nic.name, &mut info).is_ok() {
        nic.driver = text(&info.driver).or(nic.driver.take());
        nic.firmware = text(&info.firmware).filter(|version| version != "N/A");
    }
    let mut permanent = PermanentAddress {
        command: ETHTOOL_GPERMADDR,
        size: ADDRESS_BYTES_MAX as u32,
        address: [0; ADDRESS_BYTES_MAX],
    };
    if ethtool(&nic.name, &mut permanent).is_ok() && permanent.size == 6 {
        let [a, b, c, d, e, f, ..] = permanent.address;
        nic.permanent_mac = Some(MacAddr([a, b, c, d, e, f])).filter(MacAddr::is_unicast);
    }
    nic.addresses = addresses(&nic.name);
}

fn addresses(name: &str) -> Vec<String> {
    let mut found = Vec::new();
    for interface in
        nix::ifaddrs::getifaddrs().into_iter().flatten().filter(|found| found.interface_name == name)
    {
        let address = interface.address.as_ref().and_then(|address| address.as_sockaddr_in());
        let netmask = interface.netmask.as_ref().and_then(|netmask| netmask.as_sockaddr_in());
        if let (Some(address), Some(netmask)) = (address, netmask) {
            found.push(format!("{}/{}", address.ip(), netmask.ip().to_bits().leading_ones()));
        }
    }
    found
}

fn text(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(&bytes[..end]).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

fn ethtool<T>(name: &str, argument: &mut T) -> io::Result<()> {
    let mut request = request(name)?;
    request.ifr_ifru.ifru_data = std::ptr::from_mut(argument).cast();
    ioctl(SIOCETHTOOL, &mut request)
}

fn request(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: ifreq is integers, bytes and a union of the same: zeros are valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    Ok(request)
}

/// `argument` must be the type that the operation reads and writes.
fn ioctl<T>(operation: u32, argument: &mut T) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    // SAFETY: each caller pairs the operation with its own structure, which lives until the call returns; data
    // that an ifreq points to (ethtool) belongs to that caller's frame too.
    let result =
        unsafe { libc::ioctl(socket.as_raw_fd(), operation as libc::Ioctl, std::ptr::from_mut(argument)) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_have_the_kernels_sizes() {
        assert_eq!(size_of::<DriverInfo>(), 196);
        assert_eq!(size_of::<RouteEntry>(), 120);
    }

    #[test]
    fn a_name_that_is_too_long_is_refused() {
        assert!(request("a-name-that-is-far-too-long").is_err());
        assert!(request("eth0").is_ok());
    }

    #[test]
    fn drivers_texts_end_at_their_nul() {
        assert_eq!(text(b"1.2.3\0junk"), Some("1.2.3".into()));
        assert_eq!(text(b"\0\0"), None);
    }
}
