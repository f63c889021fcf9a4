//! Places that each client address has a part of, so that one address cannot take them all.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex};

/// How many places each address holds.
#[derive(Clone)]
pub(crate) struct Places<A> {
    held: Arc<Mutex<HashMap<A, usize>>>,
    each_max: usize,
}

/// A place; dropping it gives it back.
pub(crate) struct Place<A: Eq + Hash> {
    held: Arc<Mutex<HashMap<A, usize>>>,
    address: A,
}

impl<A: Eq + Hash + Copy> Places<A> {
    /// Every address may hold so many.
    pub fn new(each_max: usize) -> Self {
        Self { held: Arc::default(), each_max }
    }

    /// A place for this address; `None` if it holds as many as it may.
    pub fn take(&self, address: A) -> Option<Place<A>> {
        let mut held = self.held.lock().expect("no panic while held");
        let count = held.entry(address).or_default();
        if *count >= self.each_max {
            return None;
        }
        *count += 1;
        Some(Place { held: self.held.clone(), address })
    }
}

impl<A: Eq + Hash> Drop for Place<A> {
    fn drop(&mut self) {
        let mut held = self.held.lock().expect("no panic while held");
        if let Some(count) = held.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn one_address_leaves_places_for_others() {
        let (one, other) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
        let places = Places::new(2);
        let held = [places.take(one), places.take(one)];
        assert!(held.iter().all(Option::is_some));
        assert!(places.take(one).is_none());
        assert!(places.take(other).is_some());
        drop(held);
        assert!(places.take(one).is_some());
        assert!(places.held.lock().unwrap().is_empty(), "nothing is kept of who has gone");
    }
}
