//! Which record an identity belongs to. Two machines are never merged silently.

use std::collections::{BTreeSet, HashMap};

use ironwake_api::MacAddr;
use uuid::Uuid;

use super::Identity;

/// A record as matching sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The record's id.
    pub id: String,
    /// What it is known by.
    pub identity: Identity,
    /// It holds nothing but sightings: never enrolled, registered, inventoried, named or tagged.
    pub only_seen: bool,
}

/// Two records claim the same key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The other record.
    pub other: String,
    /// `uuid`, `serial`, `asset_tag` or `mac`.
    pub key: &'static str,
    /// The value that both claim.
    pub value: String,
}

/// What an identity resolves to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolution {
    /// The record it belongs to; `None` for a machine not seen before.
    pub machine: Option<String>,
    /// Records that were only ever seen and are this machine's other interfaces.
    pub absorb: Vec<String>,
    /// Records that share a key but are another machine.
    pub conflicts: Vec<Conflict>,
}

/// A UUID or serial number that more records share identifies none of them: a vendor's default that is in
/// no table. It also bounds the work that one packet can cause.
const SHARED_MAX: usize = 16;

/// Every record by each of its keys.
#[derive(Debug, Clone, Default)]
pub struct Index {
    candidates: HashMap<String, Candidate>,
    by_mac: HashMap<MacAddr, String>,
    by_uuid: HashMap<Uuid, Vec<String>>,
    by_serial: HashMap<String, Vec<String>>,
}

impl Index {
    /// Adds a record, or replaces it.
    pub fn insert(&mut self, candidate: Candidate) {
        self.remove(&candidate.id);
        let id = &candidate.id;
        for mac in &candidate.identity.macs {
            self.by_mac.insert(*mac, id.clone());
        }
        if let Some(uuid) = candidate.identity.uuid {
            self.by_uuid.entry(uuid).or_default().push(id.clone());
        }
        if let Some(serial) = &candidate.identity.serial {
            self.by_serial.entry(serial.to_ascii_lowercase()).or_default().push(id.clone());
        }
        self.candidates.insert(id.clone(), candidate);
    }

    /// Forgets a record.
    pub fn remove(&mut self, id: &str) {
        let Some(old) = self.candidates.remove(id) else { return };
        for mac in &old.identity.macs {
            if self.by_mac.get(mac).is_some_and(|owner| owner == id) {
                self.by_mac.remove(mac);
            }
        }
        if let Some(uuid) = old.identity.uuid {
            forget(&mut self.by_uuid, &uuid, id);
        }
        if let Some(serial) = &old.identity.serial {
            forget(&mut self.by_serial, &serial.to_ascii_lowercase(), id);
        }
    }

    /// The record that has this address.
    pub fn by_mac(&self, mac: MacAddr) -> Option<&str> {
        self.by_mac.get(&mac).map(String::as_str)
    }

    /// The records that have this UUID.
    pub fn by_uuid(&self, uuid: Uuid) -> &[String] {
        self.by_uuid.get(&uuid).map_or(&[], Vec::as_slice)
    }

    /// The records that have this serial number, in any case.
    pub fn by_serial(&self, serial: &str) -> &[String] {
        self.by_serial.get(&serial.to_ascii_lowercase()).map_or(&[], Vec::as_slice)
    }

    /// Finds the record of an identity.
    pub fn resolve(&self, identity: &Identity) -> Resolution {
        let by_mac = identity.macs.iter().filter_map(|mac| self.by_mac.get(mac));
        let by_uuid =
            identity.uuid.iter().map(|uuid| self.by_uuid(*uuid)).filter(|ids| ids.len() <= SHARED_MAX);
        let by_serial =
            identity.serial.iter().map(|serial| self.by_serial(serial)).filter(|ids| ids.len() <= SHARED_MAX);
        let ids: BTreeSet<&String> = by_mac.chain(by_uuid.flatten()).chain(by_serial.flatten()).collect();
        let mut same = Vec::new();
        let mut resolution = Resolution::default();
        for candidate in ids.into_iter().filter_map(|id| self.candidates.get(id)) {
            match compare(identity, &candidate.identity) {
                Verdict::Same => same.push(candidate),
                Verdict::Other(key, value) => {
                    resolution.conflicts.push(Conflict { other: candidate.id.clone(), key, value });
                }
            }
        }
        // Records that hold an operator's work come first; of equals, the older one (ids grow with time).
        same.sort_by_key(|candidate| (candidate.only_seen, &candidate.id));
        let mut same = same.into_iter();
        let Some(first) = same.next() else { return resolution };
        resolution.machine = Some(first.id.clone());
        for other in same {
            if other.only_seen {
                resolution.absorb.push(other.id.clone());
            } else {
                let (key, value) = shared_key(identity, &other.identity);
                resolution.conflicts.push(Conflict { other: other.id.clone(), key, value });
            }
        }
        resolution
    }
}

fn forget<K: std::hash::Hash + Eq>(map: &mut HashMap<K, Vec<String>>, key: &K, id: &str) {
    if let Some(ids) = map.get_mut(key) {
        ids.retain(|other| other != id);
        if ids.is_empty() {
            map.remove(key);
        }
    }
}

enum Verdict {
    Same,
    Other(&'static str, String),
}

/// Whether two identities that share a key are one machine.
///
/// A shared address decides, unless the board says otherwise: a network card or USB adapter moves
/// between machines. Without one, two firmware keys must agree, for boards share single ones; but
/// a record that has no address yet was registered by its firmware key and is found by it.
fn compare(seen: &Identity, known: &Identity) -> Verdict {
    let uuid = agreement(seen.uuid.as_ref(), known.uuid.as_ref());
    let serial = agreement(lower(&seen.serial).as_ref(), lower(&known.serial).as_ref());
    let asset = agreement(lower(&seen.asset_tag).as_ref(), lower(&known.asset_tag).as_ref());
    let contradicted =
        (uuid == Some(false) && serial != Some(true)) || (serial == Some(false) && uuid != Some(true));
    let shares_mac = seen.macs.iter().any(|mac| known.macs.contains(mac));
    let no_macs = seen.macs.is_empty() || known.macs.is_empty();
    let agreeing = [uuid, serial, asset].iter().filter(|agreement| **agreement == Some(true)).count();
    let differing = [uuid, serial].contains(&Some(false));
    let same =
        if shares_mac { !contradicted } else { !differing && (agreeing >= 2 || no_macs && agreeing >= 1) };
    if same {
        Verdict::Same
    } else {
        let (key, value) = shared_key(seen, known);
        Verdict::Other(key, value)
    }
}

fn lower(text: &Option<String>) -> Option<String> {
    text.as_ref().map(|text| text.to_ascii_lowercase())
}

/// Whether both sides know the key and agree; `None` when one does not know it.
fn agreement<T: PartialEq>(a: Option<&T>, b: Option<&T>) -> Option<bool> {
    a.zip(b).map(|(a, b)| a == b)
}

fn shared_key(a: &Identity, b: &Identity) -> (&'static str, String) {
    if let Some(mac) = a.macs.iter().find(|mac| b.macs.contains(mac)) {
        return ("mac", mac.to_string());
    }
    match (a.uuid, &a.serial) {
        (Some(uuid), _) if b.uuid == a.uuid => ("uuid", uuid.to_string()),
        (_, Some(serial)) => ("serial", serial.clone()),
        _ => ("asset_tag", a.asset_tag.clone().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(uuid: u128, serial: &str, macs: &[u8]) -> Identity {
        Identity {
            uuid: (uuid != 0).then(|| Uuid::from_u128(uuid)),
            serial: (!serial.is_empty()).then(|| serial.to_owned()),
            asset_tag: None,
            macs: macs.iter().map(|last| MacAddr([0x52, 0x54, 0, 0, 0, *last])).collect(),
        }
    }

    fn index(records: &[(&str, Identity, bool)]) -> Index {
        let mut index = Index::default();
        for (id, identity, only_seen) in records {
            index.insert(Candidate { id: (*id).into(), identity: identity.clone(), only_seen: *only_seen });
        }
        index
    }

    #[track_caller]
    fn check(known: Identity, seen: Identity, same: bool) {
        let resolution = index(&[("a", known, false)]).resolve(&seen);
        assert_eq!(resolution.machine.is_some(), same, "{resolution:?}");
        assert_eq!(resolution.conflicts.is_empty(), same, "{resolution:?}");
    }

    #[test]
    fn a_shared_address_decides_unless_the_board_differs() {
        check(identity(1, "A1", &[1]), identity(1, "A1", &[1, 2]), true);
        check(identity(0, "", &[1]), identity(1, "A1", &[1]), true);
        check(identity(1, "A1", &[1]), identity(2, "A1", &[1]), true); // a board's UUID was written anew
        check(identity(1, "A1", &[1]), identity(2, "B2", &[1]), false); // a network card was moved
        check(identity(1, "", &[1]), identity(2, "", &[1]), false);
    }

    #[test]
    fn one_firmware_key_alone_never_merges_two_machines_with_addresses() {
        check(identity(1, "", &[1]), identity(1, "", &[2]), false);
        check(identity(0, "A1", &[1]), identity(0, "A1", &[2]), false);
        check(identity(1, "A1", &[1]), identity(1, "A1", &[2]), true); // both agree: its cards were replaced
        check(identity(1, "A1", &[1]), identity(1, "B2", &[2]), false);
    }

    #[test]
    fn a_machine_registered_by_serial_or_uuid_is_found_by_it() {
        check(identity(0, "A1", &[]), identity(7, "a1", &[1]), true);
        check(identity(7, "", &[]), identity(7, "A1", &[1]), true);
    }

    #[test]
    fn junk_only_machines_stay_two() {
        let resolution = index(&[("a", identity(0, "", &[1]), false)]).resolve(&identity(0, "", &[2]));
        assert_eq!(resolution, Resolution::default());
    }

    #[test]
    fn records_only_seen_are_absorbed_and_others_are_not() {
        let known = index(&[
            ("seen-by-1", identity(0, "", &[1]), true),
            ("registered", identity(0, "A1", &[]), false),
            ("enrolled", identity(0, "", &[2]), false),
        ]);
        let resolution = known.resolve(&identity(9, "A1", &[1, 2]));
        assert_eq!(resolution.machine.as_deref(), Some("enrolled"));
        assert_eq!(resolution.absorb, ["seen-by-1"]);
        assert_eq!(resolution.conflicts.len(), 1);
        assert_eq!(resolution.conflicts[0].other, "registered");
    }

    #[test]
    fn a_key_that_many_share_identifies_none() {
        let mut known = Index::default();
        for n in 0..=SHARED_MAX as u8 {
            let identity = identity(7, "", &[n]);
            known.insert(Candidate { id: format!("{n:02}"), identity, only_seen: true });
        }
        assert_eq!(known.resolve(&identity(7, "", &[200])), Resolution::default());
        assert_eq!(known.resolve(&identity(7, "", &[3])).machine.as_deref(), Some("03"));
    }

    #[test]
    fn a_removed_record_leaves_no_key() {
        let mut known = index(&[("a", identity(1, "A1", &[1]), false)]);
        known.remove("a");
        assert_eq!(known.resolve(&identity(1, "A1", &[1])), Resolution::default());
        assert!(known.by_uuid.is_empty() && known.by_serial.is_empty() && known.by_mac.is_empty());
    }
}
