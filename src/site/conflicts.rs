//! Which conflicts of identity have been told: each is news once, not with every inventory.

use std::collections::HashSet;
use std::sync::Mutex;

/// Pairs remembered; beyond it all are news again.
const PAIRS_MAX: usize = 65_536;

/// Pairs of records whose conflict has been told since the daemon began.
#[derive(Default)]
pub(super) struct Conflicts(Mutex<HashSet<(String, String)>>);

impl Conflicts {
    /// Whether this pair's conflict is told for the first time.
    pub fn is_news(&self, machine: &str, other: &str) -> bool {
        let mut pairs = self.0.lock().expect("no panic while held");
        if pairs.len() >= PAIRS_MAX {
            pairs.clear();
        }
        pairs.insert((machine.to_owned(), other.to_owned()))
    }
}
