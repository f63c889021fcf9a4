//! Stored events, page after page from the newest: from which one on all of them are here, for everything and for each
//! narrowing of it.

use std::collections::{BTreeSet, VecDeque};

use ironwake_api::Event;
use serde::{Deserialize, Serialize};

use super::tail::About;

/// Events of one page.
pub const PAGE_EVENTS: usize = 500;
/// Narrowings that are remembered: the machines of some screens.
const REMEMBERED_MAX: usize = 128;

/// Some of all stored events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Of this machine.
    pub machine: Option<String>,
    /// About these things; about everything, where it is empty.
    pub about: BTreeSet<About>,
}

impl Scope {
    /// What the list of a machine tells: how far something is, its bar tells.
    pub fn of_machine(id: &str) -> Self {
        let about = About::ALL.into_iter().filter(|about| *about != About::Progress).collect();
        Self { machine: Some(id.to_owned()), about }
    }

    /// Whether an event is one of them.
    pub fn has(&self, event: &Event) -> bool {
        (self.about.is_empty() || self.about.contains(&About::of(&event.kind)))
            && self.machine.as_ref().is_none_or(|machine| event.machine.as_ref() == Some(machine))
    }

    /// The kinds of events as the API takes them; none for all.
    pub fn kinds(&self) -> Option<String> {
        let kinds = self.about.iter().flat_map(|about| about.kinds());
        (!self.about.is_empty()).then(|| kinds.collect::<Vec<_>>().join(","))
    }
}

/// A page of stored events, the newest that are older than one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// Of which.
    pub scope: Scope,
    /// Only those with a smaller id.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: usize,
}

impl Default for Past {
    /// The newest of all.
    fn default() -> Self {
        Self { scope: Scope::default(), before: None, limit: PAGE_EVENTS }
    }
}

/// How far back events are here.
#[derive(Debug, Default)]
pub struct Known {
    /// From this id on all of a scope are here; the one that was asked for last is at the end.
    from: VecDeque<(Scope, i64)>,
    asking: Vec<Past>,
}

impl Known {
    /// The id from which on all events of a scope are here; of one that was never asked for, what all events have.
    pub fn from(&self, scope: &Scope) -> Option<i64> {
        self.exactly(scope).or_else(|| self.exactly(&Scope::default()))
    }

    fn exactly(&self, scope: &Scope) -> Option<i64> {
        self.from.iter().find(|(other, _)| other == scope).map(|(_, from)| *from)
    }

    /// Whether a scope was asked for itself, rather than all events.
    pub fn was_asked(&self, scope: &Scope) -> bool {
        self.exactly(scope).is_some() || self.asking.iter().any(|past| past.scope == *scope)
    }

    /// Whether there is nothing older of a scope.
    pub fn is_whole(&self, scope: &Scope) -> bool {
        self.from(scope) == Some(i64::MIN)
    }

    /// The next older page of a scope, noted as asked for; nothing, while it is awaited and where there is none.
    pub fn older(&mut self, scope: &Scope, limit: usize) -> Option<Past> {
        let is_awaited = self.asking.iter().any(|past| past.scope == *scope);
        if self.is_whole(scope) || is_awaited {
            return None;
        }
        let past = Past { scope: scope.clone(), before: self.from(scope), limit };
        self.asking.push(past.clone());
        Some(past)
    }

    /// A page has come.
    pub fn came(&mut self, past: &Past, events: &[Event]) {
        // What was asked before the connection was lost says nothing of what happened since.
        let Some(place) = self.asking.iter().position(|other| other == past) else { return };
        self.asking.swap_remove(place);
        let oldest = events.iter().map(|event| event.id).min();
        let from = oldest.filter(|_| events.len() >= past.limit).unwrap_or(i64::MIN);
        self.from.retain(|(scope, _)| *scope != past.scope);
        if self.from.len() >= REMEMBERED_MAX {
            // All events are what every other scope goes by.
            let place = self.from.iter().position(|(scope, _)| *scope != Scope::default());
            place.and_then(|place| self.from.remove(place));
        }
        self.from.push_back((past.scope.clone(), from));
    }

    /// What is older than this is here no more.
    pub fn dropped(&mut self, oldest: i64) {
        self.from.iter_mut().for_each(|(_, from)| *from = (*from).max(oldest));
    }

    /// Nobody knows what happened meanwhile.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(ids: std::ops::Range<i64>) -> Vec<Event> {
        let event = |id| {
            serde_json::from_value(serde_json::json!({
                "id": id, "at": 0, "actor": "daemon", "machine": "m", "kind": "machine_registered"
            }))
        };
        ids.map(|id| event(id).expect("an event")).collect()
    }

    #[test]
    fn pages_follow_one_another_until_there_is_no_older_one() {
        let (mut known, all) = (Known::default(), Scope::default());
        let first = known.older(&all, PAGE_EVENTS).expect("the newest");
        assert_eq!((first.before, known.older(&all, PAGE_EVENTS)), (None, None), "one at a time");
        known.came(&first, &events(1000..1500));
        let second = known.older(&all, PAGE_EVENTS).expect("older ones");
        assert_eq!((second.before, known.from(&all)), (Some(1000), Some(1000)));
        known.came(&second, &events(990..1000));
        assert!(known.is_whole(&all) && known.older(&all, PAGE_EVENTS).is_none());
        known.dropped(995);
        assert_eq!(known.older(&all, PAGE_EVENTS).expect("again").before, Some(995));
    }

    #[test]
    fn what_is_narrowed_begins_where_all_events_end() {
        let (mut known, all, one) = (Known::default(), Scope::default(), Scope::of_machine("m"));
        let first = known.older(&all, PAGE_EVENTS).expect("the newest");
        known.came(&first, &events(1000..1500));
        assert!(!known.was_asked(&one));
        let older = known.older(&one, 50).expect("its own");
        assert_eq!((older.before, known.was_asked(&one)), (Some(1000), true));
        known.came(&older, &events(3..7));
        assert_eq!(
            (known.from(&one), known.from(&all)),
            (Some(i64::MIN), Some(1000)),
            "others have gaps there"
        );
        let late = known.older(&all, PAGE_EVENTS).expect("more");
        known.forget();
        known.came(&late, &events(500..1000));
        assert_eq!(known.from(&all), None, "it was asked before");
    }

    #[test]
    fn a_scope_has_what_it_asks_for() {
        let event = &events(1..2)[0];
        assert!(Scope::default().has(event) && Scope::of_machine("m").has(event));
        assert!(!Scope::of_machine("other").has(event));
        let boots = Scope { machine: None, about: BTreeSet::from([About::Boots]) };
        assert!(!boots.has(event));
        assert_eq!(boots.kinds().as_deref(), Some("attempt_started,attempt_stage,attempt_ended"));
        assert_eq!(Scope::default().kinds(), None);
    }
}
