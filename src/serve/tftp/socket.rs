//! UDP sockets of TFTP: one that listens and tells where each request came to, and one for each transfer.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, AsRawFd};

use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn,
    SockaddrStorage, recvmsg, sendmsg, setsockopt, socket, sockopt,
};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::tftp::{Transfer, data_header};

/// Requests that may wait for the listener: 4,096 machines that are switched on together, each
/// request about 1 KiB of socket buffer. Without privilege the kernel grants no more than
/// `net.core.rmem_max`, which is less by default.
const LISTEN_BUFFER_BYTES: usize = 4 << 20;
/// Segments in one send; the kernel's UDP_MAX_SEGMENTS has been 64 or more since segmentation exists.
const SEGMENTS_MAX: u64 = 64;
/// Bytes in one send: the most that one IPv4 packet, which they are until they are cut, can hold.
const SEND_BYTES_MAX: u64 = 65_507;
/// Bytes of IPv4, UDP and TFTP headers around the data of a block.
const HEADER_BYTES: u32 = 20 + 8 + 4;
/// The block size limit where the path's MTU cannot be read: Ethernet's.
const BLOCK_BYTES_ETHERNET: u16 = 1468;

/// Opens the socket for requests: on an address, or on every address of one interface.
pub fn bind(listen: SocketAddrV4, interface: Option<&str>) -> io::Result<UdpSocket> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Inet, SockType::Datagram, flags, SockProtocol::Udp)?;
    // First the interface, then the port: sockets of several interfaces share a port only in this order.
    if let Some(interface) = interface {
        setsockopt(&socket, sockopt::BindToDevice, &interface.into())?;
    }
    nix::sys::socket::bind(socket.as_raw_fd(), &SockaddrIn::from(listen))?;
    let socket = std::net::UdpSocket::from(socket);
    setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
    // The kernel's own limit may be lower; requests that do not fit are asked again by the clients.
    let _ = setsockopt(&socket, sockopt::RcvBuf, &LISTEN_BUFFER_BYTES);
    UdpSocket::from_std(socket)
}

/// One datagram: its length in the buffer, who sent it, and to which of our addresses.
pub(super) struct Arrival {
    pub length: usize,
    pub from: SocketAddrV4,
    pub to: Ipv4Addr,
}

/// Waits for a datagram on the listening socket.
pub(super) async fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Arrival> {
    socket
        .async_io(Interest::READABLE, || {
            let mut parts = [IoSliceMut::new(buffer)];
            let mut control = nix::cmsg_space!(nix::libc::in_pktinfo);
            let fd = socket.as_raw_fd();
            let message = recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut control), MsgFlags::empty())?;
            let from = message.address.as_ref().and_then(SockaddrStorage::as_sockaddr_in).map(address_of);
            let to = message.cmsgs()?.find_map(|part| match part {
                ControlMessageOwned::Ipv4PacketInfo(info) => {
                    Some(Ipv4Addr::from_bits(u32::from_be(info.ipi_spec_dst.s_addr)))
                }
                _ => None,
            });
            let (Some(from), Some(to)) = (from, to) else {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a datagram without addresses"));
            };
            Ok(Arrival { length: message.bytes, from, to })
        })
        .await
}

fn address_of(address: &SockaddrIn) -> SocketAddrV4 {
    SocketAddrV4::new(address.ip(), address.port())
}

/// Whether the kernel cuts one send into blocks (UDP_SEGMENT).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Segmentation {
    /// It could.
    Off,
    /// Every send longer than a block is cut.
    On,
    /// It cannot on this path.
    Refused,
}

/// The socket of one transfer: a port of its own, connected to the client.
pub(super) struct TransferSocket {
    socket: UdpSocket,
    segmentation: Segmentation,
}

impl TransferSocket {
    /// Opens a socket from `local` to `client`.
    pub fn open(local: Ipv4Addr, client: SocketAddrV4) -> io::Result<Self> {
        let socket = std::net::UdpSocket::bind(SocketAddrV4::new(local, 0))?;
        socket.connect(client)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket: UdpSocket::from_std(socket)?, segmentation: Segmentation::Off })
    }

    /// The largest block that reaches the client in one frame.
    pub fn block_bytes_max(&self) -> u16 {
        let mtu = nix::sys::socket::getsockopt(&self.socket, sockopt::IpMtu);
        let mtu = mtu.ok().and_then(|mtu| u32::try_from(mtu).ok());
        mtu.map_or(BLOCK_BYTES_ETHERNET, |mtu| {
            mtu.saturating_sub(HEADER_BYTES).try_into().unwrap_or(u16::MAX)
        })
    }

    /// Sends blocks out of `file`, which is not copied before the kernel takes it.
    pub async fn send_blocks(
        &mut self,
        transfer: &Transfer,
        blocks: RangeInclusive<u64>,
        file: &[u8],
    ) -> io::Result<()> {
        let segment = u64::from(transfer.accepted().block_bytes()) + data_header(0).len() as u64;
        let (mut next, last) = blocks.into_inner();
        if next < last && self.segmentation == Segmentation::Off {
            self.segment(segment as i32);
        }
        while next <= last {
            let at_once = match self.segmentation {
                Segmentation::On => SEGMENTS_MAX.min(SEND_BYTES_MAX / segment),
                Segmentation::Off | Segmentation::Refused => 1,
            };
            let until = last.min(next + at_once - 1);
            match self.send_group(transfer, next..=until, file).await {
                Ok(()) => next = until + 1,
                // Devices without checksum offload and paths with a smaller MTU refuse segmentation.
                Err(error) if self.segmentation == Segmentation::On && refuses_segmentation(&error) => {
                    self.segment(0);
                    self.segmentation = Segmentation::Refused;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Has sends cut into segments of so many bytes; 0 for not at all.
    fn segment(&mut self, bytes: i32) {
        self.segmentation = match setsockopt(&self.socket.as_fd(), sockopt::UdpGsoSegment, &bytes) {
            Ok(()) if bytes > 0 => Segmentation::On,
            Ok(()) => Segmentation::Off,
            Err(_) => Segmentation::Refused,
        };
    }

    async fn send_group(
        &self,
        transfer: &Transfer,
        blocks: RangeInclusive<u64>,
        file: &[u8],
    ) -> io::Result<()> {
        match self.send_group_now(transfer, &blocks, file) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.socket
                    .async_io(Interest::WRITABLE, || self.send_group_now(transfer, &blocks, file))
                    .await
            }
            sent => sent,
        }
    }

    /// Header and data of each block as parts of one send.
    fn send_group_now(
        &self,
        transfer: &Transfer,
        blocks: &RangeInclusive<u64>,
        file: &[u8],
    ) -> io::Result<()> {
        let mut headers = [[0; 4]; SEGMENTS_MAX as usize];
        let mut parts = [IoSlice::new(&[]); 2 * SEGMENTS_MAX as usize];
        let count = blocks.clone().count();
        for (header, block) in headers.iter_mut().zip(blocks.clone()) {
            *header = data_header(transfer.block(block).0);
        }
        for (index, block) in blocks.clone().enumerate() {
            let range = transfer.block(block).1;
            parts[2 * index] = IoSlice::new(&headers[index]);
            parts[2 * index + 1] = IoSlice::new(&file[range.start as usize..range.end as usize]);
        }
        let fd = self.socket.as_raw_fd();
        sendmsg::<SockaddrIn>(fd, &parts[..2 * count], &[], MsgFlags::empty(), None)?;
        Ok(())
    }

    /// Sends one packet that is not a block.
    pub async fn send(&mut self, packet: &[u8]) -> io::Result<()> {
        if self.segmentation == Segmentation::On {
            // It may be longer than the blocks are.
            self.segment(0);
        }
        self.socket.send(packet).await.map(drop)
    }

    /// Waits for a packet of the client.
    pub async fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.recv(buffer).await
    }

    /// Takes a packet that is there already.
    pub fn receive_now(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let fd = self.socket.as_raw_fd();
        Ok(nix::sys::socket::recv(fd, buffer, MsgFlags::MSG_DONTWAIT)?)
    }
}

fn refuses_segmentation(error: &io::Error) -> bool {
    use nix::errno::Errno;
    let refusals = [Errno::EIO, Errno::EINVAL, Errno::EMSGSIZE, Errno::EOPNOTSUPP];
    error.raw_os_error().is_some_and(|code| refusals.contains(&Errno::from_raw(code)))
}
