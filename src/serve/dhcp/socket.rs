//! The packet sockets: frames in and out, many in one system call. All `unsafe` of the DHCP edge is here.

use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use ironwake_api::MacAddr;
use libc::{c_int, c_void, sock_filter};
use tokio::io::unix::AsyncFd;

/// Frames read or written by one system call.
pub const BATCH_FRAMES: usize = 64;
/// Larger than any frame that can carry a DHCP message of ours; a longer one is cut off and dropped.
const FRAME_BYTES_MAX: usize = 2048;
/// Room for bursts: forty racks that are switched on together.
const RECEIVE_BUFFER_BYTES: c_int = 8 << 20;
/// Room for one `tpacket_auxdata` with its header.
const CONTROL_WORDS: usize = 8;
/// The sender's checksum is not filled in yet, as on veth and virtio links (`linux/if_packet.h`).
const STATUS_CHECKSUM_NOT_READY: u32 = 1 << 3;

/// A packet socket bound to one interface.
pub struct PacketSocket {
    fd: AsyncFd<OwnedFd>,
}

/// Frames read by one call.
pub struct Inbox {
    frames: Box<[[u8; FRAME_BYTES_MAX]; BATCH_FRAMES]>,
    /// Length of each, and whether its checksum is filled in.
    read: Vec<(usize, bool)>,
}

impl Default for Inbox {
    fn default() -> Self {
        let frames = vec![[0; FRAME_BYTES_MAX]; BATCH_FRAMES];
        let frames = frames.into_boxed_slice().try_into().expect("as many as were made");
        Self { frames, read: Vec::with_capacity(BATCH_FRAMES) }
    }
}

impl Inbox {
    /// Each frame, and whether its checksum is filled in.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], bool)> {
        self.frames.iter().zip(&self.read).map(|(frame, (bytes, ready))| (&frame[..*bytes], *ready))
    }
}

impl PacketSocket {
    /// Opens a socket that reads what `filter` accepts of frames of `protocol` on the interface.
    pub fn open(interface_index: u32, protocol: c_int, filter: &[sock_filter]) -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: plain system call; the descriptor is owned at once. Protocol 0 reads nothing yet.
        let fd = unsafe {
            let fd = libc::socket(libc::AF_PACKET, kind, 0);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd)
        };
        attach_filter(fd.as_raw_fd(), filter)?;
        set_option(fd.as_raw_fd(), libc::SOL_PACKET, libc::PACKET_AUXDATA, &1)?;
        // Beyond the system's limit only with CAP_NET_ADMIN; without it the largest allowed.
        if set_option(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &RECEIVE_BUFFER_BYTES).is_err()
        {
            set_option(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, &RECEIVE_BUFFER_BYTES)?;
        }
        bind(fd.as_raw_fd(), interface_index, protocol)?;
        // SAFETY: an OwnedFd keeps its descriptor open and the same while the AsyncFd owns it.
        let fd = unsafe { AsyncFd::register(fd) }.map_err(io::Error::from)?;
        Ok(Self { fd })
    }

    /// Has the interface hand over frames to a multicast address, which its hardware may filter out.
    pub fn join(&self, interface_index: u32, group: MacAddr) -> io::Result<()> {
        let mut address = [0; 8];
        address[..6].copy_from_slice(&group.0);
        let membership = libc::packet_mreq {
            mr_ifindex: interface_index as i32,
            mr_type: libc::PACKET_MR_MULTICAST as u16,
            mr_alen: 6,
            mr_address: address,
        };
        set_option(self.fd.get_ref().as_raw_fd(), libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &membership)
    }

    /// Waits for frames and reads as many as are there, at most [`BATCH_FRAMES`].
    pub async fn receive(&self, inbox: &mut Inbox) -> io::Result<()> {
        loop {
            let mut guard = self.fd.readable().await?;
            if let Ok(result) = guard.try_io(|fd| receive_batch(fd.as_raw_fd(), inbox)) {
                return result;
            }
        }
    }

    /// Sends frames in order.
    pub async fn send(&self, mut frames: &[Vec<u8>]) -> io::Result<()> {
        while !frames.is_empty() {
            // Most of the time there is room, and asking the reactor first would cost more than the call.
            let sent = match send_batch(self.fd.get_ref().as_raw_fd(), frames) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let mut guard = self.fd.writable().await?;
                    match guard.try_io(|fd| send_batch(fd.as_raw_fd(), frames)) {
                        Ok(result) => result?,
                        Err(_would_block) => 0,
                    }
                }
                // The device's queue is full: the rest is lost as it would be on the wire, and
                // clients ask again.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => return Ok(()),
                result => result?,
            };
            frames = &frames[sent..];
        }
        Ok(())
    }
}

/// Lets a socket read only what `filter` accepts.
pub fn attach_filter(fd: RawFd, filter: &[sock_filter]) -> io::Result<()> {
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    set_option(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}

fn set_option<T>(fd: RawFd, level: c_int, name: c_int, value: &T) -> io::Result<()> {
    let bytes = size_of::<T>() as libc::socklen_t;
    // SAFETY: the pointer and length describe `value`, which outlives the call.
    checked(unsafe { libc::setsockopt(fd, level, name, std::ptr::from_ref(value).cast::<c_void>(), bytes) })?;
    Ok(())
}

fn bind(fd: RawFd, interface_index: u32, protocol: c_int) -> io::Result<()> {
    // SAFETY: all zeros is a valid sockaddr_ll.
    let mut address: libc::sockaddr_ll = unsafe { zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (protocol as u16).to_be();
    address.sll_ifindex = interface_index as i32;
    let bytes = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the pointer and length describe `address`, which outlives the call.
    checked(unsafe { libc::bind(fd, std::ptr::from_ref(&address).cast(), bytes) })?;
    Ok(())
}

fn checked(result: c_int) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

fn receive_batch(fd: RawFd, inbox: &mut Inbox) -> io::Result<()> {
    inbox.read.clear();
    let mut control = [[0_u64; CONTROL_WORDS]; BATCH_FRAMES];
    // SAFETY: all zeros is a valid iovec and a valid mmsghdr.
    let mut pieces: [libc::iovec; BATCH_FRAMES] = unsafe { zeroed() };
    // SAFETY: as above.
    let mut headers: [libc::mmsghdr; BATCH_FRAMES] = unsafe { zeroed() };
    for (at, header) in headers.iter_mut().enumerate() {
        pieces[at] = libc::iovec { iov_base: inbox.frames[at].as_mut_ptr().cast(), iov_len: FRAME_BYTES_MAX };
        header.msg_hdr.msg_iov = &raw mut pieces[at];
        header.msg_hdr.msg_iovlen = 1;
        header.msg_hdr.msg_control = control[at].as_mut_ptr().cast();
        header.msg_hdr.msg_controllen = size_of_val(&control[at]) as _;
    }
    // SAFETY: every header points to one frame and one control buffer that outlive the call.
    let read = checked(unsafe {
        libc::recvmmsg(
            fd,
            headers.as_mut_ptr(),
            BATCH_FRAMES as u32,
            libc::MSG_DONTWAIT as _,
            std::ptr::null_mut(),
        )
    })?;
    for header in &headers[..read] {
        let whole = header.msg_hdr.msg_flags & libc::MSG_TRUNC == 0;
        let bytes = if whole { (header.msg_len as usize).min(FRAME_BYTES_MAX) } else { 0 };
        inbox.read.push((bytes, checksum_ready(&header.msg_hdr)));
    }
    Ok(())
}

fn checksum_ready(header: &libc::msghdr) -> bool {
    // SAFETY: the kernel wrote the control buffer that the header points to, and CMSG_FIRSTHDR checks
    // that a whole cmsghdr is there; the data is read unaligned after its length was checked.
    unsafe {
        let control = libc::CMSG_FIRSTHDR(header);
        if control.is_null()
            || (*control).cmsg_level != libc::SOL_PACKET
            || (*control).cmsg_type != libc::PACKET_AUXDATA
            || ((*control).cmsg_len as usize) < libc::CMSG_LEN(size_of::<u32>() as u32) as usize
        {
            return true;
        }
        // `tp_status` is the first field of `tpacket_auxdata`.
        let status = libc::CMSG_DATA(control).cast::<u32>().read_unaligned();
        status & STATUS_CHECKSUM_NOT_READY == 0
    }
}

fn send_batch(fd: RawFd, frames: &[Vec<u8>]) -> io::Result<usize> {
    let count = frames.len().min(BATCH_FRAMES);
    // SAFETY: all zeros is a valid iovec and a valid mmsghdr.
    let mut pieces: [libc::iovec; BATCH_FRAMES] = unsafe { zeroed() };
    // SAFETY: as above.
    let mut headers: [libc::mmsghdr; BATCH_FRAMES] = unsafe { zeroed() };
    for (at, frame) in frames.iter().take(count).enumerate() {
        pieces[at] = libc::iovec { iov_base: frame.as_ptr().cast_mut().cast(), iov_len: frame.len() };
        headers[at].msg_hdr.msg_iov = &raw mut pieces[at];
        headers[at].msg_hdr.msg_iovlen = 1;
    }
    // SAFETY: the first `count` headers point to one frame each, which the kernel only reads.
    checked(unsafe { libc::sendmmsg(fd, headers.as_mut_ptr(), count as u32, libc::MSG_DONTWAIT as _) })
}

/// The MTU of an interface, asked in this thread's network namespace.
pub fn mtu(name: &str) -> io::Result<u16> {
    let mut request = named(name)?;
    // SAFETY: SIOCGIFMTU reads the name and writes the MTU inside `request`, which outlives the call.
    unsafe { interface_call(libc::SIOCGIFMTU, &mut request) }?;
    // SAFETY: the call succeeded, so the kernel wrote this field.
    let mtu = unsafe { request.ifr_ifru.ifru_mtu };
    Ok(mtu.clamp(0, i32::from(u16::MAX)) as u16)
}

/// The request that reads the settings of a link, `ETHTOOL_GLINKSETTINGS`.
const ETHTOOL_LINK_SETTINGS: u32 = 0x4c;
/// Words of `struct ethtool_link_settings` before its masks.
const LINK_WORDS: usize = 12;
/// Words of its three masks at most, for their length is an `i8`.
const LINK_MASK_WORDS: usize = 3 * 127;
/// What drivers say that know no speed: 0, or `SPEED_UNKNOWN`.
const SPEED_UNKNOWN: u32 = u32::MAX;

/// The speed of an interface's link in Mbit/s, as its driver says; none where it does not.
pub fn speed_mbps(name: &str) -> Option<u32> {
    let mut request = named(name).ok()?;
    let mut words = [0_u32; LINK_WORDS + LINK_MASK_WORDS];
    for _ in 0..2 {
        words[0] = ETHTOOL_LINK_SETTINGS;
        request.ifr_ifru.ifru_data = words.as_mut_ptr().cast();
        // SAFETY: SIOCETHTOOL reads and writes `request` and what it points to: a structure of twelve words and as many
        // masks as it was told, which have room in `words`. Both outlive the call.
        unsafe { interface_call(libc::SIOCETHTOOL, &mut request) }.ok()?;
        // The first answer is nothing but how long the masks are, as a negative number: byte 15 of the structure.
        let masks = words[3].to_ne_bytes()[3] as i8;
        if masks >= 0 {
            return Some(words[1]).filter(|speed| *speed != 0 && *speed != SPEED_UNKNOWN);
        }
        words = [0; LINK_WORDS + LINK_MASK_WORDS];
        let mut word = [0; 4];
        word[3] = masks.unsigned_abs();
        words[3] = u32::from_ne_bytes(word);
    }
    None
}

/// A request about the interface of this name.
fn named(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: all zeros is a valid ifreq.
    let mut request: libc::ifreq = unsafe { zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    Ok(request)
}

/// # Safety
///
/// `call` reads and writes no more than `request` and what it points to.
unsafe fn interface_call(call: libc::c_ulong, request: &mut libc::ifreq) -> io::Result<()> {
    let socket = std::net::UdpSocket::bind((std::net::Ipv4Addr::LOCALHOST, 0))?;
    // SAFETY: as the caller promises; the descriptor is open.
    // musl takes it as an int, which all of these fit.
    checked(unsafe { libc::ioctl(socket.as_raw_fd(), call as libc::Ioctl, std::ptr::from_mut(request)) })?;
    Ok(())
}
