//! The lease table: which client has which address, in memory.
//!
//! Finding a free address is constant time while some were never used, and O(log n) among those
//! that ran out, oldest first. Entries are never removed, only given to another client, so the table
//! is bounded by the number of addresses in the ranges and reservations.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use ironwake_api::{Lease, LeaseState, MacAddr, Millis};

use super::request::is_mac_id;
use super::settings::{ReservationSettings, SubnetSettings};
use super::subnet::{Subnet, SubnetIndex};
use crate::appliance::Jump;

/// An offer is kept for this long: firmware collects offers for 4 s and more, and retries.
pub const OFFER_HOLD_MILLIS: Millis = 60_000;
/// An address that somebody else uses is set aside for this long.
pub const CONFLICT_MILLIS: Millis = 3_600_000;
/// Longest stored host name: one DNS label.
const HOSTNAME_BYTES_MAX: usize = 63;

/// Whom a lease belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ClientKey {
    /// Known by hardware address.
    Mac(MacAddr),
    /// Known by option 61.
    Id(Box<[u8]>),
}

/// An address found for a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// The address.
    pub address: Ipv4Addr,
    /// The client does not have it at present, so somebody else might use it.
    pub unproven: bool,
}

/// No address is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("all {addresses} addresses of {subnet} are in use")]
pub struct Exhausted {
    /// The subnet.
    pub subnet: ipnet::Ipv4Net,
    /// Addresses in its ranges.
    pub addresses: u64,
}

/// Why a client does not get the address that it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unbound {
    /// Another client has it.
    #[error("{0} belongs to another client")]
    Taken(Ipv4Addr),
    /// Somebody outside the table uses it.
    #[error("{0} is used by somebody else on the network")]
    Conflict(Ipv4Addr),
    /// The address is not in the ranges of the client's subnet.
    #[error("{0} is not an address that is leased on this network")]
    Foreign(Ipv4Addr),
    /// The client has a reservation for another address.
    #[error("the client has a reservation for another address than {0}")]
    Reserved(Ipv4Addr),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Offered,
    Bound,
    Released,
    Conflict,
}

#[derive(Debug)]
struct Entry {
    address: Ipv4Addr,
    subnet: SubnetIndex,
    mac: MacAddr,
    state: State,
    key: ClientKey,
    hostname: Option<Box<str>>,
    since: Millis,
    until: Millis,
}

/// The lease table of one network and the subnets behind its relays.
#[derive(Debug)]
pub struct LeaseTable {
    network: String,
    subnets: Vec<Subnet>,
    entries: Vec<Entry>,
    by_address: HashMap<Ipv4Addr, u32>,
    by_client: HashMap<(SubnetIndex, ClientKey), u32>,
    reserved: HashMap<MacAddr, ReservationSettings>,
    /// Addresses that are in nobody's range: the server itself, and reservations (with their owner).
    set_aside: HashMap<Ipv4Addr, Option<MacAddr>>,
}

impl LeaseTable {
    /// An empty table. `server` is never leased.
    pub fn new(
        network: &str,
        server: Ipv4Addr,
        subnets: &[SubnetSettings],
        reservations: &[ReservationSettings],
    ) -> Self {
        let mut set_aside = HashMap::from([(server, None)]);
        set_aside
            .extend(subnets.iter().flat_map(|subnet| subnet.routers.iter().map(|router| (*router, None))));
        set_aside.extend(reservations.iter().map(|one| (one.address, Some(one.mac))));
        Self {
            network: network.to_owned(),
            subnets: subnets.iter().cloned().map(Subnet::new).collect(),
            entries: Vec::new(),
            by_address: HashMap::new(),
            by_client: HashMap::new(),
            reserved: reservations.iter().map(|one| (one.mac, one.clone())).collect(),
            set_aside,
        }
    }

    /// The subnet that `address` lies in.
    pub fn subnet_of(&self, address: Ipv4Addr) -> Option<SubnetIndex> {
        let at = self.subnets.iter().position(|subnet| subnet.settings.network.contains(&address))?;
        Some(SubnetIndex(at as u16))
    }

    /// What a subnet's answers carry.
    pub fn settings(&self, subnet: SubnetIndex) -> &SubnetSettings {
        &self.subnet(subnet).settings
    }

    /// The reservation of `mac`, if its address lies in `subnet`.
    pub fn reservation(&self, subnet: SubnetIndex, mac: MacAddr) -> Option<&ReservationSettings> {
        self.reserved.get(&mac).filter(|one| self.settings(subnet).network.contains(&one.address))
    }

    /// Takes a stored lease in. False: it lies in no range of this network.
    pub fn load(&mut self, lease: &Lease) -> bool {
        let Ok(address) = lease.address.parse::<Ipv4Addr>() else { return false };
        let Some(subnet) = self.subnet_of(address).filter(|at| self.is_leasable(*at, address, lease.mac))
        else {
            return false;
        };
        let id = lease.client_id.as_deref().and_then(from_hex).filter(|id| !is_mac_id(id, lease.mac));
        let state = match lease.state {
            LeaseState::Bound => State::Bound,
            LeaseState::Released => State::Released,
            LeaseState::Declined => State::Conflict,
        };
        let key = id.map_or(ClientKey::Mac(lease.mac), |id| ClientKey::Id(id.into()));
        let newer = |at: &u32| self.entries[*at as usize].since > lease.renewed_at;
        let keep = self.by_client.get(&(subnet, key.clone())).copied().filter(newer);
        let hostname = lease.hostname.as_deref().map(Into::into);
        let (since, until) = (lease.renewed_at, lease.expires_at);
        let entry =
            Entry { address, subnet, mac: lease.mac, state, key: key.clone(), hostname, since, until };
        self.put(entry);
        if let Some(at) = keep {
            self.by_client.insert((subnet, key), at);
        }
        true
    }

    /// The address that a client has here, and whether it still holds.
    pub fn find(&self, subnet: SubnetIndex, key: &ClientKey, now: Millis) -> Option<(Ipv4Addr, bool)> {
        let at = *self.by_client.get(&(subnet, key.clone()))?;
        let entry = &self.entries[at as usize];
        Some((entry.address, entry.until > now))
    }

    /// Whether a client has an address already.
    pub fn has(&self, key: &ClientKey, address: Ipv4Addr, now: Millis) -> bool {
        let own = |entry: &Entry| entry.state == State::Bound && entry.until > now && entry.key == *key;
        self.entry(address).is_some_and(own)
    }

    /// Finds an address for a client and holds it for a moment.
    pub fn offer(
        &mut self,
        subnet: SubnetIndex,
        key: &ClientKey,
        mac: MacAddr,
        wanted: Option<Ipv4Addr>,
        now: Millis,
    ) -> Result<Offer, Exhausted> {
        let free = |table: &Self, address: Ipv4Addr| {
            table.is_leasable(subnet, address, mac) && table.is_free(address, key, now)
        };
        let reserved = self.reservation(subnet, mac).map(|one| one.address);
        let current = self.find(subnet, key, now).map(|(address, _)| address);
        let address = [reserved, current, wanted]
            .into_iter()
            .flatten()
            .find(|address| free(self, *address))
            .or_else(|| self.next_unused(subnet, mac))
            .or_else(|| self.next_expired(subnet, now))
            .ok_or_else(|| Exhausted {
                subnet: self.settings(subnet).network,
                addresses: self.subnet(subnet).addresses(),
            })?;
        if let Some(entry) = self.entry(address).filter(|entry| entry.key == *key && entry.until > now) {
            // What the client has stays as it is: an offer must not shorten a lease.
            return Ok(Offer { address, unproven: entry.state == State::Offered });
        }
        self.put(Entry {
            address,
            subnet,
            mac,
            state: State::Offered,
            key: key.clone(),
            hostname: None,
            since: now,
            until: now + OFFER_HOLD_MILLIS,
        });
        Ok(Offer { address, unproven: true })
    }

    /// Gives `address` to a client, or renews it.
    #[allow(clippy::too_many_arguments, reason = "each is one fact of the lease")]
    pub fn bind(
        &mut self,
        subnet: SubnetIndex,
        key: &ClientKey,
        mac: MacAddr,
        address: Ipv4Addr,
        hostname: Option<&[u8]>,
        lease_millis: Millis,
        now: Millis,
    ) -> Result<Lease, Unbound> {
        if !self.is_leasable(subnet, address, mac) {
            return Err(Unbound::Foreign(address));
        }
        if !self.is_free(address, key, now) {
            let conflict = self.entry(address).is_some_and(|entry| entry.state == State::Conflict);
            return Err(if conflict { Unbound::Conflict(address) } else { Unbound::Taken(address) });
        }
        let fixed = self.reservation(subnet, mac).map(|one| one.address).filter(|fixed| *fixed != address);
        if fixed.is_some_and(|fixed| self.is_free(fixed, key, now)) {
            return Err(Unbound::Reserved(address));
        }
        let at = self.put(Entry {
            address,
            subnet,
            mac,
            state: State::Bound,
            key: key.clone(),
            hostname: hostname.and_then(printable),
            since: now,
            until: now + lease_millis,
        });
        Ok(self.lease(at))
    }

    /// Frees an offer that the client did not take.
    pub fn withdraw(&mut self, subnet: SubnetIndex, key: &ClientKey, now: Millis) {
        let own = self.by_client.get(&(subnet, key.clone())).copied();
        if let Some(at) = own.filter(|at| self.entries[*at as usize].state == State::Offered) {
            self.set_state(at, State::Released, now, now);
        }
    }

    /// Gives an address back. `None`: the client does not have it.
    pub fn release(
        &mut self,
        subnet: SubnetIndex,
        key: &ClientKey,
        address: Ipv4Addr,
        now: Millis,
    ) -> Option<Lease> {
        let at = self.own(subnet, key, address)?;
        let bound = self.entries[at as usize].state == State::Bound;
        self.set_state(at, State::Released, now, now);
        bound.then(|| self.lease(at))
    }

    /// Sets an address aside because its client found it in use.
    pub fn decline(
        &mut self,
        subnet: SubnetIndex,
        key: &ClientKey,
        address: Ipv4Addr,
        now: Millis,
    ) -> Option<Lease> {
        let at = self.own(subnet, key, address)?;
        Some(self.quarantine(at, now))
    }

    /// Sets an offered address aside because `mac` answered the probe for it. The client itself may
    /// answer, and an address that is bound already is its client's to defend.
    pub fn in_use(&mut self, address: Ipv4Addr, mac: MacAddr, now: Millis) -> Option<Lease> {
        let at = *self.by_address.get(&address)?;
        let entry = &self.entries[at as usize];
        let foreign = entry.state == State::Offered && entry.until > now && entry.mac != mac;
        foreign.then(|| self.quarantine(at, now))
    }

    /// The clock was set: every lease lasts as long as it would have. Walks the table.
    pub fn clock_jumped(&mut self, jump: &Jump) {
        for at in 0..self.entries.len() as u32 {
            let Entry { state, since, until, .. } = self.entries[at as usize];
            let (since, until) = jump.lease(since, until);
            self.set_state(at, state, since, until);
        }
    }

    /// Addresses in all ranges and reservations.
    pub fn addresses(&self) -> u64 {
        let ranges: u64 = self.subnets.iter().map(Subnet::addresses).sum();
        ranges + self.reserved.len() as u64
    }

    /// Addresses that clients have at present. Walks the table.
    pub fn addresses_bound(&self, now: Millis) -> u64 {
        self.entries.iter().filter(|entry| entry.state == State::Bound && entry.until > now).count() as u64
    }

    /// The leases that ended since `from`, up to and with `to`, because nobody renewed them. Walks the table.
    pub fn expired(&self, from: Millis, to: Millis) -> impl Iterator<Item = Lease> {
        let ended =
            move |entry: &Entry| entry.state == State::Bound && entry.until > from && entry.until <= to;
        let entries = self.entries.iter().zip(0_u32..);
        entries.filter(move |(entry, _)| ended(entry)).map(|(_, at)| self.lease(at))
    }

    /// Addresses that nobody can be given at present: in use, offered, or set aside. Walks the table.
    pub fn addresses_taken(&self, now: Millis) -> u64 {
        let taken = |entry: &&Entry| entry.state != State::Released && entry.until > now;
        self.entries.iter().filter(taken).count() as u64
    }

    fn subnet(&self, subnet: SubnetIndex) -> &Subnet {
        &self.subnets[usize::from(subnet.0)]
    }

    fn entry(&self, address: Ipv4Addr) -> Option<&Entry> {
        self.by_address.get(&address).map(|at| &self.entries[*at as usize])
    }

    /// The client's entry, if it is that of `address`.
    fn own(&self, subnet: SubnetIndex, key: &ClientKey, address: Ipv4Addr) -> Option<u32> {
        let at = *self.by_client.get(&(subnet, key.clone()))?;
        (self.entries[at as usize].address == address).then_some(at)
    }

    /// Whether `mac` may ever have `address` there.
    fn is_leasable(&self, subnet: SubnetIndex, address: Ipv4Addr, mac: MacAddr) -> bool {
        match self.set_aside.get(&address) {
            Some(owner) => self.settings(subnet).network.contains(&address) && *owner == Some(mac),
            None => self.subnet(subnet).leases(address),
        }
    }

    /// Whether nobody but `key` has `address` at present.
    fn is_free(&self, address: Ipv4Addr, key: &ClientKey, now: Millis) -> bool {
        match self.entry(address) {
            Some(entry) if entry.until > now => entry.state != State::Conflict && entry.key == *key,
            _ => true,
        }
    }

    fn next_unused(&mut self, subnet: SubnetIndex, mac: MacAddr) -> Option<Ipv4Addr> {
        loop {
            let address = self.subnets[usize::from(subnet.0)].next_address()?;
            if !self.by_address.contains_key(&address)
                && !self.set_aside.contains_key(&address)
                && self.is_leasable(subnet, address, mac)
            {
                return Some(address);
            }
        }
    }

    fn next_expired(&self, subnet: SubnetIndex, now: Millis) -> Option<Ipv4Addr> {
        self.subnet(subnet).expired(now).map(|at| self.entries[at as usize].address)
    }

    /// Writes an entry over what its address had before.
    fn put(&mut self, entry: Entry) -> u32 {
        let (address, subnet, key) = (entry.address, entry.subnet, entry.key.clone());
        let timer = (!self.set_aside.contains_key(&address)).then_some(entry.until);
        let at = match self.by_address.get(&address).copied() {
            Some(at) => {
                let before = std::mem::replace(&mut self.entries[at as usize], entry);
                self.forget(at, &before);
                at
            }
            None => {
                let at = self.entries.len() as u32;
                self.entries.push(entry);
                self.by_address.insert(address, at);
                at
            }
        };
        if let Some(until) = timer {
            self.subnets[usize::from(subnet.0)].expires(until, at);
        }
        self.by_client.insert((subnet, key), at);
        at
    }

    fn forget(&mut self, at: u32, before: &Entry) {
        self.subnets[usize::from(before.subnet.0)].forget(before.until, at);
        self.disown(at, before.subnet, before.key.clone());
    }

    /// The client has the entry no longer; it may have another one.
    fn disown(&mut self, at: u32, subnet: SubnetIndex, key: ClientKey) {
        let owner = (subnet, key);
        if self.by_client.get(&owner) == Some(&at) {
            self.by_client.remove(&owner);
        }
    }

    fn set_state(&mut self, at: u32, state: State, since: Millis, until: Millis) {
        let entry = &mut self.entries[at as usize];
        let subnet = &mut self.subnets[usize::from(entry.subnet.0)];
        if subnet.forget(entry.until, at) {
            subnet.expires(until, at);
        }
        (entry.state, entry.since, entry.until) = (state, since, until);
    }

    fn quarantine(&mut self, at: u32, now: Millis) -> Lease {
        self.set_state(at, State::Conflict, now, now + CONFLICT_MILLIS);
        let entry = &self.entries[at as usize];
        self.disown(at, entry.subnet, entry.key.clone());
        self.lease(at)
    }

    fn lease(&self, at: u32) -> Lease {
        let entry = &self.entries[at as usize];
        Lease {
            address: entry.address.to_string(),
            network: self.network.clone(),
            mac: entry.mac,
            client_id: match &entry.key {
                ClientKey::Mac(_) => None,
                ClientKey::Id(id) => Some(to_hex(id)),
            },
            hostname: entry.hostname.as_deref().map(Into::into),
            state: match entry.state {
                State::Offered | State::Bound => LeaseState::Bound,
                State::Released => LeaseState::Released,
                State::Conflict => LeaseState::Declined,
            },
            renewed_at: entry.since,
            expires_at: entry.until,
        }
    }
}

/// A host name as the client sent it, if it is one that can be shown.
fn printable(name: &[u8]) -> Option<Box<str>> {
    let name = super::packet::until_nul(name);
    let fits = !name.is_empty() && name.len() <= HOSTNAME_BYTES_MAX && name.iter().all(u8::is_ascii_graphic);
    std::str::from_utf8(name).ok().filter(|_| fits).map(Into::into)
}

fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?)).collect()
}
