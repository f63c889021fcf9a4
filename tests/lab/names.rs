//! Names of labs: they carry who owns them, so that what a dead owner left can be told and removed.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

const PREFIX: &str = "iwlab-";

static LABS: AtomicU32 = AtomicU32::new(0);

/// `iwlab-<pid>.<start>-<number>`: unique on this host, and the owner can be looked up. The start
/// time tells a process from a later one with the same number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabName(String);

impl LabName {
    /// A name that no other lab has.
    pub fn unique() -> Self {
        let pid = std::process::id();
        let start = start_time(pid).unwrap_or_default();
        Self(format!("{PREFIX}{pid}.{start}-{}", LABS.fetch_add(1, Ordering::Relaxed)))
    }

    /// The lab's own part of a name for one of its things.
    pub fn of(&self, thing: &str) -> String {
        format!("{}-{thing}", self.0)
    }
}

impl std::fmt::Display for LabName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether `name` belongs to a lab whose process is gone. Names of other kinds never do.
pub fn is_stale(name: &str) -> bool {
    owner(name).is_some_and(|(pid, start)| start_time(pid) != Some(start))
}

/// Process number and start time in a lab's name.
fn owner(name: &str) -> Option<(u32, u64)> {
    let (pid, rest) = name.strip_prefix(PREFIX)?.split_once('.')?;
    Some((pid.parse().ok()?, rest.split('-').next()?.parse().ok()?))
}

/// When a process started, in clock ticks since the host's boot (field 22 of proc_pid_stat(5)).
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name may hold spaces and parentheses: count from the last one.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_dead_owners_are_stale() {
        let name = LabName::unique();
        assert!(!is_stale(&name.of("site")));
        let mine = owner(&name.of("site")).expect("a lab's name");
        assert_eq!(mine.0, std::process::id());
        assert!(is_stale(&format!("iwlab-{}.{}-0-site", mine.0, mine.1 + 1)));
        assert!(!is_stale("iwlab-site"));
        assert!(!is_stale("other-1.1-0"));
    }
}
