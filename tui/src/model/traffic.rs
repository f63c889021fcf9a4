//! DHCP requests per second of each network, from the counts that health tells.

use std::collections::{BTreeMap, VecDeque};

use ironwake_api::{DhcpTraffic, Millis, NetworkHealth};

/// Rates that are kept of a network: some minutes, as wide as a sparkline is drawn.
const RATES_MAX: usize = 120;
/// Over less than this, a count tells little of a rate.
const BETWEEN_MIN: Millis = 1_000;

/// What is known of every network's traffic.
#[derive(Debug, Default)]
pub struct Traffic(BTreeMap<String, Rates>);

/// One network's.
#[derive(Debug, Default)]
struct Rates {
    last: Option<DhcpTraffic>,
    /// Requests per second, the newest at the end.
    rates: VecDeque<f64>,
}

impl Traffic {
    /// Takes what health tells; what is not there any more is forgotten.
    pub fn put(&mut self, networks: &[NetworkHealth]) {
        self.0.retain(|name, _| networks.iter().any(|network| network.interface == *name));
        for network in networks {
            if let Some(traffic) = network.traffic {
                self.0.entry(network.interface.clone()).or_default().put(traffic);
            }
        }
    }

    /// Requests per second of a network, the newest at the end.
    pub fn rates(&self, interface: &str) -> Vec<f64> {
        self.0.get(interface).map(|rates| rates.rates.iter().copied().collect()).unwrap_or_default()
    }
}

impl Rates {
    fn put(&mut self, now: DhcpTraffic) {
        let Some(last) = self.last.filter(|last| last.since == now.since) else {
            // Another daemon counts from nothing.
            self.last = Some(now);
            return;
        };
        let between = now.at.saturating_sub(last.at);
        if between < BETWEEN_MIN {
            return;
        }
        self.rates.push_back(now.requests.saturating_sub(last.requests) as f64 * 1000.0 / between as f64);
        if self.rates.len() > RATES_MAX {
            self.rates.pop_front();
        }
        self.last = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_differences_over_time() {
        let mut rates = Rates::default();
        let mut put = |since, at, requests| {
            rates.put(DhcpTraffic {
                since,
                at,
                requests,
                answers: 0,
                offers: 0,
                acks: 0,
                naks: 0,
                dropped: 0,
            });
            rates.rates.iter().copied().collect::<Vec<_>>()
        };
        assert_eq!(put(0, 10_000, 1_000), [0.0; 0], "one count is no rate");
        assert_eq!(put(0, 10_500, 1_001), [0.0; 0], "too soon");
        assert_eq!(put(0, 12_000, 1_100), [50.0]);
        assert_eq!(put(12_500, 15_000, 40), [50.0], "the daemon has started again");
        assert_eq!(put(12_500, 18_000, 70), [50.0, 10.0]);
        for second in 19..1_000 {
            put(12_500, second * 1_000, 70);
        }
        assert_eq!(put(12_500, 1_000_000, 70).len(), RATES_MAX);
    }
}
