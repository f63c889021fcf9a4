//! Which program holds which port: `/proc/net/{udp,tcp}` and the descriptors of all processes.

use std::collections::HashMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

/// A program looks at this many processes at most: more than any host that boots others runs.
const PROCESSES_MAX: usize = 65_536;
/// `st` of a listening TCP socket in /proc/net/tcp.
const TCP_LISTEN: &str = "0A";

/// A socket that receives on a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listener {
    pub protocol: Protocol,
    /// `None` for IPv6.
    pub address: Option<Ipv4Addr>,
    pub port: u16,
    /// Name of the program, where it may be seen.
    pub program: Option<String>,
}

/// Transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Udp,
    Tcp,
}

/// Sockets of this network namespace that receive on one of `wanted`.
pub(super) fn listeners(proc: &Path, wanted: &[(Protocol, u16)]) -> Vec<Listener> {
    let mut found: Vec<(Listener, u64)> = Vec::new();
    for (name, protocol) in
        [("udp", Protocol::Udp), ("udp6", Protocol::Udp), ("tcp", Protocol::Tcp), ("tcp6", Protocol::Tcp)]
    {
        let text = fs::read_to_string(proc.join("net").join(name)).unwrap_or_default();
        found.extend(parse(&text, protocol).filter(|(l, _)| wanted.contains(&(protocol, l.port))));
    }
    if found.is_empty() {
        return Vec::new();
    }
    let inodes: Vec<u64> = found.iter().map(|(_, inode)| *inode).collect();
    let programs = programs(proc, &inodes);
    let name = |(listener, inode): (Listener, u64)| {
        let program = programs.get(&inode).cloned();
        Listener { program, ..listener }
    };
    found.into_iter().map(name).collect()
}

/// Receiving sockets of one table, each with its inode.
fn parse(text: &str, protocol: Protocol) -> impl Iterator<Item = (Listener, u64)> {
    text.lines().skip(1).filter_map(move |line| {
        let mut fields = line.split_whitespace();
        let (local, _remote, state) = (fields.nth(1)?, fields.next()?, fields.next()?);
        if protocol == Protocol::Tcp && state != TCP_LISTEN {
            return None;
        }
        let inode = fields.nth(5)?.parse().ok()?;
        let (address, port) = local.split_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        let address = match address.len() {
            // The kernel prints the address's bytes as one number of the host's byte order.
            8 => Some(Ipv4Addr::from(u32::from_str_radix(address, 16).ok()?.to_ne_bytes())),
            _ => None,
        };
        Some((Listener { protocol, address, port, program: None }, inode))
    })
}

/// Programs by the inodes of their sockets; those of other users are seen by root only.
fn programs(proc: &Path, inodes: &[u64]) -> HashMap<u64, String> {
    let mut programs = HashMap::new();
    let processes = fs::read_dir(proc).into_iter().flatten().flatten();
    let processes =
        processes.filter(|entry| entry.file_name().to_string_lossy().bytes().all(|b| b.is_ascii_digit()));
    for process in processes.take(PROCESSES_MAX) {
        for descriptor in fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten() {
            let Ok(target) = fs::read_link(descriptor.path()) else { continue };
            let target = target.to_string_lossy();
            let inode = target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
            let Some(inode) = inode.and_then(|inode| inode.parse().ok()) else { continue };
            if inodes.contains(&inode) {
                let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
                let pid = process.file_name().to_string_lossy().into_owned();
                programs.insert(inode, format!("{} (process {pid})", name.trim()));
            }
        }
    }
    programs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receiving_sockets_are_found_with_their_programs() {
        let proc = tempfile::tempdir().expect("a folder");
        let path = proc.path();
        fs::create_dir_all(path.join("net")).expect("made");
        fs::create_dir_all(path.join("42/fd")).expect("made");
        fs::write(path.join("42/comm"), "dnsmasq\n").expect("written");
        std::os::unix::fs::symlink("socket:[777]", path.join("42/fd/4")).expect("made");
        let local = u32::from_ne_bytes([10, 0, 0, 1]);
        let udp = format!(
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref\n\
               12: {local:08X}:0043 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 777 2 0 0\n\
               13: 00000000:0044 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 778 2 0 0\n"
        );
        fs::write(path.join("net/udp"), udp).expect("written");
        let tcp = "  sl\n   0: 00000000:1F90 00000000:0000 0A 0:0 00:0 0 0 0 900 1\n   1: 00000000:1F90 00000000:0000 01 0:0 00:0 0 0 0 901 1\nbroken\n";
        fs::write(path.join("net/tcp"), tcp).expect("written");
        let found = listeners(path, &[(Protocol::Udp, 67), (Protocol::Tcp, 8080), (Protocol::Udp, 8080)]);
        let address = Some(Ipv4Addr::new(10, 0, 0, 1));
        let program = Some("dnsmasq (process 42)".to_owned());
        assert_eq!(
            found,
            [
                Listener { protocol: Protocol::Udp, address, port: 67, program },
                Listener {
                    protocol: Protocol::Tcp,
                    address: Some(Ipv4Addr::UNSPECIFIED),
                    port: 8080,
                    program: None
                },
            ]
        );
    }
}
