//! Discoveries that began and brought no inventory.

use std::collections::HashMap;
use std::sync::Mutex;

use ironwake_api::{ClientStage, MacAddr, Millis, StageKind};

use crate::recorder::Observation;

/// Addresses that are counted; beyond it all counts begin anew.
const COUNTED_MAX: usize = 65_536;
/// A kernel fetched again this soon belongs to the same boot: loaders open a file more than once.
const SAME_BOOT: Millis = 60_000;

/// How many discoveries began on each address, the last one when.
#[derive(Default)]
pub(super) struct Fruitless(Mutex<HashMap<MacAddr, (u32, Millis)>>);

impl Fruitless {
    /// Counts a discovery when its kernel is fetched.
    pub fn observe(&self, seen: &Observation) {
        let StageKind::Http { method, path, status: 200, .. } = &seen.kind else { return };
        let kernel = path.starts_with("/artifacts/") && path.ends_with("/vmlinuz");
        let loader = matches!(seen.client, ClientStage::Ipxe | ClientStage::Grub | ClientStage::Firmware);
        if method != "GET" || !kernel || !loader {
            return;
        }
        let mut counts = self.0.lock().expect("no panic while held");
        if counts.len() >= COUNTED_MAX && !counts.contains_key(&seen.mac) {
            counts.clear();
        }
        let (count, last) = counts.entry(seen.mac).or_insert((0, 0));
        if *count == 0 || seen.at.saturating_sub(*last) > SAME_BOOT {
            *count = count.saturating_add(1);
        }
        *last = seen.at;
    }

    /// How many began on this address, unless the last one is longer ago than `within`.
    pub fn count(&self, mac: MacAddr, now: Millis, within: Millis) -> u32 {
        let counts = self.0.lock().expect("no panic while held");
        counts.get(&mac).filter(|(_, last)| now.saturating_sub(*last) < within).map_or(0, |(count, _)| *count)
    }

    /// An inventory came in, or an operator asks for another try.
    pub fn forget(&self, macs: &[MacAddr]) {
        let mut counts = self.0.lock().expect("no panic while held");
        for mac in macs {
            counts.remove(mac);
        }
    }
}
