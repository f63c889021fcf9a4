//! Machines as a table: who they are, what they have, what is done with them.

use std::io;

use ironwake_api::{AttemptOutcome, Enrolment, HardwareSummary, Machine, OperationBrief, OperationState};

use super::output::Style;
use super::table::Table;
use super::{Context, host, human, operation};

/// Columns of a terminal from which on hardware, profile and last boot are shown too.
const WIDE: usize = 160;

/// Writes machines, one a row; as wide as there is room for.
pub fn write(machines: &[Machine], context: &mut Context) -> io::Result<()> {
    if context.json {
        return context.output.json(&machines);
    }
    let now = human::now();
    let wide = context.output.width().is_none_or(|width| width >= WIDE);
    // Those with `true` are shown where there is room for them.
    let columns = [
        ("ID", false),
        ("NAME", false),
        ("STATE", false),
        ("MAC", false),
        ("ADDRESS", false),
        ("PRODUCT", false),
        ("CPU", true),
        ("RAM", true),
        ("DISKS", true),
        ("SERIAL", false),
        ("SEEN", false),
        ("LAST BOOT", true),
        ("PROFILE", true),
        ("WORK", false),
        ("TAGS", false),
    ];
    let heading: Vec<&str> =
        columns.iter().filter(|(_, more)| wide || !more).map(|(name, _)| *name).collect();
    let mut table = Table::new(&heading);
    for machine in machines {
        let cells = columns.iter().zip(cells(machine, now)).filter(|((_, more), _)| wide || !more);
        table.row(cells.map(|(_, cell)| cell));
    }
    table.write(&mut context.output, "no machines: power one on that boots from the network")
}

fn cells(machine: &Machine, now: u64) -> [(String, Style); 15] {
    let style = match machine.enrolment {
        Enrolment::Enrolled => Style::Good,
        Enrolment::Unenrolled => Style::Warning,
        Enrolment::Registered => Style::Faint,
    };
    let macs = match &machine.macs[..] {
        [] => String::new(),
        [mac] => mac.to_string(),
        [mac, others @ ..] => format!("{mac} +{}", others.len()),
    };
    let plain = |text: String| (text, Style::Plain);
    let hardware = machine.hardware.as_deref();
    [
        plain(machine.id.clone()),
        plain(machine.name.clone().unwrap_or_default()),
        (machine.enrolment.name().to_owned(), style),
        plain(macs),
        plain(machine.address.clone().unwrap_or_default()),
        plain(product(machine)),
        plain(hardware.map(cpu).unwrap_or_default()),
        plain(hardware.and_then(|found| found.ram_bytes).map(human::size).unwrap_or_default()),
        plain(hardware.map(disks).unwrap_or_default()),
        plain(machine.serial.clone().unwrap_or_default()),
        host::seen(machine, now),
        boot(machine, now),
        plain(profile(machine)),
        machine.operation.as_deref().map_or((String::new(), Style::Plain), |running| {
            (work(running, now), operation::style(running.state))
        }),
        plain(machine.tags.join(",")),
    ]
}

fn product(machine: &Machine) -> String {
    match machine.hardware.as_deref().and_then(|hardware| hardware.model.clone()) {
        Some(model) => model,
        None => {
            let parts = [&machine.manufacturer, &machine.product].into_iter().flatten();
            parts.map(String::as_str).collect::<Vec<_>>().join(" ")
        }
    }
}

/// `2 × Intel(R) Xeon(R) Gold 6230, 40 cores`
pub fn cpu(hardware: &HardwareSummary) -> String {
    let count = if hardware.cpus > 1 { format!("{} × ", hardware.cpus) } else { String::new() };
    let cores = hardware.cores.map(|cores| format!("{cores} cores"));
    match (&hardware.cpu, cores) {
        (Some(model), Some(cores)) => format!("{count}{model}, {cores}"),
        (Some(model), None) => format!("{count}{model}"),
        (None, cores) => cores.unwrap_or_default(),
    }
}

/// `2, 894.3 GiB`
fn disks(hardware: &HardwareSummary) -> String {
    match hardware.disks {
        0 => "none".into(),
        1 => human::size(hardware.disk_bytes),
        count => format!("{count}, {}", human::size(hardware.disk_bytes)),
    }
}

fn boot(machine: &Machine, now: u64) -> (String, Style) {
    let Some(attempt) = machine.last_attempt.as_deref() else { return (String::new(), Style::Plain) };
    let what = attempt.diagnosis.as_deref().unwrap_or(attempt.outcome.name());
    let style = match attempt.outcome {
        AttemptOutcome::Failed => Style::Bad,
        AttemptOutcome::Running => Style::Warning,
        AttemptOutcome::Inventoried | AttemptOutcome::LocalBoot => Style::Plain,
    };
    (format!("{what}, {}", human::ago(attempt.last_at, now)), style)
}

fn profile(machine: &Machine) -> String {
    let Some(profile) = machine.profile.as_deref() else { return String::new() };
    match profile.standing {
        ironwake_api::ProfileStanding::Installed => format!("{} {}", profile.name, profile.version),
        other => format!("{} ({})", profile.name, other.name()),
    }
}

/// `rebuild, armed for 42 min`, `rebuild, installing 34 %, 2 m 05 s left`
pub fn work(running: &OperationBrief, now: u64) -> String {
    if let (OperationState::PxeReady, Some(until)) = (running.state, running.armed_until) {
        return format!("{}, armed for {} min", running.kind, until.saturating_sub(now).div_ceil(60_000));
    }
    let mut text = format!("{}, {}", running.kind, running.state);
    let writing = running.state == OperationState::Installing;
    if let Some(percent) = running.progress.filter(|_| writing).and_then(|progress| progress.percent()) {
        text.push_str(&format!(" {percent} %"));
        if let Some(secs) = running.secs_left {
            text.push_str(&format!(", {} left", human::duration(secs.saturating_mul(1000))));
        }
    }
    if let Some(step) = &running.step {
        text.push_str(&format!(", step {step}"));
    }
    text
}
