//! The raw socket of one NIC, for DHCP and for LLDP.

use std::{
    io::{self, IoSliceMut},
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
    time::Duration,
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// The largest frame that is read: a full Ethernet frame with a VLAN tag.
const FRAME_BYTES_MAX: usize = 2048;

/// linux/if_packet.h: let a multicast group in.
const SOL_PACKET: i32 = 263;
const PACKET_ADD_MEMBERSHIP: i32 = 1;
const PACKET_MR_MULTICAST: u16 = 0;

/// `struct packet_mreq` of linux/if_packet.h.
#[repr(C)]
struct Membership {
    nic_index: i32,
    kind: u16,
    length: u16,
    address: [u8; 8],
}

/// An AF_PACKET socket bound to one NIC and one Ethernet type.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    buffer: Vec<u8>,
}

impl Socket {
    /// Opens it. `ether_type` is for example 0x0800 (IPv4).
    pub fn open(nic_index: u32, ether_type: u16) -> io::Result<Self> {
        // SAFETY: socket(2) takes no pointers; its result is checked before it is owned.
        let fd = unsafe {
            let flags = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
            let fd = libc::socket(libc::AF_PACKET, flags, i32::from(ether_type.to_be()));
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd)
        };
        // SAFETY: sockaddr_ll is plain integers, for which zeros are valid.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = ether_type.to_be();
        address.sll_ifindex = nic_index as i32;
        let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        // SAFETY: the pointer and length describe `address`, which outlives the call.
        let bound = unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), length) };
        if bound < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { fd, buffer: vec![0; FRAME_BYTES_MAX] })
    }

    /// Lets frames to this multicast address in.
    pub fn join(&self, nic_index: u32, group: [u8; 6]) -> io::Result<()> {
        let mut address = [0; 8];
        address[..6].copy_from_slice(&group);
        let request =
            Membership { nic_index: nic_index as i32, kind: PACKET_MR_MULTICAST, length: 6, address };
        let length = size_of::<Membership>() as libc::socklen_t;
        // SAFETY: the pointer and length describe `request`, which outlives the call.
        let set = unsafe {
            libc::setsockopt(
                self.fd.as_raw_fd(),
                SOL_PACKET,
                PACKET_ADD_MEMBERSHIP,
                (&raw const request).cast(),
                length,
            )
        };
        if set < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Sends one whole frame.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        nix::unistd::write(&self.fd, frame).map(drop).map_err(io::Error::from)
    }

    /// Waits for one frame; `None` when none came in time.
    pub fn receive(&mut self, timeout: Duration) -> io::Result<Option<&[u8]>> {
        let millis = timeout.as_millis().min(60_000) as u16;
        let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::from(millis)) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => return Ok(None),
            Ok(_) => {}
            Err(errno) => return Err(errno.into()),
        }
        let read = nix::sys::uio::readv(&self.fd, &mut [IoSliceMut::new(&mut self.buffer)]);
        match read {
            Ok(length) => Ok(Some(&self.buffer[..length])),
            Err(nix::errno::Errno::EAGAIN) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}
