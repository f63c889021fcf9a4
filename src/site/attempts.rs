//! The newest boot attempt of each machine in memory: lists show it, and nobody reads ten thousand rows for one.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use ironwake_api::{Attempt, AttemptBrief};

/// The newest attempts by machine.
#[derive(Default)]
pub(super) struct NewestAttempts(Mutex<HashMap<String, Box<AttemptBrief>>>);

impl NewestAttempts {
    /// Those that the store has.
    pub fn new(attempts: &[Attempt]) -> Self {
        let newest = Self::default();
        attempts.iter().for_each(|attempt| newest.note(attempt));
        newest
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Box<AttemptBrief>>> {
        self.0.lock().expect("no panic while held")
    }

    /// An attempt began, went on or ended. One of a machine that has begun another since counts no more.
    pub fn note(&self, attempt: &Attempt) {
        let Some(machine) = &attempt.machine else { return };
        let mut newest = self.lock();
        match newest.get_mut(machine) {
            Some(known) if known.id > attempt.id => {}
            Some(known) if known.id == attempt.id && known.outcome == attempt.outcome => {
                known.last_at = attempt.last_at;
            }
            Some(known) => **known = brief(attempt),
            None => drop(newest.insert(machine.clone(), Box::new(brief(attempt)))),
        }
    }

    /// The newest one of a machine.
    pub fn of(&self, machine: &str) -> Option<Box<AttemptBrief>> {
        self.lock().get(machine).cloned()
    }

    /// A machine's record is gone; its attempts are `heir`'s from here on.
    pub fn forget(&self, machine: &str, heir: Option<&str>) {
        let mut newest = self.lock();
        let (Some(gone), Some(heir)) = (newest.remove(machine), heir) else { return };
        if newest.get(heir).is_none_or(|known| known.id < gone.id) {
            newest.insert(heir.to_owned(), gone);
        }
    }
}

fn brief(attempt: &Attempt) -> AttemptBrief {
    AttemptBrief {
        id: attempt.id,
        started_at: attempt.started_at,
        last_at: attempt.last_at,
        outcome: attempt.outcome,
        diagnosis: attempt.diagnosis.as_ref().map(|diagnosis| diagnosis.code.clone()),
    }
}

#[cfg(test)]
mod tests {
    use ironwake_api::{AttemptOutcome, MacAddr};

    use super::*;

    #[test]
    fn a_later_attempt_counts_and_an_heir_has_the_later_of_both() {
        let attempt = |id, machine: &str, outcome, last_at| Attempt {
            id,
            machine: Some(machine.into()),
            mac: MacAddr([2, 0, 0, 0, 0, 1]),
            arch: None,
            started_at: 1,
            last_at,
            outcome,
            diagnosis: None,
            stages: Vec::new(),
        };
        let newest = NewestAttempts::new(&[attempt(3, "a", AttemptOutcome::LocalBoot, 5)]);
        let check = |machine: &str, expected: Option<(i64, AttemptOutcome, u64)>| {
            let found = newest.of(machine).map(|found| (found.id, found.outcome, found.last_at));
            assert_eq!(found, expected, "{machine}");
        };
        newest.note(&attempt(4, "a", AttemptOutcome::Running, 6));
        newest.note(&attempt(3, "a", AttemptOutcome::Failed, 7));
        newest.note(&attempt(4, "a", AttemptOutcome::Running, 8));
        check("a", Some((4, AttemptOutcome::Running, 8)));
        newest.note(&attempt(4, "a", AttemptOutcome::Failed, 8));
        check("a", Some((4, AttemptOutcome::Failed, 8)));
        newest.note(&attempt(2, "b", AttemptOutcome::Failed, 9));
        newest.forget("a", Some("b"));
        check("a", None);
        check("b", Some((4, AttemptOutcome::Failed, 8)));
        newest.forget("b", None);
        check("b", None);
    }
}
