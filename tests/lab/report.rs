//! What a person sees when a lab fails, and the tables of times.

use std::fmt::Write as _;
use std::path::Path;

use ironwake_api::{Event, Millis};

use super::events::event_line;
use super::process::tail;

/// Lines of a machine's serial port in a report: a kernel's panic with its call trace.
const SERIAL_LINES: usize = 50;

/// Seconds from `origin` to `at`, such as `+12.345 s`.
pub fn since(origin: Millis, at: Millis) -> String {
    format!("{:+9.3} s", (at as f64 - origin as f64) / 1000.0)
}

/// Events as lines with their time since `origin`.
pub fn timeline(events: &[Event], origin: Millis) -> String {
    let mut text = String::new();
    for event in events {
        let _ = writeln!(text, "  {}  {}", since(origin, event.at), event_line(&event.kind));
    }
    if text.is_empty() {
        text.push_str("  (no event)\n");
    }
    text
}

/// A titled part of a report.
pub fn part(title: &str, text: &str) -> String {
    format!("── {title}\n{}\n", text.trim_end())
}

/// The end of a machine's serial port.
pub fn serial(path: &Path) -> String {
    tail(path, SERIAL_LINES)
}
