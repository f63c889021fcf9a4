//! Whose address is whose: TFTP and HTTP requests carry no MAC address.

use std::collections::{HashMap, VecDeque};
use std::net::Ipv4Addr;
use std::sync::Mutex;

use ironwake_api::MacAddr;

use super::Site;

/// Addresses remembered; the oldest makes room. A /16 and then some.
const ADDRESSES_MAX: usize = 100_000;

#[derive(Default)]
pub(super) struct Addresses(Mutex<Table>);

#[derive(Default)]
struct Table {
    macs: HashMap<Ipv4Addr, MacAddr>,
    order: VecDeque<Ipv4Addr>,
}

impl Addresses {
    fn learn(&self, mac: MacAddr, address: Ipv4Addr) {
        let mut table = self.0.lock().expect("no panic while held");
        if table.macs.insert(address, mac).is_none() {
            table.order.push_back(address);
            if table.order.len() > ADDRESSES_MAX
                && let Some(oldest) = table.order.pop_front()
            {
                table.macs.remove(&oldest);
            }
        }
    }

    fn get(&self, address: Ipv4Addr) -> Option<MacAddr> {
        self.0.lock().expect("no panic while held").macs.get(&address).copied()
    }
}

impl Site {
    /// Learns that `address` belongs to `mac`, from DHCP traffic.
    pub fn learn_address(&self, mac: MacAddr, address: Ipv4Addr) {
        if address.is_unspecified() || address.is_broadcast() {
            return;
        }
        self.addresses.learn(mac, address);
        let id = self.read().id_of(mac).map(str::to_owned);
        if let Some(id) = id {
            self.present(&id, Some(address));
        }
    }

    /// Whose address this is: learnt from DHCP, else from the kernel's neighbour table.
    pub fn mac_of(&self, address: Ipv4Addr) -> Option<MacAddr> {
        // The neighbour table is the kernel's to keep: an address may move without a word of DHCP.
        let table = || std::fs::read_to_string("/proc/net/arp").ok();
        self.addresses.get(address).or_else(|| neighbour(&table()?, address))
    }
}

/// Finds an address in the text of `/proc/net/arp`; entries without flag 2 (complete) are guesses.
fn neighbour(table: &str, address: Ipv4Addr) -> Option<MacAddr> {
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let found: Ipv4Addr = fields.next()?.parse().ok()?;
        let flags = u32::from_str_radix(fields.nth(1)?.strip_prefix("0x")?, 16).ok()?;
        let mac: MacAddr = fields.next()?.parse().ok()?;
        (found == address && flags & 2 != 0 && mac.is_unicast()).then_some(mac)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_neighbour_table_is_read_and_guesses_are_not_taken() {
        let table = "IP address       HW type     Flags       HW address            Mask     Device\n\
                     10.0.0.7         0x1         0x2         52:54:00:00:00:07     *        br0\n\
                     10.0.0.8         0x1         0x0         00:00:00:00:00:00     *        br0\n";
        assert_eq!(neighbour(table, Ipv4Addr::new(10, 0, 0, 7)), Some(MacAddr([0x52, 0x54, 0, 0, 0, 7])));
        assert_eq!(neighbour(table, Ipv4Addr::new(10, 0, 0, 8)), None);
        assert_eq!(neighbour(table, Ipv4Addr::new(10, 0, 0, 9)), None);
    }
}
