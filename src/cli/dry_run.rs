//! `--dry-run`: what an operation would be, and what is wrong with it, without making it.

use ironwake_api::{DryRun, OperationNew};

use super::operation::{holders, shown};
use super::output::{Style, clean};
use super::selection::Selected;
use super::{Context, Failure};

/// Shows what would be recorded for each machine; finds fault where something would be refused.
pub async fn run(machines: Selected, new: &OperationNew, context: &mut Context) -> Result<(), Failure> {
    let (mut runs, mut names) = (Vec::new(), Vec::new());
    for (key, called) in machines.keys(context).await? {
        runs.push(context.client.dry_run(&key, new).await?);
        names.push(called);
    }
    if context.json {
        match &runs[..] {
            [one] => context.output.json(one)?,
            several => context.output.json(&several)?,
        }
    } else {
        for (run, called) in runs.iter().zip(&names) {
            write(run, called, context)?;
        }
    }
    if runs.iter().all(|run| run.mistakes.is_empty()) { Ok(()) } else { Err(Failure::Findings) }
}

fn write(run: &DryRun, called: &str, context: &mut Context) -> std::io::Result<()> {
    let output = &mut context.output;
    let (verdict, style) = match run.mistakes.len() {
        0 => ("would be made", Style::Good),
        _ => ("would be refused", Style::Bad),
    };
    let title = output.styled(&format!("{} of {} {verdict}", run.kind, clean(called)), style);
    output.line(title)?;
    for problem in &run.mistakes {
        let line = format!("  wrong    {}: {}", clean(&problem.field), clean(&problem.message));
        let line = output.styled(&line, Style::Bad);
        output.line(line)?;
    }
    if let Some(profile) = &run.profile {
        output.line(format!("  profile  {} {}", profile.name, clean(&profile.version)))?;
        for (name, value) in &profile.variables {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            output.line(format!("    {name} = {}", clean(&value)))?;
        }
    }
    if let Some(hostname) = &run.hostname {
        output.line(format!("  host     {}", clean(hostname)))?;
    }
    for disk in &run.disks {
        output.line(format!("  disk     {}", clean(&shown(disk))))?;
        for line in &disk.contents {
            output.line(format!("    {}", clean(line)))?;
        }
        if let Some(holders) = holders(disk) {
            output.line(format!("    {holders}"))?;
        }
    }
    for artifact in &run.artifacts {
        output.line(format!("  needs    {} (sha256:{})", clean(&artifact.name), artifact.sha256))?;
    }
    for file in &run.files {
        output.line(format!("  gives    {} ({} bytes)", clean(&file.place), file.content.len()))?;
    }
    for step in &run.steps {
        output.line(format!("  step     {}", clean(step)))?;
    }
    Ok(())
}
