//! How a download gets on, and whether it holds its place from others that would get on better.

use ironwake_api::{DownloadStep, Millis};

/// Slower than this, a place is of more use to others: a gigabyte would take more than an hour.
pub const FLOOR_BYTES_PER_SEC: u64 = 256 << 10;
/// A download that was slower for so long gives its place to one that waits. Mirrors stall for some seconds now and then.
pub const PATIENCE_MILLIS: Millis = 60_000;

/// The pace of one download, over all its turns.
#[derive(Debug, Clone)]
pub struct Pace {
    patience: Millis,
    /// When the time began that is looked at, and how many bytes were there.
    window: Option<(Millis, u64)>,
    slow: bool,
    /// What was there last, in this turn or in an earlier one.
    had_bytes: u64,
    turn: Turn,
    gained: bool,
}

/// What of a turn is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Nothing was asked for.
    Begun,
    /// The server was asked; whether it goes on from what is there is not known.
    Asked,
    /// It went on from there, or began anew.
    Decided,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            patience: PATIENCE_MILLIS,
            window: None,
            slow: false,
            had_bytes: 0,
            turn: Turn::Begun,
            gained: false,
        }
    }
}

impl Pace {
    /// It gets a place.
    pub fn begin(&mut self) {
        (self.window, self.slow, self.turn, self.gained) = (None, false, Turn::Begun, false);
    }

    /// Notes how far it is.
    pub fn measure(&mut self, now: Millis, step: DownloadStep, done_bytes: u64) {
        let network = matches!(step, DownloadStep::Waiting | DownloadStep::Fetching | DownloadStep::Retrying);
        if !network {
            // What the disk or a core does takes nothing from others that they would be faster with.
            (self.window, self.slow) = (None, false);
            return;
        }
        if step == DownloadStep::Fetching {
            self.note(done_bytes);
        }
        // Beginning anew gives no further time, or a server that breaks off each minute would never be slow.
        let (since, before) =
            self.window.map_or((now, done_bytes), |(since, before)| (since, before.min(done_bytes)));
        self.window = Some((since, before));
        let millis = now.saturating_sub(since);
        if millis >= self.patience {
            self.slow = done_bytes - before < millis.saturating_mul(FLOOR_BYTES_PER_SEC) / 1000;
            self.window = Some((now, done_bytes));
        }
    }

    /// Notes what is there while bytes come.
    fn note(&mut self, done_bytes: u64) {
        let first = self.turn == Turn::Begun;
        if first {
            // What an earlier turn brought did not come within this one.
            (self.window, self.turn) = (None, Turn::Asked);
        }
        if done_bytes < self.had_bytes && self.turn == Turn::Asked {
            // The server begins anew with each turn. With turns of one length such a download would never end. What it
            // loses later in a turn is not the turn's doing, and gets it no longer ones.
            self.patience = self.patience.saturating_mul(2);
            self.turn = Turn::Decided;
        }
        if done_bytes > self.had_bytes && !first {
            (self.turn, self.gained) = (Turn::Decided, true);
        }
        self.had_bytes = done_bytes;
    }

    /// For how long it may be slow.
    pub fn patience(&self) -> Millis {
        self.patience
    }

    /// Whether it should give its place to one that waits.
    pub fn is_slow(&self) -> bool {
        self.slow
    }

    /// Whether anything has come since it got its place.
    pub fn has_gained(&self) -> bool {
        self.gained
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Millis = 1000;

    /// Measures once a second for so long; how many bytes there are in the end.
    fn run(pace: &mut Pace, now: &mut Millis, secs: u64, from: u64, bytes_per_sec: u64) -> u64 {
        for second in 0..secs {
            pace.measure(*now, DownloadStep::Fetching, from + second * bytes_per_sec);
            *now += SECOND;
        }
        from + secs * bytes_per_sec
    }

    #[test]
    fn what_is_slow_for_long_is_slow() {
        let (mut pace, mut now) = (Pace::default(), 0);
        pace.begin();
        let bytes = run(&mut pace, &mut now, 60, 0, FLOOR_BYTES_PER_SEC - 1);
        assert!(!pace.is_slow(), "not for long enough");
        let bytes = run(&mut pace, &mut now, 1, bytes, FLOOR_BYTES_PER_SEC);
        assert!(pace.is_slow());
        let bytes = run(&mut pace, &mut now, 60, bytes, FLOOR_BYTES_PER_SEC);
        assert!(!pace.is_slow(), "it has become faster");
        // A stall is forgiven; silence is not.
        let bytes = run(&mut pace, &mut now, 30, bytes, 0);
        let bytes = run(&mut pace, &mut now, 30, bytes, 3 * FLOOR_BYTES_PER_SEC);
        assert!(!pace.is_slow());
        for _ in 0..=60 {
            pace.measure(now, DownloadStep::Retrying, bytes);
            now += SECOND;
        }
        assert!(pace.is_slow());
        pace.begin();
        assert!(!pace.is_slow());
    }

    #[test]
    fn what_is_checked_or_converted_keeps_its_place() {
        let (mut pace, mut now) = (Pace::default(), 0);
        let bytes = run(&mut pace, &mut now, 61, 0, 1);
        assert!(pace.is_slow());
        for step in [DownloadStep::Checking, DownloadStep::Converting] {
            for _ in 0..200 {
                pace.measure(now, step, bytes);
                now += SECOND;
            }
            assert!(!pace.is_slow(), "{step:?}");
        }
    }

    #[test]
    fn what_begins_anew_with_each_turn_gets_longer_ones() {
        let (mut pace, mut now) = (Pace::default(), 0);
        for turn in 0..4 {
            pace.begin();
            pace.measure(now, DownloadStep::Waiting, 0);
            let secs = (PATIENCE_MILLIS / SECOND) << turn;
            now += SECOND;
            run(&mut pace, &mut now, secs - 1, 0, 100);
            assert!(!pace.is_slow(), "turn {turn}");
            assert!(pace.has_gained());
            run(&mut pace, &mut now, 2, secs * 100, 100);
            assert!(pace.is_slow(), "turn {turn}");
        }
        // The server's answer may come behind the first look at what is there.
        pace.begin();
        let before = pace.patience();
        pace.measure(now, DownloadStep::Fetching, 1 << 20);
        pace.measure(now, DownloadStep::Fetching, 1 << 20);
        pace.measure(now, DownloadStep::Fetching, 100);
        assert_eq!(pace.patience(), 2 * before);
        // One that goes on from what is there has turns of the same length.
        let mut pace = Pace::default();
        let mut bytes = 0;
        for turn in 0..4 {
            pace.begin();
            bytes = run(&mut pace, &mut now, 61, bytes, 100);
            assert!(pace.is_slow(), "turn {turn}");
        }
        assert_eq!(pace.patience(), PATIENCE_MILLIS);
    }

    #[test]
    fn beginning_anew_within_a_turn_gives_no_time() {
        let (mut pace, mut now) = (Pace::default(), 0);
        pace.begin();
        for _ in 0..3 {
            assert!(!pace.is_slow());
            run(&mut pace, &mut now, 30, 0, FLOOR_BYTES_PER_SEC / 2);
        }
        assert!(pace.is_slow(), "broken off each half minute");
        assert_eq!(pace.patience(), PATIENCE_MILLIS);
        // The turn begins anew too: once is that.
        pace.begin();
        for _ in 0..5 {
            assert!(!pace.is_slow());
            run(&mut pace, &mut now, 30, 0, FLOOR_BYTES_PER_SEC / 2);
        }
        assert!(pace.is_slow());
        assert_eq!(pace.patience(), 2 * PATIENCE_MILLIS);
    }

    #[test]
    fn what_an_earlier_turn_brought_did_not_come_in_this_one() {
        let (mut pace, mut now) = (Pace::default(), 0);
        let there = 1 << 30;
        pace.begin();
        pace.measure(now, DownloadStep::Waiting, 0);
        now += SECOND;
        run(&mut pace, &mut now, 61, there, 0);
        assert!(pace.is_slow() && !pace.has_gained());
    }
}
