//! Whose address is whose: TFTP and HTTP requests carry no MAC address.

use std::collections::{HashMap, VecDeque};
use std::net::Ipv4Addr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use ironwake_api::{MacAddr, Machine, Operation};

use super::Site;

/// Addresses remembered; the oldest makes room. A /16 and then some.
const ADDRESSES_MAX: usize = 100_000;

/// How long the kernel's neighbour table is believed: an address may move without a word of DHCP, and reading the table
/// takes as long as answering ten small requests.
const NEIGHBOURS_AGE_MAX: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Addresses {
    table: Mutex<Table>,
    neighbours: Mutex<Option<(Instant, HashMap<Ipv4Addr, MacAddr>)>>,
}

#[derive(Default)]
struct Table {
    /// Whose each is, and whether DHCP says so.
    macs: HashMap<Ipv4Addr, (MacAddr, bool)>,
    order: VecDeque<Ipv4Addr>,
}

impl Addresses {
    fn learn(&self, mac: MacAddr, address: Ipv4Addr, by_dhcp: bool) {
        let mut table = self.table.lock().expect("no panic while held");
        if !by_dhcp && table.macs.get(&address).is_some_and(|(_, by_dhcp)| *by_dhcp) {
            return;
        }
        if table.macs.insert(address, (mac, by_dhcp)).is_none() {
            table.order.push_back(address);
            if table.order.len() > ADDRESSES_MAX
                && let Some(oldest) = table.order.pop_front()
            {
                table.macs.remove(&oldest);
            }
        }
    }

    fn get(&self, address: Ipv4Addr) -> Option<(MacAddr, bool)> {
        self.table.lock().expect("no panic while held").macs.get(&address).copied()
    }

    /// Whose address this is by the neighbour table. Who is not in what was read lately may have come since.
    fn neighbour(&self, address: Ipv4Addr) -> Option<MacAddr> {
        let mut neighbours = self.neighbours.lock().expect("no panic while held");
        let known = neighbours.as_ref().filter(|(read_at, _)| read_at.elapsed() < NEIGHBOURS_AGE_MAX);
        if let Some(mac) = known.and_then(|(_, table)| table.get(&address)) {
            return Some(*mac);
        }
        let table = parse_neighbours(&std::fs::read_to_string("/proc/net/arp").ok()?);
        let mac = table.get(&address).copied();
        *neighbours = Some((Instant::now(), table));
        mac
    }
}

impl Site {
    /// Learns that `address` belongs to `mac`, from DHCP traffic.
    pub fn learn_address(&self, mac: MacAddr, address: Ipv4Addr) {
        self.note_address(mac, address, true);
    }

    /// The same from what a machine says of itself: good for telling whose transfer this is, and for nothing that
    /// anybody could gain by lying.
    pub(super) fn believe_address(&self, mac: MacAddr, address: Ipv4Addr) {
        self.note_address(mac, address, false);
    }

    fn note_address(&self, mac: MacAddr, address: Ipv4Addr, by_dhcp: bool) {
        if address.is_unspecified() || address.is_broadcast() {
            return;
        }
        self.addresses.learn(mac, address, by_dhcp);
        let id = self.read().id_of(mac).map(str::to_owned);
        if let Some(id) = id {
            self.present(&id, Some(address));
        }
    }

    /// Whose address this is: learnt from DHCP, else from the kernel's neighbour table.
    pub fn mac_of(&self, address: Ipv4Addr) -> Option<MacAddr> {
        let learnt = self.addresses.get(address).map(|(mac, _)| mac);
        learnt.or_else(|| self.addresses.neighbour(address))
    }

    /// Whose address this is by what is seen on the wire, not by what its user says: the neighbour table, else DHCP.
    pub(super) fn attested_mac_of(&self, address: Ipv4Addr) -> Option<MacAddr> {
        let leased = || self.addresses.get(address).filter(|(_, by_dhcp)| *by_dhcp).map(|(mac, _)| mac);
        self.addresses.neighbour(address).or_else(leased)
    }

    /// The MAC address behind an address, where it is known and not one of the operation's machine.
    pub(super) fn another_machine(&self, operation: &Operation, from: Ipv4Addr) -> Option<MacAddr> {
        self.not_of(&self.machine(&operation.machine).ok()?, from)
    }

    /// The MAC address behind an address, where it is known and not one of this machine.
    pub(super) fn not_of(&self, machine: &Machine, from: Ipv4Addr) -> Option<MacAddr> {
        let own = |mac: &MacAddr| machine.macs.contains(mac);
        // A router that answers for its machines (proxy ARP) is no other machine, where DHCP knows better.
        let leased = self.addresses.get(from).is_some_and(|(mac, by_dhcp)| by_dhcp && own(&mac));
        self.attested_mac_of(from).filter(|mac| !leased && !own(mac))
    }

    /// Why a host's or installer's call came from another machine than the operation's. A card that no record has may be a
    /// bridge or bond of the host's own, and cloud-init says nothing by which to tell.
    pub(super) fn calls_from_another(&self, operation: &Operation, from: Ipv4Addr) -> Option<String> {
        let mac = self.another_machine(operation, from)?;
        self.read().id_of(mac)?;
        Some(format!("it came from {from}, which is {mac}: another machine"))
    }
}

/// The entries of `/proc/net/arp`; those without flag 2 (complete) are guesses.
fn parse_neighbours(table: &str) -> HashMap<Ipv4Addr, MacAddr> {
    let entry = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let address: Ipv4Addr = fields.next()?.parse().ok()?;
        let flags = u32::from_str_radix(fields.nth(1)?.strip_prefix("0x")?, 16).ok()?;
        let mac: MacAddr = fields.next()?.parse().ok()?;
        (flags & 2 != 0 && mac.is_unicast()).then_some((address, mac))
    };
    table.lines().skip(1).filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_neighbour_table_is_read_and_guesses_are_not_taken() {
        let table = "IP address       HW type     Flags       HW address            Mask     Device\n\
                     10.0.0.7         0x1         0x2         52:54:00:00:00:07     *        br0\n\
                     10.0.0.8         0x1         0x0         00:00:00:00:00:00     *        br0\n";
        let known = HashMap::from([(Ipv4Addr::new(10, 0, 0, 7), MacAddr([0x52, 0x54, 0, 0, 0, 7]))]);
        assert_eq!(parse_neighbours(table), known);
    }
}
