//! How far a transfer is, in one line that is written over, where a person looks.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::human;

/// More often is a flicker.
const SHOW_EVERY: Duration = Duration::from_millis(200);
/// Before that a rate is a guess.
const RATE_AFTER: Duration = Duration::from_secs(1);

/// A line on standard error; clones share it. Without a terminal it shows nothing.
#[derive(Clone)]
pub struct Meter(Option<Arc<Shown>>);

struct Shown {
    size: Option<u64>,
    began: Instant,
    last: Mutex<Option<Instant>>,
}

impl Meter {
    /// For `size` bytes, where that is known.
    pub fn stderr(size: Option<u64>) -> Self {
        let shown = || Arc::new(Shown { size, began: Instant::now(), last: Mutex::default() });
        Self(io::stderr().is_terminal().then(shown))
    }

    /// So many bytes are done.
    pub fn show(&self, done: u64) {
        let Some(shown) = &self.0 else { return };
        let mut last = shown.last.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = shown.size == Some(done);
        if whole || last.is_none_or(|last| last.elapsed() >= SHOW_EVERY) {
            *last = Some(Instant::now());
            rewrite(&line(done, shown.size, shown.began.elapsed()));
        }
    }

    /// Shows a line that somebody else made.
    pub fn write(&self, line: &str) {
        if self.0.is_some() {
            rewrite(line);
        }
    }

    /// Takes the line away.
    pub fn clear(&self) {
        if self.0.is_some() {
            rewrite("");
        }
    }
}

fn rewrite(line: &str) {
    // Whoever closed standard error does not want to know.
    let _ = write!(io::stderr(), "\r{line}\x1b[K");
}

fn line(done: u64, size: Option<u64>, elapsed: Duration) -> String {
    let mut line = human::size(done);
    if let Some(size) = size.filter(|size| *size > 0) {
        let percent = u128::from(done) * 100 / u128::from(size);
        line.push_str(&format!(" of {}, {percent} %", human::size(size)));
    }
    if elapsed < RATE_AFTER {
        return line;
    }
    let rate = (done as f64 / elapsed.as_secs_f64()) as u64;
    line.push_str(&format!(", {}/s", human::size(rate)));
    match size {
        Some(size) if size <= done => line.push_str(", saving"),
        Some(size) if rate > 0 => {
            let left = Duration::from_secs((size - done).div_ceil(rate));
            line.push_str(&format!(", {} left", human::duration(left.as_millis() as u64)));
        }
        _ => {}
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(done: u64, size: Option<u64>, millis: u64, expected: &str) {
        assert_eq!(line(done, size, Duration::from_millis(millis)), expected);
    }

    #[test]
    fn a_line_says_as_much_as_is_known() {
        const MIB: u64 = 1 << 20;
        check(MIB, None, 10, "1 MiB");
        check(MIB, Some(4 * MIB), 10, "1 MiB of 4 MiB, 25 %");
        check(MIB, Some(101 * MIB), 2000, "1 MiB of 101 MiB, 0 %, 512 KiB/s, 3 m 20 s left");
        check(4 * MIB, Some(4 * MIB), 2000, "4 MiB of 4 MiB, 100 %, 2 MiB/s, saving");
        check(0, Some(MIB), 2000, "0 B of 1 MiB, 0 %, 0 B/s");
        check(0, Some(0), 0, "0 B");
        check(2 * MIB, None, 2000, "2 MiB, 1 MiB/s");
    }
}
