//! Random numbers for transaction numbers and jitter; nothing secret hangs on them.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Sixty-four bits that the kernel seeded.
pub fn bits() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Sixteen of them, for a wait's jitter.
pub fn jitter() -> u16 {
    bits() as u16
}
