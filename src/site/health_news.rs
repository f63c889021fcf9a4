//! Changes of health as events: what has become better or worse, told once.

use std::collections::BTreeMap;
use std::sync::Mutex;

use ironwake_api::{Actor, EventKind, HealthState, Millis};

use super::Site;

/// How often health is looked at: what passes within it is nobody's news.
const LOOK_EVERY: Millis = 5_000;
/// A part is told of at most this often: a cable with a loose contact must not fill the events.
const TOLD_EVERY: Millis = 30_000;

/// What was told last.
#[derive(Default)]
pub(super) struct HealthNews(Mutex<Known>);

#[derive(Default)]
struct Known {
    looked_at: Millis,
    /// State and when it was told, by part.
    parts: BTreeMap<String, (HealthState, Millis)>,
}

impl Known {
    /// Notes how a part is; how it was, where that is to be told. What was never seen before is no change.
    fn note(&mut self, part: &str, state: HealthState, now: Millis) -> Option<HealthState> {
        let Some((known, told_at)) = self.parts.get_mut(part) else {
            self.parts.insert(part.to_owned(), (state, 0));
            return None;
        };
        if *known == state || now.saturating_sub(*told_at) < TOLD_EVERY {
            return None;
        }
        let before = std::mem::replace(known, state);
        *told_at = now;
        Some(before)
    }
}

impl Site {
    /// Tells what has become better or worse; to be called about once a second.
    pub fn note_health(&self) {
        let now = self.now();
        let mut known = self.health_news.0.lock().expect("no panic while held");
        if now.saturating_sub(known.looked_at) < LOOK_EVERY {
            return;
        }
        known.looked_at = now;
        let health = self.health();
        let checks = health.checks.into_iter().map(|check| (check.name, check.state, check.message));
        let networks = health
            .networks
            .into_iter()
            .map(|network| (format!("network {}", network.interface), network.state, network.message));
        let changes = checks.chain(networks).filter_map(|(part, to, message)| {
            let from = known.note(&part, to, now)?;
            Some(self.event(Actor::Daemon, None, EventKind::HealthChanged { part, from, to, message }))
        });
        let changes = changes.collect();
        drop(known);
        self.save_behind(changes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_once_and_one_that_comes_and_goes_not_each_time() {
        use HealthState::{Degraded, Failed, Ok};
        let mut known = Known::default();
        let mut check = |state, now, expected: Option<HealthState>| {
            assert_eq!(known.note("store", state, now), expected, "{state:?} at {now}");
        };
        check(Ok, 100_000, None);
        check(Ok, 105_000, None);
        check(Degraded, 110_000, Some(Ok));
        check(Degraded, 115_000, None);
        check(Ok, 120_000, None);
        check(Degraded, 125_000, None);
        check(Failed, 130_000, None);
        check(Failed, 140_000, Some(Degraded));
        check(Ok, 170_000, Some(Failed));
    }
}
