//! Tokens that are refused: the caller gets 401, operators an event.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Mutex;

use ironwake_api::{Actor, EventKind, Millis};

use super::{Site, SiteError};
use crate::operation::Record;

/// A refusal is told again after this long: who is refused asks again for ever.
const TOLD_AGAIN_AFTER: Millis = 3_600_000;
/// Refusals that are remembered; beyond it all are forgotten, and told again.
const TOLD_MAX: usize = 4096;

/// Refusals by operation, address and reason, each with when it was told.
#[derive(Default)]
pub(super) struct Refusals(Mutex<HashMap<(String, Ipv4Addr, String), Millis>>);

impl Refusals {
    /// Whether a refusal is to be told.
    fn is_news(&self, operation: &str, from: Ipv4Addr, reason: &str, now: Millis) -> bool {
        let mut told = self.0.lock().expect("no panic while held");
        if told.len() >= TOLD_MAX {
            told.clear();
        }
        let key = (operation.to_owned(), from, reason.to_owned());
        match told.get(&key) {
            Some(at) if now.saturating_sub(*at) < TOLD_AGAIN_AFTER => false,
            _ => {
                told.insert(key, now);
                true
            }
        }
    }
}

impl Site {
    /// An event about a token that means nothing, or nothing any more; the same again is told once in a while, or anybody
    /// could push all other events out of the store.
    pub(super) fn note_token(&self, operation: &str, machine: &str, from: Ipv4Addr, reason: &str) {
        if !self.refusals.is_news(operation, from, reason, self.now()) {
            return;
        }
        let kind = EventKind::TokenRefused {
            operation: operation.to_owned(),
            from: from.to_string(),
            reason: reason.to_owned(),
        };
        self.save_behind(vec![self.event(Actor::Machine, Some(machine), kind)]);
    }

    /// A token that is not good for what was asked: an event, and 401.
    pub(super) fn refuse_token(
        &self,
        operation: &str,
        machine: &str,
        from: Ipv4Addr,
        reason: &str,
    ) -> SiteError {
        self.note_token(operation, machine, from, reason);
        SiteError::Unauthorized(format!("the token is not good for operation {operation}: {reason}"))
    }

    /// The same, of a record.
    pub(super) fn token_refused(&self, record: &Record, from: Ipv4Addr, reason: &str) -> SiteError {
        self.refuse_token(&record.operation.id, &record.operation.machine, from, reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: Ipv4Addr = Ipv4Addr::LOCALHOST;

    #[test]
    fn a_refusal_is_told_once_an_hour() {
        let refusals = Refusals::default();
        assert!(refusals.is_news("o", FROM, "why", 0));
        assert!(!refusals.is_news("o", FROM, "why", TOLD_AGAIN_AFTER - 1));
        assert!(refusals.is_news("o", FROM, "else", 1) && refusals.is_news("p", FROM, "why", 1));
        assert!(refusals.is_news("o", Ipv4Addr::BROADCAST, "why", 1));
        assert!(refusals.is_news("o", FROM, "why", TOLD_AGAIN_AFTER));
    }
}
