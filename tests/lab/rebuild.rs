//! Rebuilds with the Debian image: from arming to the host that phones home.

use std::path::PathBuf;
use std::time::Duration;

use ironwake_api::{Event, EventKind, Millis, Operation, OperationState, StageKind};

use super::error::LabError;
use super::machine::Machine;
use super::site::{Lab, PoweredOn};

/// What is written.
pub const IMAGE: &str = "debian-image/trixie-amd64";
/// Memory that the profile asks for, and what discovery holds beside it.
pub const MEMORY_MIB: u32 = 1536;
/// From arming to ready: 80 s on an idle host, and tests run on loaded ones.
const REBUILD_MAX: Duration = Duration::from_secs(420);

/// Where `./dev` keeps the image.
pub fn image() -> Result<PathBuf, LabError> {
    let place = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = place("IRONWAKE_CACHE").or_else(|| Some(place("HOME")?.join(".cache/ironwake")));
    let cached = cache.map(|cache| cache.join("images/debian-image-trixie-amd64.zst"));
    let tried: Vec<PathBuf> = place("IRONWAKE_IMAGE").or(cached).into_iter().collect();
    match tried.iter().find(|path| path.is_file()) {
        Some(path) => Ok(path.clone()),
        None => Err(LabError::Missing {
            what: "the Debian image".into(),
            tried,
            remedy: "./dev lab REBUILD=1 builds it, and ./dev test --all",
        }),
    }
}

/// Something that took its time on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What was reached.
    pub name: String,
    /// When.
    pub at: Millis,
}

/// Arms a rebuild of the machine and hands every event on the way to `show`. A machine that is off is switched on as
/// soon as it is armed, for which `on` is `None`. What was reached when, the arming first.
pub fn rebuild<'a>(
    lab: &'a Lab,
    machine: &Machine,
    on: Option<PoweredOn<'a>>,
    id: &str,
    show: &mut dyn FnMut(&Event),
) -> Result<(PoweredOn<'a>, Vec<Step>), LabError> {
    let made = lab.cli().json(&["rebuild", id, "--profile", "debian-image", "--yes"])?;
    let operation = parse(made)?;
    let armed_at = operation.history.last().map_or(operation.created_at, |event| event.at);
    let mut steps = vec![Step { name: "armed".into(), at: armed_at }];
    let on = match on {
        Some(on) => on,
        None => lab.power_on(machine)?,
    };
    let ended = on.follow("the host that phones home", REBUILD_MAX, |event| {
        show(event);
        steps.extend(step(&event.kind).map(|name| Step { name, at: event.at }));
        matches!(&event.kind, EventKind::OperationChanged { to, .. } if to.has_ended())
    })?;
    match ended.kind {
        EventKind::OperationChanged { to: OperationState::Ready, .. } => Ok((on, steps)),
        kind => Err(LabError::Unexpected { what: "a host that is ready".into(), text: format!("{kind:?}") }),
    }
}

fn parse(value: serde_json::Value) -> Result<Operation, LabError> {
    serde_json::from_value(value.clone())
        .map_err(|error| LabError::Unexpected { what: error.to_string(), text: value.to_string() })
}

/// What is worth a line of its own: states, and what the machine asks for on the way.
fn step(kind: &EventKind) -> Option<String> {
    match kind {
        EventKind::OperationChanged { to, .. } => Some(to.to_string()),
        EventKind::AttemptStarted { .. } => Some("  a boot begins".into()),
        EventKind::AttemptStage { stage, .. } => match &stage.kind {
            StageKind::Http { plan: Some(plan), .. } => Some(format!("  {plan}")),
            StageKind::Agent { message, .. } => Some(format!("  agent: {message}")),
            _ => None,
        },
        _ => None,
    }
}

/// Steps with the time since the first and since the one before.
pub fn table(steps: &[Step]) -> String {
    let secs = |from: Millis, to: Millis| to.saturating_sub(from) as f64 / 1000.0;
    let first = steps.first().map_or(0, |step| step.at);
    let mut before = first;
    let mut text = format!("{:>9} {:>9}  reached\n", "at", "took");
    for step in steps {
        text.push_str(&format!(
            "{:>7.1} s {:>7.1} s  {}\n",
            secs(first, step.at),
            secs(before, step.at),
            step.name
        ));
        before = step.at;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_counts_from_the_arming() {
        let step = |name: &str, at| Step { name: name.into(), at };
        let text = table(&[step("armed", 1000), step("pxe_booted", 3500), step("ready", 4000)]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "    0.0 s     0.0 s  armed");
        assert_eq!(lines[3], "    3.0 s     0.5 s  ready");
    }
}
