//! Boot attempts as a timeline: stage by stage, with the time since the first.

use std::io;

use ironwake_api::{Attempt, AttemptOutcome, Stage, StageKind};

use super::human;
use super::output::{Output, Style, clean};

/// Writes one attempt with its stages.
pub fn write(attempt: &Attempt, output: &mut Output) -> io::Result<()> {
    let arch = attempt.arch.as_deref().map(|arch| format!(", {arch}")).unwrap_or_default();
    let took = human::duration(attempt.last_at.saturating_sub(attempt.started_at));
    let heading = format!("boot attempt {} at {}", attempt.id, human::time(attempt.started_at));
    let heading = output.styled(&heading, Style::Strong);
    let state = output.styled(attempt.outcome.name(), style(attempt.outcome));
    output.line(format!("{heading} ({}{}): {state} in {took}", attempt.mac, clean(&arch)))?;
    for stage in &attempt.stages {
        write_stage(stage, attempt.started_at, output)?;
    }
    if let Some(found) = &attempt.diagnosis {
        let code = output.styled(&clean(&found.code), Style::Bad);
        output.line(format!("  {code}: {}", clean(&found.message)))?;
        output.line(format!("  next: {}", clean(&found.remedy)))?;
    }
    Ok(())
}

fn write_stage(stage: &Stage, started_at: u64, output: &mut Output) -> io::Result<()> {
    let since = stage.at.saturating_sub(started_at);
    let offset = output.styled(&format!("+{:>4}.{:03} s", since / 1000, since % 1000), Style::Faint);
    let (what, style) = describe(stage);
    let what = output.styled(&clean(&what), style);
    output.line(format!("  {offset}  {:8}  {what}", stage.client.name()))
}

/// How an outcome is to be seen.
pub fn style(outcome: AttemptOutcome) -> Style {
    match outcome {
        AttemptOutcome::Running => Style::Warning,
        AttemptOutcome::Inventoried | AttemptOutcome::LocalBoot => Style::Good,
        AttemptOutcome::Failed => Style::Bad,
    }
}

/// What happened in a stage, and how that is to be seen.
pub fn describe(stage: &Stage) -> (String, Style) {
    let style = match &stage.kind {
        StageKind::Dhcp { answer: Some(answer), .. } if answer == "NAK" => Style::Warning,
        StageKind::Dhcp { answer: None, .. } => Style::Faint,
        StageKind::Tftp { aborted: Some(_), .. } | StageKind::Http { status: 400.., .. } => Style::Warning,
        StageKind::Agent { failed: true, .. } => Style::Bad,
        StageKind::Inventory { .. } => Style::Good,
        _ => Style::Plain,
    };
    (stage.sentence(), style)
}
