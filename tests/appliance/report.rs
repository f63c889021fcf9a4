//! What the probe found.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fmt, fs};

/// Values by name; those of a name that comes again are lines.
#[derive(Debug, Default)]
pub struct Report(BTreeMap<String, String>);

impl Report {
    /// Takes a line, `NAME: VALUE`; others are errors of the probe's own.
    pub fn add(&mut self, line: &str) {
        let (name, value) = line.split_once(": ").unwrap_or((line.trim_end_matches(':'), ""));
        let text = self.0.entry(name.to_owned()).or_default();
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(value);
    }

    /// The value of a name; empty where there is none.
    pub fn value(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// That a name has this value.
    #[track_caller]
    pub fn is(&self, name: &str, expected: &str) {
        assert_eq!(self.value(name), expected, "{name} in:\n{self}");
    }
}

/// The end of what a serial port said, as it is kept in this file.
pub fn said_last(console: &Path) -> String {
    let console = fs::read(console).unwrap_or_default();
    let console = String::from_utf8_lossy(&console);
    let lines: Vec<&str> = console.lines().collect();
    format!("its serial port:\n{}", lines[lines.len().saturating_sub(40)..].join("\n"))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.0 {
            for line in value.split('\n').filter(|line| !line.is_empty()) {
                writeln!(f, "  {name}: {line}")?;
            }
        }
        Ok(())
    }
}
