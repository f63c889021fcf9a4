//! What failed boots taught about a machine's firmware.

use std::collections::HashMap;
use std::sync::Mutex;

use ironwake_api::{MacAddr, Machine, SecureBoot};

use super::Site;
use crate::boot::LoaderPolicy;

/// Addresses whose firmware refused a loader; beyond it everything is forgotten and learnt again.
const LEARNED_MAX: usize = 65_536;
/// The usual loader, shim, the fallback loader; then from the beginning.
const LOADERS: u8 = 3;

/// How many loaders in a row an address's firmware fetched and did not start.
#[derive(Default)]
pub(super) struct Learned(Mutex<HashMap<MacAddr, u8>>);

impl Learned {
    /// The loader that `mac` fetched did not start: the next one is tried at its next boot.
    pub fn loader_failed(&self, mac: MacAddr) {
        let mut failures = self.0.lock().expect("no panic while held");
        if failures.len() >= LEARNED_MAX {
            failures.clear();
        }
        let count = failures.entry(mac).or_default();
        *count = (*count + 1) % LOADERS;
    }

    /// What is learnt of these addresses no longer counts: the inventory says how the firmware is.
    pub fn forget(&self, macs: &[MacAddr]) {
        let mut failures = self.0.lock().expect("no panic while held");
        for mac in macs {
            failures.remove(mac);
        }
    }

    fn failures(&self, mac: MacAddr) -> u8 {
        self.0.lock().expect("no panic while held").get(&mac).copied().unwrap_or_default()
    }
}

impl Site {
    /// Which loader a machine's firmware gets: the machine's setting, else the network's, else what
    /// its inventory or its failed boots showed.
    pub(super) fn loader_policy(
        &self,
        mac: MacAddr,
        machine: Option<&Machine>,
        network: &str,
    ) -> LoaderPolicy {
        let networks = &self.settings.networks;
        let of_network = || networks.iter().find(|(name, _)| name == network).map(|(_, policy)| *policy);
        let setting = machine
            .map(|machine| machine.secure_boot)
            .filter(|policy| *policy != SecureBoot::Auto)
            .or_else(of_network)
            .unwrap_or_default();
        // What this very request shows counts: firmware goes by its first offer.
        let refused = u8::from(self.recorder().loader_is_idle(mac));
        let failures = (self.learned.failures(mac) + refused) % LOADERS;
        let secure_boot = match setting {
            SecureBoot::On => true,
            SecureBoot::Off => false,
            SecureBoot::Auto => {
                let seen = machine.is_some_and(|machine| machine.secure_boot_seen == Some(true));
                // With shim known to be right, one failure leads away from it and the next one back.
                if seen { failures != 1 } else { failures == 1 }
            }
        };
        LoaderPolicy { secure_boot, fallback: !secure_boot && failures == LOADERS - 1 }
    }
}
