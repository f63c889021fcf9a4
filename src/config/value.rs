//! Values that only the configuration has: what each kind of text means, and what would be right where it
//! means nothing.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use ironwake_api::{MacAddr, SecureBoot};

use super::{DhcpMode, EnrolmentPolicy};
pub(super) use crate::document::value::{Wrong, address, hostname, line, network};
use crate::document::value::{is_unicast, quoted, word};
use crate::machine::{TAG_BYTES_MAX, check_tag};
use crate::operation::size_bytes;

/// Longest interface name: IFNAMSIZ without its NUL.
const INTERFACE_BYTES_MAX: usize = 15;
/// Longest socket path: `sun_path` is 108 bytes with its NUL (unix(7)).
const SOCKET_PATH_BYTES_MAX: usize = 107;
/// Half of what x86 kernels accept (COMMAND_LINE_SIZE 2048): the daemon adds its own.
const KERNEL_PARAMETERS_BYTES_MAX: usize = 1024;

/// `update.url`
pub(super) fn channel(text: &str) -> Result<String, Wrong> {
    let help = || "the URL of a folder with updates, such as \"https://example.org/ironwake/\"".to_owned();
    let wrong = |why: &str| Err((format!("{} is not the URL of a folder: {why}", quoted(text)), help()));
    let Ok(mut url) = url::Url::parse(text) else { return wrong("it cannot be read as one") };
    if !matches!(url.scheme(), "http" | "https") {
        return wrong("only http and https are asked");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return wrong("nothing may stand behind ? or #");
    }
    // What is below a folder is told from what is beside a file by the last `/`.
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url.into())
}

/// `network.dhcp`
pub(super) fn dhcp_mode(text: &str) -> Result<DhcpMode, Wrong> {
    word(text, &[("proxy", DhcpMode::Proxy), ("server", DhcpMode::Server), ("off", DhcpMode::Off)])
}

/// `network.secure_boot`
pub(super) fn secure_boot(text: &str) -> Result<SecureBoot, Wrong> {
    word(text, &[("auto", SecureBoot::Auto), ("on", SecureBoot::On), ("off", SecureBoot::Off)])
}

/// `enrolment.policy`
pub(super) fn enrolment_policy(text: &str) -> Result<EnrolmentPolicy, Wrong> {
    use EnrolmentPolicy::{Auto, Manual, Rules};
    word(text, &[("manual", Manual), ("auto", Auto), ("rules", Rules)])
}

/// `first-last`, or a network of which every host is taken.
pub(super) fn range(text: &str) -> Result<RangeInclusive<Ipv4Addr>, Wrong> {
    let help = || {
        "first and last address, such as \"10.0.0.100-10.0.0.200\", or a network, \"10.0.1.0/24\"".to_owned()
    };
    let wrong = |why: &str| (format!("{} is not an address range: {why}", quoted(text)), help());
    if text.contains('/') {
        let net = network(text.trim())?;
        let hosts = match net.prefix_len() {
            31 | 32 => net.network()..=net.broadcast(),
            _ => {
                let [first, last] = [net.network(), net.broadcast()].map(u32::from);
                Ipv4Addr::from(first + 1)..=Ipv4Addr::from(last - 1)
            }
        };
        return if is_unicast(*hosts.start()) && is_unicast(*hosts.end()) {
            Ok(hosts)
        } else {
            Err(wrong("its addresses are not those of machines"))
        };
    }
    let (first, last) = text.split_once('-').ok_or_else(|| wrong("it has no `-`"))?;
    let first = address(first.trim()).map_err(|(why, _)| wrong(&why))?;
    let last = address(last.trim()).map_err(|(why, _)| wrong(&why))?;
    if first > last {
        let message = format!("the range {first}-{last} runs backwards");
        return Err((message, format!("did you mean \"{last}-{first}\"?")));
    }
    Ok(first..=last)
}

/// An address and port to listen on.
pub(super) fn listen(text: &str) -> Result<SocketAddr, Wrong> {
    let help = || "an address and a port, such as \"10.0.0.1:8080\"; 0.0.0.0 is every address".to_owned();
    let read: SocketAddr = text.parse().map_err(|_| {
        let why = match text.parse::<IpAddr>() {
            Ok(_) => "has no port",
            Err(_) => "is not an address and a port",
        };
        (format!("{} {why}", quoted(text)), help())
    })?;
    if read.port() == 0 {
        return Err((format!("{} leaves the port open, and machines are told it", quoted(text)), help()));
    }
    match read.ip() {
        IpAddr::V4(ip) if ip.is_multicast() || ip.is_broadcast() => {
            Err((format!("{ip} is not an address to listen on"), help()))
        }
        // What machines are sent is IPv4; `[::]` takes IPv4 connections too.
        IpAddr::V6(ip) if !ip.is_unspecified() => {
            Err((format!("{ip} is an IPv6 address, and machines are served over IPv4"), help()))
        }
        _ => Ok(read),
    }
}

/// A hardware address.
pub(super) fn mac(text: &str) -> Result<MacAddr, Wrong> {
    let help = || "six bytes in hexadecimal, such as \"52:54:00:12:34:56\"".to_owned();
    let read: MacAddr =
        text.parse().map_err(|_| (format!("{} is not a MAC address", quoted(text)), help()))?;
    if read.is_unicast() {
        return Ok(read);
    }
    Err((format!("{read} is not the address of one interface"), help()))
}

/// The name of a network interface.
pub(super) fn interface(text: &str) -> Result<String, Wrong> {
    let legal = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b':');
    let fits = (1..=INTERFACE_BYTES_MAX).contains(&text.len()) && text != "." && text != "..";
    if fits && text.bytes().all(legal) {
        return Ok(text.to_owned());
    }
    let help = format!("1 to {INTERFACE_BYTES_MAX} characters, as `ip link` shows it, such as \"br0\"");
    Err((format!("{} is not an interface name", quoted(text)), help))
}

/// An absolute path.
pub(super) fn path(text: &str) -> Result<PathBuf, Wrong> {
    if text.starts_with('/') && !text.contains('\0') {
        return Ok(PathBuf::from(text));
    }
    Err((format!("{} is not an absolute path", quoted(text)), "a path that begins with `/`".into()))
}

/// An absolute path that fits a socket address.
pub(super) fn socket_path(text: &str) -> Result<PathBuf, Wrong> {
    if text.len() > SOCKET_PATH_BYTES_MAX {
        let message = format!("the path of the socket has {} bytes", text.len());
        return Err((message, format!("at most {SOCKET_PATH_BYTES_MAX}, as the kernel takes no more")));
    }
    path(text)
}

/// Further kernel parameters. They go into scripts that iPXE and GRUB expand, so nothing that either would expand.
pub(super) fn kernel_parameters(text: &str) -> Result<String, Wrong> {
    if text.len() > KERNEL_PARAMETERS_BYTES_MAX {
        let message = format!("the kernel parameters have {} bytes", text.len());
        return Err((message, format!("at most {KERNEL_PARAMETERS_BYTES_MAX}")));
    }
    let forbidden =
        |c: char| !(c.is_ascii_graphic() || c == ' ') || matches!(c, '$' | ';' | '|' | '&' | '\\' | '\'');
    match text.chars().find(|c| forbidden(*c)) {
        None => Ok(text.to_owned()),
        Some(c) => Err((
            format!("kernel parameters cannot have the character {c:?}"),
            "printable ASCII without $ ; | & \\ ', such as \"console=ttyS1,115200\"".into(),
        )),
    }
}

/// A number of bytes.
pub(super) fn size(text: &str) -> Result<u64, Wrong> {
    size_bytes(text)
        .ok_or_else(|| (format!("{} is not a size", quoted(text)), "such as \"200GiB\" or \"1TB\"".into()))
}

/// A tag that a machine may carry.
pub(super) fn tag(text: &str) -> Result<String, Wrong> {
    match check_tag(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(_) => {
            let help = format!("1 to {TAG_BYTES_MAX} letters, digits and - _ . : / =, such as \"rack1\"");
            Err((format!("{} is not a tag", quoted(text)), help))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown<T: std::fmt::Debug>(read: Result<T, Wrong>) -> String {
        match read {
            Ok(value) => format!("{value:?}"),
            Err((message, _)) => message,
        }
    }

    #[test]
    fn ranges_are_two_addresses_or_a_network() {
        let check = |text: &str, expected: &str| assert_eq!(shown(range(text)), expected, "{text}");
        check("10.0.0.100-10.0.250.250", "10.0.0.100..=10.0.250.250");
        check("10.0.0.1 - 10.0.0.1", "10.0.0.1..=10.0.0.1");
        check("10.0.1.0/24", "10.0.1.1..=10.0.1.254");
        check("10.0.1.8/32", "10.0.1.8..=10.0.1.8");
        check("10.0.1.8/31", "10.0.1.8..=10.0.1.9");
        check("10.0.0.9-10.0.0.1", "the range 10.0.0.9-10.0.0.1 runs backwards");
        check("10.0.1.1/24", "10.0.1.1/24 names an address in a network, not the network");
        check("10.0.0.1", "\"10.0.0.1\" is not an address range: it has no `-`");
        check("0.0.0.0/0", "\"0.0.0.0/0\" is not an address range: its addresses are not those of machines");
        check(
            "224.0.0.0/24",
            "\"224.0.0.0/24\" is not an address range: its addresses are not those of machines",
        );
    }

    #[test]
    fn listening_needs_a_port_that_machines_can_be_told() {
        let check = |text: &str, good: bool| assert_eq!(listen(text).is_ok(), good, "{text}");
        check("10.0.0.1:8080", true);
        check("0.0.0.0:80", true);
        check("[::]:80", true);
        check("[fe80::1]:80", false);
        check("10.0.0.1", false);
        check("10.0.0.1:0", false);
        check("224.0.0.1:80", false);
        check(":8080", false);
    }

    #[test]
    fn names_and_parameters_that_would_be_expanded_are_refused() {
        assert!(interface("br0").is_ok() && interface("enp3s0.12").is_ok());
        assert!(
            interface("").is_err() && interface("a b").is_err() && interface("averyverylongname").is_err()
        );
        assert!(hostname("n1.example.org").is_ok() && hostname("-n").is_err() && hostname("a..b").is_err());
        assert!(kernel_parameters("console=ttyS1,115200 quiet").is_ok());
        assert!(kernel_parameters("a=${b}").is_err() && kernel_parameters("a\nb").is_err());
        assert!(socket_path(&format!("/{}", "x".repeat(107))).is_err());
    }
}
