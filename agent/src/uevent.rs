//! The kernel's announcements of devices that come and go.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{
        AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, setsockopt,
        socket, sockopt,
    },
};

/// The group in which the kernel itself speaks.
const KERNEL_GROUP: u32 = 1;
/// Some hundred devices appear within a second; the kernel's default holds fewer.
const RECEIVE_BYTES: usize = 1 << 20;
const EVENT_BYTES_MAX: usize = 8192;

/// One announcement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Uevent {
    /// `add`, `remove`, `bind`, `change`, …
    pub action: String,
    /// `block`, `net`, `pci`, …
    pub subsystem: String,
    /// `disk` or `partition` for block devices.
    pub devtype: String,
    /// Whether the device asks for a driver.
    pub wants_driver: bool,
}

impl Uevent {
    /// Parses a message: `add@/devices/…` and then `KEY=value`, each ended by a zero.
    pub fn parse(message: &[u8]) -> Option<Self> {
        let mut parts = message.split(|&byte| byte == 0).map(String::from_utf8_lossy);
        if !parts.next()?.contains('@') {
            return None;
        }
        let mut event = Self::default();
        for part in parts {
            match part.split_once('=') {
                Some(("ACTION", value)) => event.action = value.to_owned(),
                Some(("SUBSYSTEM", value)) => event.subsystem = value.to_owned(),
                Some(("DEVTYPE", value)) => event.devtype = value.to_owned(),
                Some(("MODALIAS", _)) => event.wants_driver = true,
                _ => {}
            }
        }
        Some(event)
    }

    /// Whether the inventory may change by it: a disk or a NIC has come or gone, or a device wants a driver.
    pub fn changes_hardware(&self) -> bool {
        if self.wants_driver && self.action == "add" {
            return true;
        }
        let is_hardware = match self.subsystem.as_str() {
            "block" => self.devtype == "disk",
            "net" => true,
            _ => false,
        };
        is_hardware && matches!(self.action.as_str(), "add" | "remove")
    }
}

/// The socket on which they arrive.
#[derive(Debug)]
pub struct Uevents {
    socket: OwnedFd,
}

impl Uevents {
    /// Opens it.
    pub fn open() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let protocol = SockProtocol::NetlinkKObjectUEvent;
        let socket = socket(AddressFamily::Netlink, SockType::Datagram, flags, protocol)?;
        // Failing only makes a lost announcement more likely, and those are made up for by looking.
        let _ = setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BYTES);
        bind(std::os::fd::AsRawFd::as_raw_fd(&socket), &NetlinkAddr::new(0, KERNEL_GROUP))?;
        Ok(Self { socket })
    }

    /// Waits for the next; `None` when none came in time. Announcements that were lost count as a change.
    pub fn next(&self, timeout: Duration) -> Option<Uevent> {
        let millis = timeout.as_millis().min(60_000) as u16;
        let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, PollTimeout::from(millis)).unwrap_or(0) == 0 {
            return None;
        }
        let mut buffer = [0; EVENT_BYTES_MAX];
        match recv(std::os::fd::AsRawFd::as_raw_fd(&self.socket), &mut buffer, MsgFlags::empty()) {
            Ok(length) => Some(Uevent::parse(&buffer[..length]).unwrap_or_default()),
            Err(Errno::ENOBUFS) => {
                Some(Uevent { action: "add".into(), subsystem: "net".into(), ..Uevent::default() })
            }
            Err(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: &[u8], expected: Option<bool>) {
        assert_eq!(Uevent::parse(message).map(|event| event.changes_hardware()), expected);
    }

    #[test]
    fn disks_and_nics_change_the_hardware() {
        check(b"add@/devices/x/block/sda\0ACTION=add\0SUBSYSTEM=block\0DEVTYPE=disk\0SEQNUM=7\0", Some(true));
        check(
            b"add@/devices/x/block/sda/sda1\0ACTION=add\0SUBSYSTEM=block\0DEVTYPE=partition\0",
            Some(false),
        );
        check(b"remove@/devices/x/net/eth0\0ACTION=remove\0SUBSYSTEM=net\0", Some(true));
        check(b"bind@/devices/x\0ACTION=bind\0SUBSYSTEM=pci\0", Some(false));
        check(b"add@/devices/x\0ACTION=add\0SUBSYSTEM=usb\0MODALIAS=usb:v0951\0", Some(true));
        check(b"libudev\0junk", None);
        check(b"", None);
        check(&[0xff; 40], None);
    }
}
