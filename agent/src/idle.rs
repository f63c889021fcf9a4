//! How long a machine waits for an order before it reboots, and so boots its disk again.

use std::time::{Duration, Instant};

/// The wait for an order. Zero seconds are for ever.
#[derive(Debug, Clone)]
pub struct Idle {
    since: Instant,
    secs: u64,
    answered: bool,
}

impl Idle {
    /// Waits from `now`, as long as the kernel's command line says.
    pub fn new(now: Instant, secs: u64) -> Self {
        Self { since: now, secs, answered: false }
    }

    /// The daemon has the inventory and says how long. Only its first answer begins the wait again: inventories
    /// that are posted later are no orders.
    pub fn answered(&mut self, now: Instant, secs: u64) {
        if !std::mem::replace(&mut self.answered, true) {
            self.since = now;
        }
        self.secs = secs;
    }

    /// An order came, or the kernel refused to reboot: the wait begins again.
    pub fn restart(&mut self, now: Instant) {
        self.since = now;
    }

    /// How long it waits.
    pub fn secs(&self) -> u64 {
        self.secs
    }

    /// When it ends, unless it never does.
    pub fn until(&self) -> Option<Instant> {
        if self.secs == 0 { None } else { self.since.checked_add(Duration::from_secs(self.secs)) }
    }

    /// Whether the machine is to reboot.
    pub fn is_over(&self, now: Instant) -> bool {
        self.until().is_some_and(|until| until <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Step = fn(&mut Idle, Instant);

    /// `steps` happen to an agent that waits 600 s by its command line; it reboots at `expected` seconds.
    #[track_caller]
    fn check(steps: &[(u64, Step)], expected: Option<u64>) {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut idle = Idle::new(start, 600);
        for (secs, step) in steps {
            assert!(!idle.is_over(at(*secs)), "it has rebooted before {secs} s");
            step(&mut idle, at(*secs));
        }
        assert_eq!(idle.until(), expected.map(at));
        if let Some(expected) = expected {
            assert!(!idle.is_over(at(expected - 1)) && idle.is_over(at(expected)));
        }
        assert_eq!(idle.is_over(at(1_000_000)), expected.is_some());
    }

    #[test]
    fn a_machine_without_an_order_reboots() {
        check(&[], Some(600));
        check(&[(100, |idle, now| idle.answered(now, 600))], Some(700));
        check(&[(100, |idle, now| idle.answered(now, 30))], Some(130));
    }

    #[test]
    fn only_an_order_begins_the_wait_again() {
        let posted: Step = |idle, now| idle.answered(now, 600);
        let again: Step = |idle, now| idle.answered(now, 700);
        check(&[(100, posted), (400, posted)], Some(700));
        check(&[(100, posted), (400, again)], Some(800));
        check(&[(100, posted), (650, |idle, now| idle.restart(now))], Some(1250));
    }

    #[test]
    fn zero_is_for_ever() {
        check(&[(100, |idle, now| idle.answered(now, 0))], None);
    }
}
