//! The self-test of DHCP: each network that is served is asked whether it would answer a machine that boots.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use ironwake_api::{SelfTest, SelfTestNetwork};
use tokio::sync::{mpsc, oneshot};

use super::Site;
use crate::config::DhcpMode;

/// How long a network has to answer: it listens for another server for four seconds first.
const SELF_TEST_MAX: Duration = Duration::from_secs(20);

/// Asks one network's part whether it would answer; each question is answered with a sentence.
pub type SelfTester = mpsc::Sender<oneshot::Sender<Result<String, String>>>;

/// Whom to ask, by interface.
#[derive(Default)]
pub(super) struct Testers(Mutex<HashMap<String, SelfTester>>);

impl Site {
    /// The part that serves a network can be asked here, from now on.
    pub fn set_self_tester(&self, interface: &str, tester: SelfTester) {
        self.testers.0.lock().expect("no panic while held").insert(interface.to_owned(), tester);
    }

    /// Whether a machine that boots would be answered, on each network: its DISCOVER goes the way that one from the wire goes.
    pub async fn self_test(&self) -> SelfTest {
        let health = self.health();
        let own = self.own();
        // Those of the configuration: one that nothing was heard of yet is not served.
        let configured = own.iter().flat_map(|own| &own.appliance.networks);
        let served = configured.filter(|network| network.dhcp != DhcpMode::Off);
        let said = |interface: &str| {
            let network = health.networks.iter().find(|network| network.interface == interface);
            network.map_or_else(|| "it is not served yet".to_owned(), |network| network.message.clone())
        };
        let tests = served.map(|network| (network.interface.clone(), said(&network.interface)));
        let tests = tests.map(|(interface, said)| async move {
            let tested = match tokio::time::timeout(SELF_TEST_MAX, self.ask_tester(&interface)).await {
                Ok(Some(tested)) => tested,
                Ok(None) => Err(said),
                Err(_) => Err(format!("no answer within {} s", SELF_TEST_MAX.as_secs())),
            };
            let passed = tested.is_ok();
            SelfTestNetwork { interface, passed, message: tested.unwrap_or_else(|why| why) }
        });
        let networks: Vec<SelfTestNetwork> = futures_util::future::join_all(tests).await;
        let passed = networks.iter().all(|network| network.passed);
        let message = match (networks.len(), passed) {
            (0, _) => "no network is served with DHCP: there is nothing to test".into(),
            (_, true) => "a machine that boots would be answered on every network".into(),
            (_, false) => {
                let failed = networks.iter().filter(|network| !network.passed);
                let failed: Vec<String> = failed.map(|n| format!("{}: {}", n.interface, n.message)).collect();
                failed.join("; ")
            }
        };
        SelfTest { passed, message, networks, health: health.state }
    }

    /// What a network's part says; `None` where there is none.
    async fn ask_tester(&self, interface: &str) -> Option<Result<String, String>> {
        let tester = self.testers.0.lock().expect("no panic while held").get(interface).cloned()?;
        let (answer, answered) = oneshot::channel();
        tester.send(answer).await.ok()?;
        answered.await.ok()
    }
}
