//! Name, time and keyboard of the appliance: what is asked for, as steps that can be done.

use std::net::IpAddr;

use ironwake_api::{FieldProblem, SystemAction, SystemChoices, SystemPatch};

use crate::machine::check_name;

/// The kernel's names are no longer (gethostname(2)).
const HOSTNAME_BYTES_MAX: usize = 64;
/// Servers that the clock is set from: one would do, four find out the one that is wrong.
const NTP_SERVERS_MAX: usize = 8;
/// Names of time zones and keyboards, where this host lists none.
const NAME_BYTES_MAX: usize = 64;

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Name the appliance.
    Hostname(String),
    /// Set its time zone.
    Timezone(String),
    /// Set its clock from the network, or not.
    Ntp(bool),
    /// Name the servers that its clock is set from.
    NtpServers(Vec<String>),
    /// Set its keyboard.
    Keyboard(String),
}

impl Step {
    /// What it changes.
    pub fn action(&self) -> SystemAction {
        match self {
            Self::Hostname(_) => SystemAction::Hostname,
            Self::Timezone(_) => SystemAction::Timezone,
            Self::Ntp(_) => SystemAction::Ntp,
            Self::NtpServers(_) => SystemAction::NtpServers,
            Self::Keyboard(_) => SystemAction::Keyboard,
        }
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Hostname(name) => write!(f, "host name {name}"),
            Self::Timezone(zone) => write!(f, "time zone {zone}"),
            Self::Ntp(true) => f.write_str("clock set from the network"),
            Self::Ntp(false) => f.write_str("clock not set from the network"),
            Self::NtpServers(servers) if servers.is_empty() => f.write_str("time servers of the system"),
            Self::NtpServers(servers) => write!(f, "time servers {}", servers.join(", ")),
            Self::Keyboard(keymap) => write!(f, "keyboard {keymap}"),
        }
    }
}

/// What a change comes to, in the order in which it is done; or each field that is wrong.
pub fn check_patch(patch: &SystemPatch, choices: &SystemChoices) -> Result<Vec<Step>, Vec<FieldProblem>> {
    let mut wrong = Vec::new();
    let mut refuse = |field: &str, message: String| wrong.push(FieldProblem { field: field.into(), message });
    let mut steps = Vec::new();
    if let Some(name) = &patch.hostname {
        match check_name(name) {
            Ok(name) if name.len() <= HOSTNAME_BYTES_MAX => steps.push(Step::Hostname(name)),
            Ok(name) => refuse(
                "hostname",
                format!("{name:?} has {} characters; at most {HOSTNAME_BYTES_MAX} fit", name.len()),
            ),
            Err(error) => refuse("hostname", error.to_string()),
        }
    }
    if let Some(zone) = &patch.timezone {
        match check_choice(zone, &choices.timezones, "time zone", "Europe/Vienna") {
            Ok(()) => steps.push(Step::Timezone(zone.clone())),
            Err(message) => refuse("timezone", message),
        }
    }
    // Setting the clock from the network starts what forgets the servers: they come behind it.
    steps.extend(patch.ntp.map(Step::Ntp));
    if let Some(servers) = &patch.ntp_servers {
        match check_servers(servers) {
            Ok(()) => steps.push(Step::NtpServers(servers.clone())),
            Err((index, message)) => refuse(&format!("ntp_servers[{index}]"), message),
        }
    }
    if let Some(keyboard) = &patch.keyboard {
        match check_choice(keyboard, &choices.keyboards, "keyboard", "us") {
            Ok(()) => steps.push(Step::Keyboard(keyboard.clone())),
            Err(message) => refuse("keyboard", message),
        }
    }
    if wrong.is_empty() { Ok(steps) } else { Err(wrong) }
}

/// One of a list; where there is none, something that looks like a name.
fn check_choice(name: &str, list: &[String], what: &str, example: &str) -> Result<(), String> {
    let listed = list.iter().any(|known| known == name);
    let named = !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_+/.".contains(&byte))
        && !name.starts_with('/')
        && !name.split('/').any(|part| part.is_empty() || part == "..");
    if listed || list.is_empty() && named {
        return Ok(());
    }
    let nearest = list.iter().find(|known| {
        known.eq_ignore_ascii_case(name)
            || known.rsplit('/').next().is_some_and(|last| last.eq_ignore_ascii_case(name))
    });
    let help = nearest.map_or_else(
        || format!("`ironwake system choices` lists them, such as {example:?}"),
        |meant| format!("did you mean {meant:?}?"),
    );
    Err(format!("there is no {what} {name:?} here; {help}"))
}

fn check_servers(servers: &[String]) -> Result<(), (usize, String)> {
    if servers.len() > NTP_SERVERS_MAX {
        return Err((NTP_SERVERS_MAX, format!("there are {}; at most {NTP_SERVERS_MAX}", servers.len())));
    }
    for (index, server) in servers.iter().enumerate() {
        if server.parse::<IpAddr>().is_err() && check_name(server).is_err() {
            let message = format!("{server:?} is neither an address nor a name, such as \"pool.ntp.org\"");
            return Err((index, message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn judge(patch: serde_json::Value, choices: &SystemChoices) -> Result<Vec<String>, Vec<String>> {
        let patch = serde_json::from_value(patch).expect("a patch");
        match check_patch(&patch, choices) {
            Ok(steps) => Ok(steps.iter().map(ToString::to_string).collect()),
            Err(wrong) => Err(wrong.into_iter().map(|w| format!("{}: {}", w.field, w.message)).collect()),
        }
    }

    #[test]
    fn a_change_becomes_steps_in_a_safe_order() {
        let choices = SystemChoices {
            timezones: vec!["Etc/UTC".into(), "Europe/Vienna".into()],
            keyboards: vec!["de".into(), "us".into()],
        };
        let patch = json!({"ntp_servers": ["10.0.0.1", "pool.ntp.org"], "keyboard": "de", "ntp": true,
            "timezone": "Europe/Vienna", "hostname": "Boot1"});
        let expected = [
            "host name boot1",
            "time zone Europe/Vienna",
            "clock set from the network",
            "time servers 10.0.0.1, pool.ntp.org",
            "keyboard de",
        ];
        assert_eq!(judge(patch, &choices), Ok(expected.map(str::to_owned).into()));
        assert_eq!(judge(json!({}), &choices), Ok(Vec::new()));
        // A host that lists none takes what looks right.
        let none = SystemChoices::default();
        assert!(judge(json!({"timezone": "America/Argentina/Buenos_Aires"}), &none).is_ok());
    }

    #[test]
    fn every_mistake_is_told_by_its_field() {
        let choices = SystemChoices { timezones: vec!["Europe/Vienna".into()], keyboards: Vec::new() };
        let patch = json!({"hostname": "a_b", "timezone": "vienna", "keyboard": "../x", "ntp_servers": ["ok", "a b"]});
        let wrong = judge(patch, &choices).expect_err("refused");
        let parts = [
            "hostname: \"a_b\" is not a host name",
            "timezone: there is no time zone \"vienna\" here; did you mean \"Europe/Vienna\"?",
            "ntp_servers[1]: \"a b\" is neither",
            "keyboard: there is no keyboard \"../x\"",
        ];
        for (found, part) in wrong.iter().zip(parts) {
            assert!(found.contains(part), "{found}");
        }
        assert_eq!(wrong.len(), parts.len());
        let long = json!({"hostname": "a".repeat(60) + ".example"});
        assert!(judge(long, &choices).is_err_and(|wrong| wrong[0].contains("at most 64 fit")));
        let many: Vec<String> = (0..9).map(|n| format!("10.0.0.{n}")).collect();
        assert!(judge(json!({"ntp_servers": many}), &choices).is_err());
    }
}
