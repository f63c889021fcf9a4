//! The appliance's time: that of the wall clock, and what becomes of what was given until a time when that clock is set.
//!
//! What lasts is counted from the start of the system, which nobody can set. Its wall clock is followed in small steps; a step
//! that is larger than [`JUMP_MIN`] is a jump, behind which everything that was given since the start of the system lasts
//! exactly as long as it would have without it. What was given before that start has only its date.

use ironwake_api::Millis;

/// Smaller steps are drift, and are followed. A lease or an arming lasts a minute at least.
pub const JUMP_MIN: Millis = 5_000;
/// So much of a second the clock may be held back, where it has to be: time goes on all the same.
const HELD_BACK_MAX: i64 = 500;

/// A clock that was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jump {
    /// What it showed.
    pub from: Millis,
    /// What it shows.
    pub to: Millis,
    /// When the system was started, by the clock before; nothing was given since where the system is another one.
    pub booted_at: Option<Millis>,
}

/// Milliseconds of the wall clock, less those since the start of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeline {
    offset: i64,
}

/// What was known of the clock when it was last written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Which start of the system that was in.
    pub boot: String,
    /// Milliseconds since that start.
    pub since_boot: Millis,
    /// What the clock showed.
    pub at: Millis,
}

impl Timeline {
    /// One on which it is `wall` when `since_boot` has passed.
    pub fn new(wall: Millis, since_boot: Millis) -> Self {
        Self { offset: signed(wall).saturating_sub(signed(since_boot)) }
    }

    /// One of which [`Timeline::offset`] is known.
    pub fn with_offset(offset: i64) -> Self {
        Self { offset }
    }

    /// What is added to the time since the start of the system.
    pub fn offset(self) -> i64 {
        self.offset
    }

    /// The time.
    pub fn at(self, since_boot: Millis) -> Millis {
        unsigned(signed(since_boot).saturating_add(self.offset))
    }

    /// Looks at the wall clock, about once a second: follows a small step, and tells of a jump, which is left to
    /// [`Timeline::jumped`].
    pub fn look(&mut self, wall: Millis, since_boot: Millis) -> Option<Jump> {
        let step = Self::new(wall, since_boot).offset.saturating_sub(self.offset);
        if step.unsigned_abs() >= JUMP_MIN {
            let from = self.at(since_boot);
            return Some(Jump { from, to: wall, booted_at: Some(unsigned(self.offset)) });
        }
        self.offset = self.offset.saturating_add(step.max(-HELD_BACK_MAX));
        None
    }

    /// The line from here on.
    pub fn jumped(self, jump: &Jump) -> Self {
        Self { offset: self.offset.saturating_add(jump.delta()) }
    }

    /// The line of a daemon that starts, and what happened to the clock since it was written down. In the same start of the
    /// system that is exactly known. In a later one only a clock that shows less than it did is known to be wrong or to have been.
    pub fn resume(
        wall: Millis,
        since_boot: Millis,
        boot: &str,
        known: Option<&Known>,
    ) -> (Self, Option<Jump>) {
        let line = Self::new(wall, since_boot);
        let Some(known) = known else { return (line, None) };
        if known.boot == boot && since_boot >= known.since_boot {
            let mut before = Self::new(known.at, known.since_boot);
            return match before.look(wall, since_boot) {
                Some(jump) => (line, Some(jump)),
                None => (before, None),
            };
        }
        match known.at.saturating_sub(wall) {
            0 => (line, None),
            // It was written down with a clock that ran a little fast.
            back if back < JUMP_MIN => (Self::new(known.at, since_boot), None),
            _ => (line, Some(Jump { from: known.at, to: wall, booted_at: None })),
        }
    }
}

impl Jump {
    /// By how much it was set forward.
    pub fn delta(&self) -> i64 {
        signed(self.to).saturating_sub(signed(self.from))
    }

    /// Whether something was given since the start of the system.
    pub fn given_since_boot(&self, at: Millis) -> bool {
        self.booted_at.is_some_and(|booted| at >= booted)
    }

    /// A time by the clock as it is.
    pub fn moved(&self, at: Millis) -> Millis {
        unsigned(signed(at).saturating_add(self.delta()))
    }

    /// Beginning and end of a lease. One from before the start of the system keeps its dates; one that would begin in the future
    /// begins at this moment, and lasts as long as it was given for: its client must not lose it to another one, and no address may
    /// be held for years.
    pub fn lease(&self, since: Millis, until: Millis) -> (Millis, Millis) {
        if self.given_since_boot(since) {
            return (self.moved(since), self.moved(until));
        }
        if since > self.to {
            return (self.to, self.to.saturating_add(until.saturating_sub(since)));
        }
        (since, until)
    }

    /// When something ends that was given at `since`: never later than it would have without the jump, as far as anybody knows.
    /// With a clock that was set forward, what is from before the start of the system ends by its date, for nobody knows how long
    /// the system was off; with one that was set back, it has what it had left.
    pub fn deadline(&self, since: Millis, until: Millis) -> Millis {
        match self.given_since_boot(since) || self.delta() < 0 {
            true => self.moved(until),
            false => until,
        }
    }

    /// When an arming ends: as [`Jump::deadline`], but at once where the system is another one and its clock is behind, for
    /// then nobody knows how much of its time is over.
    pub fn arming(&self, since: Millis, until: Millis) -> Millis {
        match self.booted_at {
            None => until.min(self.to),
            Some(_) => self.deadline(since, until),
        }
    }
}

fn signed(millis: Millis) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX)
}

fn unsigned(millis: i64) -> Millis {
    u64::try_from(millis).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOOTED: Millis = 1_700_000_000_000;
    const HOUR: Millis = 3_600_000;
    const YEAR: Millis = 365 * 24 * HOUR;

    #[test]
    fn drift_is_followed_and_time_never_stands_still() {
        let mut line = Timeline::new(BOOTED, 0);
        assert_eq!(line.look(BOOTED + 1_400, 1_000), None);
        assert_eq!(line.at(1_000), BOOTED + 1_400);
        // Set back by four seconds: it takes eight looks, and each second is half a second at least.
        let mut before = line.at(1_000);
        for second in 2..=10 {
            assert_eq!(line.look(BOOTED + second * 1_000 - 2_600, second * 1_000), None);
            let now = line.at(second * 1_000);
            assert!(now >= before + 500, "{second}");
            before = now;
        }
        assert_eq!(before, BOOTED + 7_400);
    }

    #[test]
    fn a_jump_is_told_and_changes_nothing_by_itself() {
        let mut line = Timeline::new(BOOTED, 0);
        let jump = line.look(BOOTED + YEAR + 10_000, 10_000).expect("a jump");
        assert_eq!(jump, Jump { from: BOOTED + 10_000, to: BOOTED + YEAR + 10_000, booted_at: Some(BOOTED) });
        assert_eq!(line.at(10_000), BOOTED + 10_000);
        let line = line.jumped(&jump);
        assert_eq!(line.at(10_000), jump.to);
    }

    #[test]
    fn what_was_given_before_the_system_started_has_only_its_date() {
        let forward = Jump { from: BOOTED + HOUR, to: BOOTED + YEAR, booted_at: Some(BOOTED) };
        let (early, late) = (BOOTED - HOUR, BOOTED + HOUR / 2);
        assert_eq!(forward.lease(early, BOOTED + 2 * HOUR), (early, BOOTED + 2 * HOUR));
        assert_eq!(forward.lease(late, late + HOUR), (forward.moved(late), forward.moved(late) + HOUR));
        assert_eq!(forward.arming(early, BOOTED + 2 * HOUR), BOOTED + 2 * HOUR, "it is over");
        assert_eq!(forward.arming(late, late + HOUR) - forward.to, late + HOUR - forward.from);

        let back = Jump { from: BOOTED + YEAR, to: BOOTED, booted_at: Some(BOOTED + YEAR - HOUR) };
        assert_eq!(
            back.lease(BOOTED - HOUR, BOOTED + HOUR),
            (BOOTED - HOUR, BOOTED + HOUR),
            "it holds again"
        );
        assert_eq!(back.lease(BOOTED + HOUR, BOOTED + 2 * HOUR), (BOOTED, BOOTED + HOUR));
        assert_eq!(back.arming(BOOTED, BOOTED + YEAR + HOUR), BOOTED + HOUR);
    }

    #[test]
    fn another_start_of_the_system_with_an_earlier_time_ends_armings() {
        let known = Known { boot: "a".into(), since_boot: HOUR, at: BOOTED + YEAR };
        let (line, jump) = Timeline::resume(BOOTED, 10_000, "b", Some(&known));
        let jump = jump.expect("a jump");
        assert_eq!((line.at(10_000), jump.from, jump.to), (BOOTED, BOOTED + YEAR, BOOTED));
        assert_eq!(jump.arming(BOOTED + YEAR - 1, BOOTED + YEAR + HOUR), BOOTED);
        assert_eq!(jump.lease(BOOTED + YEAR - HOUR, BOOTED + YEAR + HOUR), (BOOTED, BOOTED + 2 * HOUR));
        // Later, it may have been off for as long.
        assert_eq!(Timeline::resume(BOOTED + 2 * YEAR, 1, "b", Some(&known)).1, None);
        // A little earlier is a clock that ran fast.
        let (line, jump) = Timeline::resume(BOOTED + YEAR - 3_000, 1, "b", Some(&known));
        assert_eq!((line.at(1), jump), (BOOTED + YEAR, None));
    }

    #[test]
    fn a_jump_while_no_daemon_ran_is_known_in_the_same_start_of_the_system() {
        let known = Known { boot: "a".into(), since_boot: HOUR, at: BOOTED + HOUR };
        let (line, jump) = Timeline::resume(BOOTED + 2 * HOUR, 2 * HOUR, "a", Some(&known));
        assert_eq!((line.at(2 * HOUR), jump), (BOOTED + 2 * HOUR, None));
        let (line, jump) = Timeline::resume(BOOTED + YEAR, 2 * HOUR, "a", Some(&known));
        let jump = jump.expect("a jump");
        assert_eq!((line.at(2 * HOUR), jump.from), (BOOTED + YEAR, BOOTED + 2 * HOUR));
        assert!(jump.given_since_boot(BOOTED + 1) && !jump.given_since_boot(BOOTED - 1));
    }

    proptest! {
        /// However the clock is set, and however often: nothing is armed for longer than it was given for, no lease is of
        /// negative length, and what was given in this start of the system lasts exactly as long as it was given for.
        #[test]
        fn jumps_prolong_nothing(
            jumps in proptest::collection::vec((1_000_u64..HOUR, -(10 * YEAR as i64)..10 * YEAR as i64), 1..8),
            given_after in 0_u64..HOUR,
            before_boot in any::<bool>(),
            lasts in 60_000_u64..24 * HOUR,
        ) {
            let mut line = Timeline::new(BOOTED, 0);
            let mut since_boot = given_after;
            let given = if before_boot { BOOTED - HOUR } else { line.at(since_boot) };
            let (mut since, mut until) = (given, given + lasts);
            let mut lease = (given, given + lasts);
            let real_start = since_boot;
            let left = until.saturating_sub(line.at(since_boot));
            let mut wall = i64::try_from(BOOTED).unwrap();
            for (passes, step) in jumps {
                since_boot += passes;
                wall += step;
                let shown = unsigned(wall.saturating_add(signed(since_boot)));
                let Some(jump) = line.look(shown, since_boot) else { continue };
                until = jump.arming(since, until);
                since = if jump.given_since_boot(since) { jump.moved(since) } else { since };
                lease = jump.lease(lease.0, lease.1);
                line = line.jumped(&jump);
                prop_assert!(lease.1 >= lease.0);
                let left_now = until.saturating_sub(line.at(since_boot));
                let passed = since_boot - real_start;
                // Small steps are followed, which may add up to a few seconds.
                prop_assert!(left_now <= left.saturating_sub(passed) + 8 * JUMP_MIN, "{left_now} {left} {passed}");
            }
        }
    }
}
