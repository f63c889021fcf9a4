//! Ports 67 and 4011 are held by sockets that read nothing, so that the kernel does not answer clients with
//! "port unreachable" while the packet socket serves them.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, setsockopt, socket, sockopt};

use super::filter;
use super::socket::attach_filter;
use crate::dhcp::{PORT_PXE, PORT_SERVER};

/// Processes that are looked through for the holder of a port.
const PROCESSES_MAX: usize = 65_536;

/// The sockets that hold the ports; dropping it frees them.
pub struct HeldPorts {
    _sockets: Vec<OwnedFd>,
}

impl HeldPorts {
    /// Holds what is free; what is taken is said, with its holder where it can be found.
    pub fn hold(interface: &str) -> Self {
        let mut sockets = Vec::new();
        for port in [PORT_SERVER, PORT_PXE] {
            match hold(interface, port) {
                Ok(socket) => sockets.push(socket),
                Err(error) => {
                    let holder = holder(port).unwrap_or_else(|| "another program".into());
                    tracing::warn!(interface, port, %error, "held by {holder}; serving beside it");
                }
            }
        }
        Self { _sockets: sockets }
    }
}

fn hold(interface: &str, port: u16) -> nix::Result<OwnedFd> {
    let fd = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&fd, sockopt::BindToDevice, &interface.into())?;
    attach_filter(fd.as_raw_fd(), &filter::NOTHING)
        .map_err(|error| nix::Error::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))?;
    bind(fd.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port)))?;
    Ok(fd)
}

/// The program that holds a UDP port, by `/proc`; `None` where it is hidden or gone.
fn holder(port: u16) -> Option<String> {
    let table = fs::read_to_string("/proc/thread-self/net/udp").ok()?;
    let inode = table.lines().find_map(|line| {
        let mut fields = line.split_whitespace();
        let (_, local_port) = fields.nth(1)?.split_once(':')?;
        (u16::from_str_radix(local_port, 16).ok()? == port)
            .then(|| fields.nth(7).map(str::to_owned))
            .flatten()
    })?;
    let wanted = format!("socket:[{inode}]");
    let processes = fs::read_dir("/proc").ok()?.flatten().take(PROCESSES_MAX);
    processes.into_iter().find_map(|process| {
        let name = process.file_name();
        let pid: u32 = name.to_str()?.parse().ok()?;
        let mut open = fs::read_dir(process.path().join("fd")).ok()?.flatten();
        open.any(|fd| fs::read_link(fd.path()).is_ok_and(|link| link.as_os_str() == wanted.as_str())).then(
            || {
                let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
                format!("{} (process {pid})", name.trim())
            },
        )
    })
}
