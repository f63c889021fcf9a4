//! How the parts are.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use ironwake_api::{
    Artifact, ArtifactKind, ArtifactState, Health, HealthCheck, HealthState, Millis, NetworkHealth,
    NetworkLink,
};

use tokio::sync::Notify;

use super::{DhcpTally, Site};

/// How long a dropped observation degrades health: long enough to be seen by whoever looks now and then.
const DROPPED_SHOWN: Millis = 10 * 60 * 1000;

/// What the parts last said of themselves.
#[derive(Default)]
pub(super) struct Board {
    networks: Mutex<BTreeMap<String, NetworkHealth>>,
    links: Mutex<BTreeMap<String, NetworkLink>>,
    tallies: Mutex<BTreeMap<String, Arc<DhcpTally>>>,
    artifacts: Mutex<BTreeMap<String, Artifact>>,
    parts: Mutex<BTreeMap<String, HealthCheck>>,
    dropped: AtomicU64,
    dropped_at: AtomicU64,
    told: Notify,
}

impl Board {
    pub fn observation_dropped(&self, now: Millis) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
        self.dropped_at.store(now, Ordering::Relaxed);
    }
}

impl Site {
    /// The latest state of one network.
    pub fn set_network_health(&self, network: NetworkHealth) {
        let mut networks = self.health.networks.lock().expect("no panic while held");
        networks.insert(network.interface.clone(), network);
        drop(networks);
        self.health.told.notify_waiters();
    }

    /// The interface of a network as it was just looked at.
    pub fn set_network_link(&self, interface: &str, link: NetworkLink) {
        self.health.links.lock().expect("no panic while held").insert(interface.to_owned(), link);
    }

    /// Where the DHCP messages of a network are counted, from the first call on.
    pub fn dhcp_tally(&self, interface: &str) -> Arc<DhcpTally> {
        let mut tallies = self.health.tallies.lock().expect("no panic while held");
        let since = self.now();
        tallies.entry(interface.to_owned()).or_insert_with(|| Arc::new(DhcpTally::new(since))).clone()
    }

    /// Each network with its interface and what was counted.
    fn networks(&self) -> Vec<NetworkHealth> {
        let networks: Vec<NetworkHealth> =
            self.health.networks.lock().expect("no panic while held").values().cloned().collect();
        let links = self.health.links.lock().expect("no panic while held");
        let tallies = self.health.tallies.lock().expect("no panic while held");
        let now = self.now();
        let whole = |network: NetworkHealth| NetworkHealth {
            link: links.get(&network.interface).cloned(),
            traffic: tallies.get(&network.interface).map(|tally| tally.shown(now)),
            ..network
        };
        networks.into_iter().map(whole).collect()
    }

    /// Waits until each of these networks answers DHCP, or says why it does not.
    pub async fn networks_settled(&self, interfaces: &[&str]) {
        self.networks_until(interfaces, |network| network.answering || network.state != HealthState::Ok)
            .await;
    }

    /// Waits until the health of each of these networks is as `ready` wants it.
    pub async fn networks_until(&self, interfaces: &[&str], ready: impl Fn(&NetworkHealth) -> bool) {
        loop {
            let told = self.health.told.notified();
            tokio::pin!(told);
            told.as_mut().enable();
            let all_ready = {
                let networks = self.health.networks.lock().expect("no panic while held");
                interfaces.iter().all(|name| networks.get(*name).is_some_and(&ready))
            };
            if all_ready {
                return;
            }
            told.await;
        }
    }

    /// How a part of the daemon is, by its name.
    pub fn set_part_health(&self, check: HealthCheck) {
        self.health.parts.lock().expect("no panic while held").insert(check.name.clone(), check);
    }

    /// Boot files and what is built of them.
    pub(super) fn shipped_artifacts(&self) -> Vec<Artifact> {
        self.health.artifacts.lock().expect("no panic while held").values().cloned().collect()
    }

    /// The one of this name.
    pub(super) fn shipped_artifact(&self, name: &str) -> Option<Artifact> {
        self.health.artifacts.lock().expect("no panic while held").get(name).cloned()
    }

    /// The latest state of one artifact.
    pub fn set_artifact(&self, artifact: Artifact) {
        let mut artifacts = self.health.artifacts.lock().expect("no panic while held");
        artifacts.insert(artifact.name.clone(), artifact);
    }

    /// How everything is; the state is that of the worst part.
    pub fn health(&self) -> Health {
        let networks = self.networks();
        let mut checks = vec![self.store_check(), self.loaders_check(), self.discovery_check()];
        checks.extend(self.networks_check());
        checks.extend(self.health.parts.lock().expect("no panic while held").values().cloned());
        let states = checks.iter().map(|check| check.state).chain(networks.iter().map(|n| n.state));
        Health { state: states.max().unwrap_or(HealthState::Ok), checks, networks }
    }

    fn store_check(&self) -> HealthCheck {
        let dropped = self.health.dropped.load(Ordering::Relaxed);
        let last = self.health.dropped_at.load(Ordering::Relaxed);
        let ok = dropped == 0 || self.now().saturating_sub(last) >= DROPPED_SHOWN;
        HealthCheck {
            name: "store".into(),
            state: if ok { HealthState::Ok } else { HealthState::Degraded },
            message: if ok {
                "everything observed is saved".into()
            } else {
                format!("{dropped} observations were dropped because the disk is too slow")
            },
            remedy: (!ok)
                .then(|| "put the state directory on a faster disk; machines boot all the same".into()),
        }
    }

    /// Something is served, or will be once the appliance is set up.
    fn networks_check(&self) -> Option<HealthCheck> {
        self.settings.networks.is_empty().then(|| HealthCheck {
            name: "networks".into(),
            state: HealthState::Degraded,
            message: "no network is configured: nothing is served".into(),
            remedy: Some(
                "set the appliance up (`ironwake setup show`), or add [[network]] to its configuration"
                    .into(),
            ),
        })
    }

    fn loaders_check(&self) -> HealthCheck {
        let artifacts = self.artifacts();
        let loaders = || artifacts.iter().filter(|artifact| artifact.kind == ArtifactKind::Loader);
        let bad: Vec<&str> =
            loaders().filter(|a| a.state != ArtifactState::Done).map(|a| a.name.as_str()).collect();
        let (state, message) = match loaders().count() {
            // An update that lost them does not stay.
            all if bad.len() == all => {
                (HealthState::Failed, "no loader is usable: no machine boots from here".to_owned())
            }
            all if bad.is_empty() => (HealthState::Ok, format!("{all} loaders are here")),
            _ => (HealthState::Degraded, format!("not usable: {}", bad.join(", "))),
        };
        HealthCheck {
            name: "loaders".into(),
            state,
            message,
            remedy: (state != HealthState::Ok).then(|| {
                "fetch the boot files (`./dev setup` in the source tree), or set IRONWAKE_BOOT".into()
            }),
        }
    }

    fn discovery_check(&self) -> HealthCheck {
        let policy = self.policy();
        let (state, message) = match (policy.discovery, policy.discovery_ready) {
            (false, true) => (HealthState::Ok, "discovery is off"),
            (false, false) => (
                HealthState::Ok,
                "discovery is off, and its image, which most of what operators arm boots too, is not ready",
            ),
            (true, true) => (HealthState::Ok, "the discovery image is ready"),
            (true, false) => {
                (HealthState::Degraded, "the discovery image is not ready: unknown machines boot their disks")
            }
        };
        HealthCheck {
            name: "discovery".into(),
            state,
            message: message.into(),
            remedy: (state != HealthState::Ok)
                .then(|| "see `ironwake artifact list` for what is missing".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::tests::Fixture;

    #[tokio::test]
    async fn without_any_loader_nothing_boots() {
        let bench = Fixture::new().await;
        let check = |expected: HealthState| {
            let loaders = bench.site.loaders_check();
            assert_eq!(loaders.state, expected, "{loaders:?}");
        };
        check(HealthState::Failed);
        let loader =
            |name: &str, state| bench.site.set_artifact(Artifact::new(name, ArtifactKind::Loader, state));
        loader("ipxe.efi", ArtifactState::Missing);
        check(HealthState::Failed);
        loader("undionly.kpxe", ArtifactState::Done);
        check(HealthState::Degraded);
        loader("ipxe.efi", ArtifactState::Done);
        check(HealthState::Ok);
    }
}
