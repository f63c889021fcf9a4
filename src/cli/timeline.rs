//! Boot attempts as a timeline: stage by stage, with the time since the first.

use std::io;

use ironwake_api::{Attempt, AttemptOutcome, ClientStage, Stage, StageKind};

use super::human;
use super::output::{Output, Style, clean};

/// Writes one attempt with its stages.
pub fn write(attempt: &Attempt, output: &mut Output) -> io::Result<()> {
    let (outcome, style) = outcome(attempt.outcome);
    let arch = attempt.arch.as_deref().map(|arch| format!(", {arch}")).unwrap_or_default();
    let took = human::duration(attempt.last_at.saturating_sub(attempt.started_at));
    let heading = format!("boot attempt {} at {}", attempt.id, human::time(attempt.started_at));
    let heading = output.styled(&heading, Style::Strong);
    let state = output.styled(outcome, style);
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
    output.line(format!("  {offset}  {:8}  {what}", client(stage.client)))
}

/// How an attempt stands, as people read it.
pub fn outcome(outcome: AttemptOutcome) -> (&'static str, Style) {
    match outcome {
        AttemptOutcome::Running => ("running", Style::Warning),
        AttemptOutcome::Inventoried => ("inventoried", Style::Good),
        AttemptOutcome::LocalBoot => ("local boot", Style::Good),
        AttemptOutcome::Failed => ("failed", Style::Bad),
    }
}

/// Which program spoke, as people read it.
pub fn client(stage: ClientStage) -> &'static str {
    match stage {
        ClientStage::Firmware => "firmware",
        ClientStage::Ipxe => "iPXE",
        ClientStage::Grub => "GRUB",
        ClientStage::Agent => "agent",
        ClientStage::Os => "OS",
    }
}

/// What happened in a stage, why, and how often.
pub fn describe(stage: &Stage) -> (String, Style) {
    let (mut text, style) = describe_kind(&stage.kind);
    if stage.repeats > 0 {
        text.push_str(&format!(" ({} times)", stage.repeats.saturating_add(1)));
    }
    (text, style)
}

fn describe_kind(kind: &StageKind) -> (String, Style) {
    match kind {
        StageKind::Dhcp { message, answer, address, file, why } => {
            let answer_shown = answer.as_deref().unwrap_or("no answer");
            let mut text = format!("DHCP {message} → {answer_shown}");
            for part in [address, file].into_iter().flatten() {
                text.push_str(&format!(" {part}"));
            }
            if !why.is_empty() {
                text.push_str(&format!(" ({why})"));
            }
            let style = match answer.as_deref() {
                Some("NAK") => Style::Warning,
                Some(_) => Style::Plain,
                None => Style::Faint,
            };
            (text, style)
        }
        StageKind::Tftp { file, bytes, size, duration_ms, retries, aborted } => {
            let retries =
                if *retries > 0 { format!(", {retries} windows sent again") } else { String::new() };
            let took = human::duration(*duration_ms);
            match aborted {
                None => (format!("TFTP {file}: {} in {took}{retries}", human::size(*bytes)), Style::Plain),
                Some(why) => {
                    let (done, all) = (human::size(*bytes), human::size(*size));
                    (format!("TFTP {file}: {done} of {all} in {took}{retries}, ended: {why}"), Style::Warning)
                }
            }
        }
        StageKind::Http { method, path, status, bytes, duration_ms, plan } => {
            let plan = plan.as_deref().map(|plan| format!(": {plan}")).unwrap_or_default();
            let (sent, took) = (human::size(*bytes), human::duration(*duration_ms));
            let style = if *status >= 400 { Style::Warning } else { Style::Plain };
            (format!("HTTP {method} {path} → {status}, {sent} in {took}{plan}"), style)
        }
        StageKind::Agent { message, failed } => {
            (message.clone(), if *failed { Style::Bad } else { Style::Plain })
        }
        StageKind::Inventory { changes } => {
            let text = match changes {
                None => "first inventory".into(),
                Some(0) => "inventory, unchanged".into(),
                Some(count) => format!("inventory, {count} changes"),
            };
            (text, Style::Good)
        }
    }
}
