//! The difference between two inventories of a machine: what was added, removed, changed.

use std::collections::{BTreeMap, BTreeSet};

use ironwake_api::{Inventory, InventoryChange};
use serde_json::Value;

/// What names an item of a list, best first. An item without any of them is known by its place.
const KEYS: &[(&str, &[&str])] = &[
    ("cpus", &["socket"]),
    ("dimms", &["slot"]),
    ("disks", &["serial", "wwn", "name"]),
    ("partitions", &["number"]),
    ("nics", &["mac", "name"]),
    ("pci", &["address"]),
    ("gpus", &["pci"]),
    ("usb", &["path"]),
];

/// What differs between two boots of the same hardware.
const VOLATILE: &[&str] = &[
    "cpus.mhz",
    // Names that the kernel gives in the order of discovery.
    "disks.name",
    "nics.name",
    // A lease may give another address each time.
    "nics.addresses",
];

/// What `after` has that `before` had not, and the other way round, in the order of paths.
pub fn diff(before: &Inventory, after: &Inventory) -> Vec<InventoryChange> {
    let mut changes = Vec::new();
    let values = (serde_json::to_value(before), serde_json::to_value(after));
    // An inventory came from JSON, so it always goes back.
    if let (Ok(before), Ok(after)) = values {
        compare(&Place::default(), Some(&before), Some(&after), &mut changes);
    }
    changes
}

/// Where a value stands.
#[derive(Default)]
struct Place {
    /// With keys, for the reader: `disks[S4E].firmware`.
    path: String,
    /// Without keys, for the table: `disks.firmware`.
    kind: String,
    /// The field's name.
    field: String,
}

impl Place {
    fn field(&self, name: &str) -> Self {
        let join = |base: &str| if base.is_empty() { name.to_owned() } else { format!("{base}.{name}") };
        Self { path: join(&self.path), kind: join(&self.kind), field: name.to_owned() }
    }

    fn item(&self, key: &str) -> Self {
        Self { path: format!("{}[{key}]", self.path), kind: self.kind.clone(), field: String::new() }
    }
}

fn compare(place: &Place, before: Option<&Value>, after: Option<&Value>, changes: &mut Vec<InventoryChange>) {
    let before = before.filter(|value| !value.is_null());
    let after = after.filter(|value| !value.is_null());
    if before == after || VOLATILE.contains(&place.kind.as_str()) {
        return;
    }
    match (before, after) {
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            for name in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
                compare(&place.field(name), before.get(name), after.get(name), changes);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) => {
            match KEYS.iter().find(|(list, _)| *list == place.field) {
                Some((_, keys)) => {
                    let (before, after) = (by_key(before, keys), by_key(after, keys));
                    for key in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
                        let item = (before.get(key).copied(), after.get(key).copied());
                        compare(&place.item(key), item.0, item.1, changes);
                    }
                }
                None => compare_sets(place, before, after, changes),
            }
        }
        _ => changes.push(InventoryChange {
            path: place.path.clone(),
            before: before.cloned(),
            after: after.cloned(),
        }),
    }
}

/// Items by their key. Hardware lies: a second item with the same key gets `#2`.
fn by_key<'a>(items: &'a [Value], keys: &[&str]) -> BTreeMap<String, &'a Value> {
    let mut named = BTreeMap::new();
    let mut seen = BTreeMap::<String, u32>::new();
    for (place, item) in items.iter().enumerate() {
        let key = keys.iter().find_map(|key| match item.get(key) {
            Some(Value::String(text)) if !text.trim().is_empty() => Some(text.trim().to_owned()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        });
        let key = key.unwrap_or_else(|| format!("#{}", place + 1));
        let count = seen.entry(key.clone()).or_default();
        *count += 1;
        let key = if *count == 1 { key } else { format!("{key}#{count}") };
        named.insert(key, item);
    }
    named
}

/// Lists of plain values: their order says nothing.
fn compare_sets(place: &Place, before: &[Value], after: &[Value], changes: &mut Vec<InventoryChange>) {
    let change = |before, after| InventoryChange { path: place.path.clone(), before, after };
    let gone = before.iter().filter(|value| !after.contains(value));
    changes.extend(gone.map(|value| change(Some(value.clone()), None)));
    let come = after.iter().filter(|value| !before.contains(value));
    changes.extend(come.map(|value| change(None, Some(value.clone()))));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(change: &InventoryChange) -> String {
        let show = |value: &Value| match value {
            Value::String(text) => text.clone(),
            Value::Object(_) => "(an entry)".to_owned(),
            other => other.to_string(),
        };
        match (&change.before, &change.after) {
            (Some(before), Some(after)) => format!("{}: {} -> {}", change.path, show(before), show(after)),
            (Some(before), None) => format!("{}: {} removed", change.path, show(before)),
            (None, Some(after)) => format!("{}: {} added", change.path, show(after)),
            (None, None) => change.path.clone(),
        }
    }

    fn check(before: Value, after: Value, expected: &[&str]) {
        let read = |value: &Value| serde_json::from_value::<Inventory>(value.clone()).expect("an inventory");
        let changes = diff(&read(&before), &read(&after));
        assert_eq!(changes.iter().map(line).collect::<Vec<_>>(), expected, "{before} then {after}");
        let back = diff(&read(&after), &read(&before));
        assert_eq!(back.len(), changes.len(), "as many the other way round");
    }

    #[test]
    fn fields_are_compared_by_path() {
        check(json!({}), json!({}), &[]);
        check(
            json!({"system": {"serial": "A"}, "firmware": {"version": "1.0"}}),
            json!({"system": {"serial": "A", "sku": "X"}, "firmware": {"version": "1.1"}}),
            &["firmware.version: 1.0 -> 1.1", "system.sku: X added"],
        );
        check(
            json!({"firmware": {"tpm": {"version": "2.0"}}}),
            json!({}),
            &["firmware.tpm: (an entry) removed"],
        );
        check(
            json!({"notes": ["a", "b"]}),
            json!({"notes": ["b", "c"]}),
            &["notes: a removed", "notes: c added"],
        );
    }

    #[test]
    fn lists_are_matched_by_key_not_by_place() {
        check(
            json!({"disks": [{"name": "sda", "serial": "A",
                  "size_bytes": 1}, {"name": "sdb", "serial": "B"}]}),
            json!({"disks": [{"name": "sda", "serial": "B"},
                  {"name": "sdb", "serial": "A", "size_bytes": 2}]}),
            &["disks[A].size_bytes: 1 -> 2"],
        );
        check(
            json!({"disks": [{"name": "sda", "wwn": "naa.5", "firmware": "1"}, {"name": "vda"}]}),
            json!({"disks": [{"name": "sdb", "wwn": "naa.5", "firmware": "2"}]}),
            &["disks[naa.5].firmware: 1 -> 2", "disks[vda]: (an entry) removed"],
        );
        check(
            json!({"memory": {"dimms": [{"slot": "A1", "size_bytes": 8}]}}),
            json!({"memory": {"dimms": [{"slot": "B1", "size_bytes": 8}, {"slot": "A1", "size_bytes": 8}]}}),
            &["memory.dimms[B1]: (an entry) added"],
        );
        check(
            json!({"nics": [{"name": "eth0", "mac": "52:54:00:00:00:01", "link": true}]}),
            json!({"nics": [{"name": "ens3", "mac": "52:54:00:00:00:01", "link": false}]}),
            &["nics[52:54:00:00:00:01].link: true -> false"],
        );
        check(
            json!({"pci": [{"address": "0000:00:1f.2", "driver": "ahci"}], "usb": [{"path": "1-1"}]}),
            json!({"pci": [{"address": "0000:00:1f.2"}], "usb": [{"path": "1-1", "product": "Stick"}]}),
            &["pci[0000:00:1f.2].driver: ahci removed", "usb[1-1].product: Stick added"],
        );
        check(
            json!({"disks": [{"serial": "A", "partitions": [{"number": 1, "label": "root"}]}]}),
            json!({"disks": [{"serial": "A",
                  "partitions": [{"number": 1, "label": "data"}, {"number": 2}]}]}),
            &["disks[A].partitions[1].label: root -> data", "disks[A].partitions[2]: (an entry) added"],
        );
    }

    #[test]
    fn items_that_share_a_key_or_have_none_stay_apart() {
        check(
            json!({"memory": {"dimms": [{"slot": "DIMM"},
                  {"slot": "DIMM", "serial": "1"}, {"size_bytes": 1}]}}),
            json!({"memory": {"dimms": [{"slot": "DIMM"},
                  {"slot": "DIMM", "serial": "2"}, {"size_bytes": 2}]}}),
            &["memory.dimms[#3].size_bytes: 1 -> 2", "memory.dimms[DIMM#2].serial: 1 -> 2"],
        );
    }

    #[test]
    fn what_differs_between_boots_is_left_out() {
        check(
            json!({"cpus": [{"socket": "0", "mhz": 800}],
                  "nics": [{"name": "a", "addresses": ["10.0.0.1/8"]}]}),
            json!({"cpus": [{"socket": "0", "mhz": 3100}], "nics": [{"name": "a", "addresses": []}]}),
            &[],
        );
    }
}
