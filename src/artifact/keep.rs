//! Which imports make room: what nothing needs, the longest unused first.

use std::collections::BTreeMap;

use ironwake_api::Millis;

use super::{Digest, Import};

/// How much is kept, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all imports together.
    pub bytes_max: u64,
    /// How long one is kept that nothing uses.
    pub unused_max: Millis,
}

/// One import, and whether something holds it: a pin, a profile, an operation.
#[derive(Debug, Clone, Copy)]
pub struct Held<'a> {
    /// It.
    pub import: &'a Import,
    /// Whether it stays whatever the limits say.
    pub held: bool,
}

/// What has to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eviction {
    /// Names, and why each goes.
    pub names: Vec<(String, String)>,
    /// Bytes beyond the limit that remain: all that is held.
    pub bytes_over: u64,
}

/// How many bytes there are, and what keeps them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Pinned.
    pub pinned: u64,
    /// Not pinned, and held by something else.
    pub needed: u64,
    /// Held by nothing.
    pub evictable: u64,
}

/// What keeps the bytes of imports; bytes of several names are kept as the name says that keeps them most.
pub fn usage(imports: &[Held<'_>]) -> Usage {
    let mut kept: BTreeMap<Digest, (bool, bool, u64)> = BTreeMap::new();
    for Held { import, held } in imports {
        let entry = kept.entry(import.sha256).or_insert((false, false, import.size_bytes));
        entry.0 |= import.pinned;
        entry.1 |= held;
    }
    let mut usage = Usage::default();
    for (pinned, held, bytes) in kept.into_values() {
        let sum = match (pinned, held) {
            (true, _) => &mut usage.pinned,
            (_, true) => &mut usage.needed,
            _ => &mut usage.evictable,
        };
        *sum = sum.saturating_add(bytes);
    }
    usage
}

/// What has to go so that the rest is within the limits. Names that share their bytes free them together.
pub fn evict(imports: &[Held<'_>], limits: Limits, now: Millis) -> Eviction {
    let mut names_of: BTreeMap<Digest, (usize, u64)> = BTreeMap::new();
    for Held { import, .. } in imports {
        names_of.entry(import.sha256).or_insert((0, import.size_bytes)).0 += 1;
    }
    let mut bytes: u64 = names_of.values().map(|(_, size)| size).sum();
    let mut free: Vec<&Import> = imports.iter().filter(|one| !one.held).map(|one| one.import).collect();
    free.sort_by(|a, b| (a.used_at, &a.name).cmp(&(b.used_at, &b.name)));
    let mut names = Vec::new();
    for import in free {
        let unused = now.saturating_sub(import.used_at);
        let why = if unused > limits.unused_max {
            format!("nothing has used it for {} days", unused / 86_400_000)
        } else if bytes > limits.bytes_max {
            format!(
                "imports had {bytes} bytes, {} are kept, and it was used the longest ago",
                limits.bytes_max
            )
        } else {
            continue;
        };
        names.push((import.name.clone(), why));
        let (left, size) = names_of.get_mut(&import.sha256).expect("every import is counted");
        *left -= 1;
        if *left == 0 {
            bytes -= *size;
        }
    }
    Eviction { names, bytes_over: bytes.saturating_sub(limits.bytes_max) }
}

#[cfg(test)]
mod tests {
    use ironwake_api::{Actor, ArtifactOrigin, Packing};

    use super::*;

    const LIMITS: Limits = Limits { bytes_max: 100, unused_max: 1000 };

    fn import(name: &str, content: &str, size_bytes: u64, used_at: Millis) -> Import {
        Import {
            name: name.into(),
            sha256: Digest::of(content.as_bytes()),
            size_bytes,
            packing: Packing::Raw,
            disk_bytes: None,
            pinned: false,
            imported_at: 0,
            imported_by: Actor::Daemon,
            used_at,
            origin: ArtifactOrigin::default(),
        }
    }

    /// Those whose name ends with `!` are held.
    fn check(imports: &[Import], now: Millis, expected: &[&str], bytes_over: u64) {
        let held: Vec<Held<'_>> =
            imports.iter().map(|import| Held { import, held: import.name.ends_with('!') }).collect();
        let found = evict(&held, LIMITS, now);
        let names: Vec<&str> = found.names.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!((&names[..], found.bytes_over), (expected, bytes_over));
    }

    #[test]
    fn the_longest_unused_go_first_and_no_more_than_needed() {
        let all = [import("a", "a", 40, 3), import("b", "b", 40, 1), import("c", "c", 40, 2)];
        check(&all, 10, &["b"], 0);
        check(&all[..2], 10, &[], 0);
        let exact = [import("a", "a", 60, 1), import("b", "b", 40, 2)];
        check(&exact, 10, &[], 0);
    }

    #[test]
    fn bytes_are_counted_once_as_what_keeps_them_most() {
        let pinned = Import { pinned: true, ..import("a!", "x", 90, 1) };
        let all = [pinned, import("b!", "x", 90, 2), import("c!", "c", 20, 3), import("d", "d", 5, 3)];
        let held: Vec<Held<'_>> =
            all.iter().map(|import| Held { import, held: import.name.ends_with('!') }).collect();
        assert_eq!(usage(&held), Usage { pinned: 90, needed: 20, evictable: 5 });
        assert_eq!(usage(&[]), Usage::default());
    }

    #[test]
    fn what_is_held_stays_whatever_the_limits_say() {
        let all = [import("a!", "a", 90, 1), import("b!", "b", 40, 1), import("c", "c", 10, 9)];
        check(&all, 10, &["c"], 30);
        check(&all, 1_000_000, &["c"], 30);
        check(&all[..1], 1_000_000, &[], 0);
    }

    #[test]
    fn what_nothing_used_for_long_goes_though_there_is_room() {
        let all = [import("a", "a", 1, 1), import("b", "b", 1, 500), import("c!", "c", 1, 1)];
        check(&all, 1001, &[], 0);
        check(&all, 1002, &["a"], 0);
        check(&all, 5000, &["a", "b"], 0);
    }

    #[test]
    fn shared_bytes_are_free_with_their_last_name() {
        let all = [import("a", "x", 90, 1), import("b", "x", 90, 2), import("c", "c", 20, 3)];
        check(&all, 10, &["a", "b"], 0);
        let held = [import("a", "x", 90, 1), import("b!", "x", 90, 2), import("c", "c", 20, 3)];
        check(&held, 10, &["a", "c"], 0);
    }
}
