//! Which machines there are, what they are called, and what becomes of each.

/// What a machine is in the demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// It was installed, and runs.
    Ready,
    /// It was installed by a profile whose hosts call, and does not call: after some minutes it is silent.
    Silent,
    /// Known, with nothing of ours on it.
    Known,
    /// In discovery: seen, not enrolled.
    Unknown,
    /// Registered, not seen yet.
    Awaited,
    /// Its rebuild failed.
    Failed,
    /// Armed: its next boot never comes.
    Armed,
    /// A rebuild of it is recorded.
    Recorded,
    /// It is rebuilt again and again.
    Working,
    /// It boots into discovery again and again.
    Booting,
    /// Its boot stops behind the script: after some minutes that is diagnosed.
    Stuck,
}

/// Of a hundred machines, so many are each part.
const SHARES: [(Part, u32); 11] = [
    (Part::Ready, 38),
    (Part::Known, 20),
    (Part::Unknown, 11),
    (Part::Working, 6),
    (Part::Armed, 5),
    (Part::Silent, 4),
    (Part::Failed, 4),
    (Part::Awaited, 3),
    (Part::Recorded, 3),
    (Part::Stuck, 3),
    (Part::Booting, 3),
];

/// What hosts do, and of a hundred machines so many.
const ROLES: [(&str, u32); 7] =
    [("web", 22), ("k8s", 24), ("db", 14), ("ceph", 14), ("gpu", 6), ("edge", 12), ("lab", 8)];

/// The part of a machine by its number. Neighbours have different ones.
pub fn part(number: u32) -> Part {
    of(&SHARES, mixed(number, 1))
}

/// The role of a machine by its number.
pub fn role(number: u32) -> &'static str {
    of(&ROLES, mixed(number, 2))
}

/// What a machine is called.
pub fn name(number: u32) -> String {
    format!("{}-{:03}", role(number), number)
}

/// Its tags.
pub fn tags(number: u32) -> Vec<String> {
    vec![format!("rack={}", number / 40 + 1), format!("role={}", role(number))]
}

fn of<T: Copy>(shares: &[(T, u32)], mut place: u32) -> T {
    for (thing, share) in shares {
        if place < *share {
            return *thing;
        }
        place -= share;
    }
    shares[0].0
}

/// A number below 100 that looks random and is the same each time.
pub fn mixed(number: u32, salt: u32) -> u32 {
    // The finalizer of MurmurHash3 (Appleby, public domain).
    let mut hash = number.wrapping_mul(31).wrapping_add(salt.wrapping_mul(0x9e37_79b9));
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    (hash ^ (hash >> 16)) % 100
}
