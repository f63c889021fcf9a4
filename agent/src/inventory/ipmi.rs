//! The BMC through the kernel's IPMI device: two questions, Get Device ID and Get LAN Configuration.

use std::{
    fs::File,
    io,
    net::Ipv4Addr,
    os::fd::{AsFd, AsRawFd},
    time::{Duration, Instant},
};

use ironwake_api::{Bmc, MacAddr};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// The driver probes the BMC in the background after it is loaded.
const DEVICE_WAIT: Duration = Duration::from_secs(5);
const DEVICE_POLL: Duration = Duration::from_millis(50);
/// One answer; a busy BMC takes its time.
const ANSWER_WAIT: Duration = Duration::from_secs(3);
/// Channels that carry a LAN: the specification's usual ones first.
const LAN_CHANNELS: [u8; 4] = [1, 8, 2, 3];
const ANSWER_BYTES_MAX: usize = 272;

const NETFN_APPLICATION: u8 = 0x06;
const NETFN_TRANSPORT: u8 = 0x0c;
const GET_DEVICE_ID: u8 = 0x01;
const GET_LAN_CONFIGURATION: u8 = 0x02;
const PARAMETER_ADDRESS: u8 = 3;
const PARAMETER_MAC: u8 = 5;

/// `struct ipmi_system_interface_addr` of linux/ipmi.h.
#[repr(C)]
struct SystemInterface {
    kind: i32,
    channel: i16,
    lun: u8,
}

/// `struct ipmi_msg`.
#[repr(C)]
struct Message {
    netfn: u8,
    command: u8,
    length: u16,
    data: *mut u8,
}

/// `struct ipmi_req`.
#[repr(C)]
struct Request {
    address: *mut u8,
    address_length: u32,
    id: libc::c_long,
    message: Message,
}

/// `struct ipmi_recv`.
#[repr(C)]
struct Received {
    kind: i32,
    address: *mut u8,
    address_length: u32,
    id: libc::c_long,
    message: Message,
}

nix::ioctl_read!(send_command, b'i', 13, Request);
nix::ioctl_readwrite!(receive_truncated, b'i', 11, Received);

/// Adds what the BMC says to what SMBIOS says of it. Without either there is none.
pub fn ask(described: Option<Bmc>) -> Option<Bmc> {
    let Some(device) = open(described.is_some()) else { return described };
    let mut bmc = described.unwrap_or_default();
    if let Ok(answer) = command(&device, 1, NETFN_APPLICATION, GET_DEVICE_ID, &[]) {
        read_device_id(&answer, &mut bmc);
    }
    if bmc.interface.is_none() {
        bmc.interface = Some("ipmi".into());
    }
    for channel in LAN_CHANNELS {
        let parameter = |parameter: u8| {
            let question = [channel, parameter, 0, 0];
            command(&device, i64::from(parameter) + 1, NETFN_TRANSPORT, GET_LAN_CONFIGURATION, &question).ok()
        };
        let Some(mac) = parameter(PARAMETER_MAC).and_then(|answer| read_mac(&answer)) else { continue };
        bmc.mac = Some(mac);
        bmc.address = parameter(PARAMETER_ADDRESS).and_then(|answer| read_address(&answer));
        break;
    }
    Some(bmc)
}

/// Only where the firmware names a BMC it is worth to wait for the driver.
fn open(expected: bool) -> Option<File> {
    let deadline = Instant::now() + if expected { DEVICE_WAIT } else { Duration::ZERO };
    loop {
        match File::options().read(true).write(true).open("/dev/ipmi0") {
            Ok(file) => return Some(file),
            Err(_) if Instant::now() < deadline => std::thread::sleep(DEVICE_POLL),
            Err(_) => return None,
        }
    }
}

/// The answer's bytes behind its completion code, where that is 0.
fn command(device: &File, id: i64, netfn: u8, command: u8, question: &[u8]) -> io::Result<Vec<u8>> {
    // IPMI_SYSTEM_INTERFACE_ADDR_TYPE and IPMI_BMC_CHANNEL.
    let mut address = SystemInterface { kind: 0x0c, channel: 0x0f, lun: 0 };
    let mut question = question.to_vec();
    let mut request = Request {
        address: (&raw mut address).cast(),
        address_length: size_of::<SystemInterface>() as u32,
        id,
        message: Message { netfn, command, length: question.len() as u16, data: question.as_mut_ptr() },
    };
    // SAFETY: the request and all that it points to are local and outlive the call; their lengths are right.
    unsafe { send_command(device.as_raw_fd(), &raw mut request) }?;
    let deadline = Instant::now() + ANSWER_WAIT;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::new(device.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, PollTimeout::from(left.as_millis() as u16))? == 0 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let mut from = [0u8; 64];
        let mut data = [0u8; ANSWER_BYTES_MAX];
        let mut received = Received {
            kind: 0,
            address: from.as_mut_ptr(),
            address_length: from.len() as u32,
            id: 0,
            message: Message { netfn: 0, command: 0, length: data.len() as u16, data: data.as_mut_ptr() },
        };
        // SAFETY: as above; the kernel writes no more than the lengths say.
        unsafe { receive_truncated(device.as_raw_fd(), &raw mut received) }?;
        if received.id == id {
            let length = usize::from(received.message.length).min(data.len());
            return match data[..length].split_first() {
                Some((0, answer)) => Ok(answer.to_vec()),
                _ => Err(io::ErrorKind::InvalidData.into()),
            };
        }
    }
}

/// Get Device ID (IPMI 2.0, 20.1): firmware revision in two bytes, the second BCD; version with its digits swapped.
fn read_device_id(answer: &[u8], bmc: &mut Bmc) {
    if let Some(&[major, minor, version]) = answer.get(2..5).and_then(|bytes| bytes.as_array()) {
        bmc.firmware = Some(format!("{}.{:02x}", major & 0x7f, minor));
        bmc.ipmi_version = Some(format!("{}.{}", version & 15, version >> 4));
    }
}

/// The parameter's revision comes first.
fn read_mac(answer: &[u8]) -> Option<MacAddr> {
    let mac = MacAddr(answer.get(1..7)?.try_into().ok()?);
    mac.is_unicast().then_some(mac)
}

fn read_address(answer: &[u8]) -> Option<String> {
    let bytes: [u8; 4] = answer.get(1..5)?.try_into().ok()?;
    let address = Ipv4Addr::from(bytes);
    (!address.is_unspecified()).then(|| address.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let mut bmc = Bmc::default();
        read_device_id(&[0x20, 1, 0x87, 0x15, 0x02, 0xdf], &mut bmc);
        assert_eq!((bmc.firmware.as_deref(), bmc.ipmi_version.as_deref()), (Some("7.15"), Some("2.0")));
        read_device_id(&[0x20, 1, 9], &mut bmc);
        assert_eq!(bmc.firmware.as_deref(), Some("7.15"));
        assert_eq!(read_address(&[0x11, 10, 0, 0, 7]).as_deref(), Some("10.0.0.7"));
        assert_eq!(read_address(&[0x11, 0, 0, 0, 0]), None);
        assert_eq!(read_mac(&[0x11, 0x0c, 0xc4, 0x7a, 1, 2, 3]), Some(MacAddr([0x0c, 0xc4, 0x7a, 1, 2, 3])));
        assert_eq!(read_mac(&[0x11, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(read_mac(&[]), None);
    }

    #[test]
    fn structures_have_the_kernels_sizes() {
        assert_eq!(size_of::<Request>(), 40);
        assert_eq!(size_of::<Received>(), 48);
    }
}
