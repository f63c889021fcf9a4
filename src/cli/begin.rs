//! `ironwake rebuild`, `wipe`, `inspect`: have work done on one machine, or on many as a batch.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};

use ironwake_api::client::ClientError;
use ironwake_api::{ArmRequest, BatchNew, BulkAction, BulkAnswer, Operation, OperationKind, OperationNew};
use tokio::signal::unix::{SignalKind, signal};

use super::assignment::Variables;
use super::called::Called;
use super::operation::{done, follow, holders, shown};
use super::output::clean;
use super::selection::{self, Selected};
use super::typed::typed;
use super::{Context, Failure, batch, dry_run};

/// What every command that begins an operation takes.
#[derive(Debug, clap::Args)]
pub struct BeginArgs {
    #[command(flatten)]
    machines: Selected,
    /// Only record it; `ironwake operation arm` lets it begin
    #[arg(long)]
    no_arm: bool,
    /// How long the machine may take to boot, in minutes
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u64).range(1..=10_080))]
    minutes: Option<u64>,
    /// Only say what would be recorded, and what is wrong with it; nothing is made
    #[arg(long, conflicts_with_all = ["no_arm", "wait", "at_once", "keep_going"])]
    dry_run: bool,
    /// Watch it until it has ended
    #[arg(long, conflicts_with = "no_arm")]
    wait: bool,
    /// Of several machines, how many at once [default: 10]
    #[arg(long, value_name = "N", conflicts_with = "no_arm", value_parser = clap::value_parser!(u32).range(1..=1000))]
    at_once: Option<u32>,
    /// Of several machines, go on with the rest when one has failed
    #[arg(long, conflicts_with = "no_arm")]
    keep_going: bool,
}

/// Arguments of `wipe`.
#[derive(Debug, clap::Args)]
pub struct WipeArgs {
    #[command(flatten)]
    begin: BeginArgs,
    /// Which disk: only, smallest, smallest>=SIZE, largest, serial=TEXT, wwn=TEXT, name=TEXT, label=TEXT, size=SIZE; may be repeated
    #[arg(long, required = true, value_name = "RULE")]
    disk: Vec<String>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// Arguments of `rebuild`.
#[derive(Debug, clap::Args)]
pub struct RebuildArgs {
    #[command(flatten)]
    begin: BeginArgs,
    /// What to make it into: `ironwake profile list`
    #[arg(long)]
    profile: String,
    #[command(flatten)]
    variables: Variables,
    /// Which disk: only, smallest, smallest>=SIZE, largest, serial=TEXT, wwn=TEXT, name=TEXT, label=TEXT, size=SIZE
    #[arg(long, default_value = "only", value_name = "RULE")]
    disk: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl RebuildArgs {
    /// Whether any of its values is in a file.
    pub fn reads_files(&self) -> bool {
        self.variables.reads_files()
    }
}

/// `ironwake inspect`
pub async fn inspect(args: BeginArgs, context: &mut Context) -> Result<(), Failure> {
    begin(args, new(OperationKind::Inspect, Vec::new()), true, context).await
}

/// `ironwake wipe`
pub async fn wipe(args: WipeArgs, context: &mut Context) -> Result<(), Failure> {
    begin(args.begin, new(OperationKind::Wipe, args.disk), args.yes, context).await
}

/// `ironwake rebuild`
pub async fn rebuild(args: RebuildArgs, context: &mut Context) -> Result<(), Failure> {
    let new = OperationNew {
        profile: Some(args.profile),
        variables: args.variables.read()?,
        ..new(OperationKind::Rebuild, vec![args.disk])
    };
    begin(args.begin, new, args.yes, context).await
}

pub fn new(kind: OperationKind, disks: Vec<String>) -> OperationNew {
    OperationNew { kind, profile: None, variables: BTreeMap::new(), disks, arm: false, armed_secs: None }
}

pub async fn begin(
    args: BeginArgs,
    new: OperationNew,
    yes: bool,
    context: &mut Context,
) -> Result<(), Failure> {
    if args.dry_run {
        let armed_secs = args.minutes.map(|minutes| minutes * 60);
        return dry_run::run(args.machines, &OperationNew { armed_secs, ..new }, context).await;
    }
    match args.machines.only().map(str::to_owned) {
        Some(machine) => begin_one(&machine, args, new, yes, context).await,
        None => begin_many(args, new, yes, context).await,
    }
}

/// Makes the operation, shows what it will destroy, and arms it once that is confirmed.
async fn begin_one(
    machine: &str,
    args: BeginArgs,
    new: OperationNew,
    yes: bool,
    context: &mut Context,
) -> Result<(), Failure> {
    let mut operation = context.client.operate(machine, &new).await?;
    if !args.no_arm {
        let shown = [(machine.to_owned(), &operation)];
        let ids = [operation.id.clone()];
        if !yes && !confirmed(&shown, machine, context).await? {
            return Err(taken_back(&ids, not_confirmed(), context).await);
        }
        let request = ArmRequest { armed_secs: args.minutes.map(|minutes| minutes * 60) };
        operation = match context.client.arm(&operation.id, &request).await {
            Ok(armed) => armed,
            Err(error) => return Err(taken_back(&ids, error.into(), context).await),
        };
    }
    if args.wait {
        return follow(&operation.id, context).await;
    }
    done(&operation, context)
}

/// The same for several: one operation for each, one confirmation, and so many at a time.
async fn begin_many(
    args: BeginArgs,
    new: OperationNew,
    yes: bool,
    context: &mut Context,
) -> Result<(), Failure> {
    let answer = args.machines.bulk(BulkAction::Operate(new), context).await?;
    let made: Vec<(String, &Operation)> = made(&answer);
    if args.no_arm || made.is_empty() {
        return selection::show("recorded for", &answer, context);
    }
    if !context.json && answer.refused > 0 {
        // What was refused is told before anything is confirmed; it is no reason to leave out the rest.
        let _ = selection::show("selected", &answer, context);
        context.output.flush()?;
    }
    let ids: Vec<String> = made.iter().map(|(_, operation)| operation.id.clone()).collect();
    if !yes && !confirmed(&made, &made.len().to_string(), context).await? {
        return Err(taken_back(&ids, not_confirmed(), context).await);
    }
    let batch = BatchNew {
        operations: ids.clone(),
        at_once: args.at_once,
        keep_going: args.keep_going,
        armed_secs: args.minutes.map(|minutes| minutes * 60),
    };
    let operations = match context.client.arm_batch(&batch).await {
        Ok(operations) => operations,
        Err(error) => return Err(taken_back(&ids, error.into(), context).await),
    };
    if args.wait {
        batch::follow(operations, context).await?;
    } else if context.json {
        context.output.json(&operations)?;
    } else {
        let machines = operations.iter().map(|operation| operation.machine.as_str());
        let called = Called::of(machines, &context.client).await?;
        for operation in &operations {
            batch::line(operation, &called, context)?;
        }
    }
    selection::outcome(&answer)
}

fn made(answer: &BulkAnswer) -> Vec<(String, &Operation)> {
    let results = answer.results.iter();
    results.filter_map(|result| Some((result.called.clone(), result.operation.as_deref()?))).collect()
}

fn not_confirmed() -> Failure {
    anyhow::anyhow!("not confirmed: nothing was armed, nothing is written").into()
}

/// Cancels what was made and will not be armed: it would keep its machines from everything else. Gives `failure` back.
async fn taken_back(ids: &[String], failure: Failure, context: &mut Context) -> Failure {
    for id in ids {
        match context.client.cancel(id).await {
            Ok(_) => {}
            // The daemon has it so already, or has more to do with it than is known here.
            Err(ClientError::Refused(_)) => {}
            Err(error) => {
                eprintln!("operation {id} stays recorded: {:#}", anyhow::Error::new(error));
            }
        }
    }
    failure
}

/// Shows the disks that will be overwritten, and has a word typed again: a machine's key, or how many there are.
/// Ctrl-C is no.
async fn confirmed(
    made: &[(String, &Operation)],
    word: &str,
    context: &mut Context,
) -> Result<bool, Failure> {
    if made.iter().all(|(_, operation)| operation.disks.is_empty()) {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    // Before the question is seen: Ctrl-C would end the process, and leave what was made recorded.
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut screen = std::io::stderr();
    for (machine, operation) in made {
        writeln!(screen, "{} of {} overwrites:", operation.kind, clean(machine))?;
        for disk in &operation.disks {
            writeln!(screen, "  {}", clean(&shown(disk)))?;
            let told = disk.told();
            for line in &told {
                writeln!(screen, "    {}", clean(line))?;
            }
            if told.is_empty() {
                writeln!(screen, "    (nothing that is known)")?;
            }
            if let Some(holders) = holders(disk) {
                writeln!(screen, "    {holders}")?;
            }
        }
    }
    typed(word, &mut interrupts, context).await
}
