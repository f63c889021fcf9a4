//! `ironwake operation`: what is done with machines, and watching it.

use ironwake_api::{
    ApprovedDisk, ArmRequest, EventKind, Operation, OperationQuery, OperationState, Progress,
};

use super::called::Called;
use super::events::describe;
use super::human;
use super::output::{Style, clean};
use super::table::Table;
use super::watch::watch;
use super::{Context, Failure, step};

/// Commands below `operation`. ID is the operation's id.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List operations, newest first
    List {
        /// Only of this machine: id, name, MAC, UUID or serial
        #[arg(long, value_name = "MACHINE")]
        machine: Option<String>,
        /// Only those that have not ended
        #[arg(long)]
        running: bool,
    },
    /// Show one operation with its history
    Show {
        /// Id of the operation
        id: String,
    },
    /// Let the machine's next boot begin it
    Arm {
        /// Id of the operation
        id: String,
        /// How long this is possible, in minutes
        #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u64).range(1..=10_080))]
        minutes: Option<u64>,
    },
    /// Take the arming back
    Disarm {
        /// Id of the operation
        id: String,
    },
    /// Take an operation back, as long as nothing can have been written; end a rescue, or stop its last steps
    Cancel {
        /// Id of the operation
        id: String,
    },
    /// Do again what failed or was cancelled
    Retry {
        /// Id of the operation
        id: String,
    },
    /// Watch an operation until it has ended
    Follow {
        /// Id of the operation
        id: String,
    },
}

pub async fn run(command: Command, context: &mut Context) -> Result<(), Failure> {
    match command {
        Command::List { machine, running } => list(machine, running, context).await,
        Command::Show { id } => {
            let operation = context.client.operation(&id).await?;
            if context.json { Ok(context.output.json(&operation)?) } else { write(&operation, context).await }
        }
        Command::Arm { id, minutes } => {
            let operation =
                context.client.arm(&id, &ArmRequest { armed_secs: minutes.map(|m| m * 60) }).await?;
            done(&operation, context)
        }
        Command::Disarm { id } => done(&context.client.disarm(&id).await?, context),
        Command::Cancel { id } => done(&context.client.cancel(&id).await?, context),
        Command::Retry { id } => done(&context.client.retry(&id, &ArmRequest::default()).await?, context),
        Command::Follow { id } => follow(&id, context).await,
    }
}

pub fn shown(disk: &ApprovedDisk) -> String {
    let texts = [disk.model.as_deref(), disk.serial.as_deref().or(disk.wwn.as_deref())];
    let texts: Vec<&str> = texts.into_iter().flatten().collect();
    format!("{} {}, {}", disk.name, texts.join(" "), human::size(disk.size_bytes))
}

/// `part of LVM, ZFS`, where other disks may be of no use without it.
pub fn holders(disk: &ApprovedDisk) -> Option<String> {
    let names: Vec<&str> = disk.holders.iter().map(|holder| holder.name()).collect();
    (!names.is_empty()).then(|| format!("part of {}", names.join(", ")))
}

async fn list(machine: Option<String>, running: bool, context: &mut Context) -> Result<(), Failure> {
    let query = OperationQuery { machine, running: running.then_some(true), ..OperationQuery::default() };
    let operations = context.client.operations(&query).await?;
    if context.json {
        return Ok(context.output.json(&operations)?);
    }
    let machines = operations.iter().map(|operation| operation.machine.as_str());
    let called = Called::of(machines, &context.client).await?;
    let now = human::now();
    let mut table = Table::new(&["ID", "MACHINE", "WORK", "STATE", "SINCE", "DISKS", "WHY"]);
    for operation in &operations {
        let plain = |text: String| (text, Style::Plain);
        let disks: Vec<&str> = operation.disks.iter().map(|disk| disk.name.as_str()).collect();
        table.row([
            plain(operation.id.clone()),
            plain(called.get(&operation.machine).to_owned()),
            plain(operation.kind.to_string()),
            (operation.state.to_string(), style(operation.state)),
            plain(human::ago(operation.state_since, now)),
            plain(disks.join(",")),
            plain(operation.failure.as_ref().map(|failure| failure.reason.clone()).unwrap_or_default()),
        ]);
    }
    Ok(table.write(&mut context.output, "no operations")?)
}

async fn write(operation: &Operation, context: &mut Context) -> Result<(), Failure> {
    let called = Called::of([operation.machine.as_str()], &context.client).await?;
    let machine = clean(called.get(&operation.machine));
    let now = human::now();
    let output = &mut context.output;
    let state = output.styled(operation.state.name(), style(operation.state));
    output.line(format!("{} {} on machine {machine}: {state}", operation.kind, operation.id))?;
    if let Some(profile) = &operation.profile {
        output.line(format!("  profile  {} {}", profile.name, clean(&profile.version)))?;
    }
    for disk in &operation.disks {
        output.line(format!("  disk     {}", clean(&shown(disk))))?;
    }
    if let Some(batch) = &operation.batch {
        let waits = if operation.state == OperationState::Registered { ", waits for its turn" } else { "" };
        output.line(format!("  batch    {}, {} at once{waits}", batch.id, batch.at_once))?;
    }
    if let Some(arming) = &operation.arming {
        output.line(format!("  armed    until {}", human::time(arming.expires_at)))?;
    }
    if let Some(deadline) = operation.deadline {
        let secs = deadline.saturating_sub(now) / 1000;
        output.line(format!(
            "  deadline {} (in {} min {:02} s)",
            human::time(deadline),
            secs / 60,
            secs % 60
        ))?;
    }
    if let Some(progress) = &operation.progress {
        output.line(format!("  progress {}", bar(progress)))?;
    }
    if let Some(host) = &operation.host {
        output.line(format!(
            "  host     {} at {}",
            clean(host.hostname.as_deref().unwrap_or("?")),
            host.from
        ))?;
    }
    step::write(&operation.steps, now, output)?;
    if let Some(failure) = &operation.failure {
        let line = format!("  failed   while {}: {}", failure.stage, clean(&failure.reason));
        let line = output.styled(&line, Style::Bad);
        output.line(line)?;
    }
    for event in &operation.history {
        output.line(format!(
            "  {}  {:>10} → {:10}  {}",
            human::time(event.at),
            event.from,
            event.to,
            clean(&event.cause)
        ))?;
    }
    Ok(())
}

pub fn done(operation: &Operation, context: &mut Context) -> Result<(), Failure> {
    if context.json {
        return Ok(context.output.json(operation)?);
    }
    let line = format!("{} {} is {}", operation.kind, operation.id, operation.state);
    context.output.line(line)?;
    if operation.state == OperationState::PxeReady {
        context.output.line(
            "the machine takes it up when it next boots from the network: switch it on, or reboot it",
        )?;
    }
    Ok(())
}

/// Shows every change until the operation has ended, or Ctrl-C is pressed. One that failed makes the command fail.
pub async fn follow(id: &str, context: &mut Context) -> Result<(), Failure> {
    watch(until_end(id, context), &format!("ironwake operation follow {id}")).await
}

async fn until_end(id: &str, context: &mut Context) -> Result<(), Failure> {
    let mut operation = context.client.operation(id).await?;
    let mut stream = context.client.follow(None, Some(&operation.machine));
    // What happened before is in the record, which is read once the stream stands.
    stream.connect().await?;
    operation = context.client.operation(&operation.id).await?;
    if !context.json {
        write(&operation, context).await?;
    }
    while !operation.state.has_ended() {
        context.output.flush()?;
        let event = stream.next().await?;
        match &event.kind {
            EventKind::OperationChanged { operation: changed, to, cause, .. } if changed == id => {
                if !context.json {
                    let line = format!("  {}  {:13}{}", human::time(event.at), to, clean(cause));
                    let line = context.output.styled(&line, style(*to));
                    context.output.line(line)?;
                }
                operation = context.client.operation(id).await?;
            }
            EventKind::OperationProgress { operation: changed, progress, what }
                if changed == id && !context.json =>
            {
                context.output.line(format!(
                    "  {}  {:13}{}",
                    human::time(event.at),
                    clean(what),
                    bar(progress)
                ))?;
            }
            EventKind::OperationStep { operation: changed, .. } if changed == id && !context.json => {
                let (line, style) = describe(&event.kind, &Called::default());
                let line = format!("  {}  {}", human::time(event.at), clean(&line));
                let line = context.output.styled(&line, style);
                context.output.line(line)?;
            }
            _ => {}
        }
    }
    if context.json {
        context.output.json(&operation)?;
    }
    match operation.failure {
        None => Ok(()),
        Some(failure) => {
            Err(anyhow::anyhow!("{} failed while {}: {}", operation.kind, failure.stage, failure.reason)
                .into())
        }
    }
}

/// `[#####.....] 50 %, 1.2 GB of 2.4 GB, 120 MB/s, 10 s left`
pub fn bar(progress: &Progress) -> String {
    const WIDTH: usize = 20;
    let done = human::size(progress.done_bytes);
    let rate = format!("{}/s", human::size(progress.bytes_per_sec));
    let (Some(percent), Some(total)) = (progress.percent(), progress.total_bytes) else {
        return format!("{done}, {rate}");
    };
    let filled = WIDTH * usize::from(percent) / 100;
    let left = progress.secs_left().map(|secs| format!(", {secs} s left")).unwrap_or_default();
    format!(
        "[{}{}] {percent} %, {done} of {}, {rate}{left}",
        "#".repeat(filled),
        ".".repeat(WIDTH - filled),
        human::size(total)
    )
}

pub fn style(state: OperationState) -> Style {
    match state {
        OperationState::Ready => Style::Good,
        OperationState::Failed => Style::Bad,
        OperationState::Cancelled | OperationState::Registered => Style::Faint,
        _ => Style::Warning,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_says_how_much_and_how_long() {
        let progress = Progress { done_bytes: 500, total_bytes: Some(1000), bytes_per_sec: 100 };
        assert_eq!(bar(&progress), "[##########..........] 50 %, 500 B of 1000 B, 100 B/s, 5 s left");
        let unknown = Progress { done_bytes: 500, total_bytes: None, bytes_per_sec: 100 };
        assert_eq!(bar(&unknown), "500 B, 100 B/s");
    }
}
