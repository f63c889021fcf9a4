//! What runs on a machine: what each call of it changes, and when it has been silent for too long.

use std::fmt::Write as _;

use ironwake_api::{Host, MachineHost, Millis, Reachability};
use serde::{Deserialize, Serialize};

use super::record::Record;

/// Calls that a host misses before it counts as silent: one is a reboot, two a long one.
const MISSED_MAX: u64 = 3;
/// What timers and networks may be late by.
const LATE: Millis = 60_000;
/// Longest value that a change names.
const VALUE_CHARS_MAX: usize = 200;

/// What runs on a machine, and by which token it calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRecord {
    /// The machine's id.
    pub machine: String,
    /// The operation that installed it.
    pub operation: String,
    /// The arming of that operation, which the token belongs to.
    pub arming: u32,
    /// What it said of itself.
    pub host: Host,
    /// How often its profile has it call.
    #[serde(default)]
    pub heartbeat_secs: Option<u64>,
    /// Whether an event has told that it is silent.
    pub silent: bool,
}

/// What a call changes that an operator cares about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct News {
    /// The boot that reports, where it is another one than before.
    pub booted: Option<String>,
    /// What differs, a line each.
    pub changes: Vec<String>,
    /// How long nothing was heard of a host that was silent.
    pub silent_for: Option<Millis>,
}

impl News {
    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl HostRecord {
    /// What an operation has installed, as `host` says.
    pub fn new(record: &Record, host: Host) -> Self {
        Self {
            machine: record.operation.machine.clone(),
            operation: record.operation.id.clone(),
            arming: record.armings,
            host,
            heartbeat_secs: record.rebuild.as_ref().and_then(|rebuild| rebuild.heartbeat_secs),
            silent: false,
        }
    }

    /// The record once the host has called, and what is different. What the call leaves out stays as it was, but for the
    /// uptime, which would be that of another time; what was not known before is no difference.
    pub fn heard(&self, call: Host) -> (Self, News) {
        let before = &self.host;
        let keep = |next: &Option<String>, last: &Option<String>| next.clone().or(last.clone());
        let keep_all = |next: &[String], last: &[String]| if next.is_empty() { last } else { next }.to_vec();
        let host = Host {
            hostname: keep(&call.hostname, &before.hostname),
            addresses: keep_all(&call.addresses, &before.addresses),
            ssh_keys: keep_all(&call.ssh_keys, &before.ssh_keys),
            boot_id: keep(&call.boot_id, &before.boot_id),
            kernel: keep(&call.kernel, &before.kernel),
            os: keep(&call.os, &before.os),
            ..call
        };
        let known = |text: &Option<String>| text.clone().unwrap_or_default();
        let mut changes = Vec::new();
        for (name, last, next) in [
            ("hostname", known(&before.hostname), known(&host.hostname)),
            ("addresses", before.addresses.join(", "), host.addresses.join(", ")),
            ("kernel", known(&before.kernel), known(&host.kernel)),
            ("system", known(&before.os), known(&host.os)),
        ] {
            if !last.is_empty() && last != next {
                changes.push(format!("{name}: {} → {}", cut(&last), cut(&next)));
            }
        }
        if !before.ssh_keys.is_empty() && before.ssh_keys != host.ssh_keys {
            changes.push("SSH host keys".to_owned());
        }
        let booted =
            host.boot_id.clone().filter(|next| before.boot_id.as_ref().is_some_and(|last| last != next));
        let silent_for = self.silent.then(|| host.at.saturating_sub(before.at));
        let after = Self { host, silent: false, ..self.clone() };
        (after, News { booted, changes, silent_for })
    }

    /// Whether it has missed several calls. Nothing could be heard before `listening_since`.
    pub fn is_late(&self, now: Millis, listening_since: Millis) -> bool {
        self.heartbeat_secs.is_some_and(|secs| {
            let allowed = secs.saturating_mul(1000 * MISSED_MAX).saturating_add(LATE);
            now.saturating_sub(self.host.at.max(listening_since)) > allowed
        })
    }

    /// As the machine's record shows it.
    pub fn shown(&self, now: Millis, listening_since: Millis) -> MachineHost {
        let reachability = match self.heartbeat_secs {
            None => Reachability::Unwatched,
            Some(_) if self.silent || self.is_late(now, listening_since) => Reachability::Silent,
            Some(_) => Reachability::Calling,
        };
        MachineHost {
            operation: self.operation.clone(),
            host: self.host.clone(),
            heartbeat_secs: self.heartbeat_secs,
            reachability,
        }
    }
}

/// A value that fits into a line.
fn cut(text: &str) -> String {
    let mut chars = text.chars();
    let mut kept: String = chars.by_ref().take(VALUE_CHARS_MAX).collect();
    let left = chars.count();
    if left > 0 {
        // Writing to a string cannot fail.
        let _ = write!(kept, "… ({left} more)");
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> HostRecord {
        HostRecord {
            machine: "m".into(),
            operation: "o".into(),
            arming: 1,
            host: host(1000),
            heartbeat_secs: Some(60),
            silent: false,
        }
    }

    fn host(at: Millis) -> Host {
        Host {
            at,
            from: "10.0.0.1".into(),
            hostname: Some("node-1".into()),
            addresses: vec!["10.0.0.1".into()],
            ssh_keys: vec!["ssh-ed25519 AAAA".into()],
            boot_id: Some("b1".into()),
            kernel: Some("6.1".into()),
            os: Some("Debian 12".into()),
            uptime_secs: Some(5),
        }
    }

    #[test]
    fn a_call_that_says_the_same_or_less_is_no_news() {
        let (same, news) = record().heard(host(2000));
        assert_eq!((same.host.at, news), (2000, News::default()));
        let less = Host { at: 3000, from: "10.0.0.1".into(), ..Host::default() };
        let (after, news) = record().heard(less);
        assert!(news.is_empty());
        assert_eq!(after.host, Host { at: 3000, uptime_secs: None, ..host(0) });
        let unknown = HostRecord { host: Host::default(), ..record() };
        assert!(unknown.heard(host(2000)).1.is_empty(), "what was not known is no difference");
    }

    #[test]
    fn a_change_is_named_with_both_values() {
        let check = |change: fn(&mut Host), expected: &[&str]| {
            let mut call = host(2000);
            change(&mut call);
            let (_, news) = record().heard(call);
            assert_eq!(
                (news.booted, news.changes),
                (None, expected.iter().map(|&line| line.into()).collect())
            );
        };
        check(|host| host.kernel = Some("6.12".into()), &["kernel: 6.1 → 6.12"]);
        check(|host| host.os = Some("Debian 13".into()), &["system: Debian 12 → Debian 13"]);
        check(|host| host.hostname = Some("x".into()), &["hostname: node-1 → x"]);
        check(|host| host.addresses.push("::1".into()), &["addresses: 10.0.0.1 → 10.0.0.1, ::1"]);
        check(|host| host.ssh_keys = vec!["other".into()], &["SSH host keys"]);
        check(|host| host.from = "10.0.0.2".into(), &[]);
        let long = Host { os: Some("x".repeat(VALUE_CHARS_MAX + 7)), ..host(0) };
        assert!(record().heard(long).1.changes[0].ends_with("x… (7 more)"));
        let (_, news) = record().heard(Host { boot_id: Some("b2".into()), ..host(2000) });
        assert_eq!((news.booted.as_deref(), &news.changes[..]), (Some("b2"), &[][..]));
    }

    #[test]
    fn a_host_is_silent_once_it_has_missed_three_calls() {
        let check = |now, since, reachability| {
            assert_eq!(record().shown(now, since).reachability, reachability, "{now} {since}");
        };
        let late = 1000 + 3 * 60_000 + LATE;
        check(late, 0, Reachability::Calling);
        check(late + 1, 0, Reachability::Silent);
        check(late + 1, 1001, Reachability::Calling);
        let unwatched = HostRecord { heartbeat_secs: None, ..record() };
        assert_eq!(unwatched.shown(u64::MAX, 0).reachability, Reachability::Unwatched);
        let told = HostRecord { silent: true, ..record() };
        assert_eq!(told.shown(1000, 1000).reachability, Reachability::Silent, "a restart changes nothing");
        assert_eq!(told.heard(host(9000)).1.silent_for, Some(8000));
        assert!(!told.heard(host(9000)).0.silent);
    }
}
