//! What the probe found.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::BTreeMap;
use std::fmt;

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
