//! `ironwake appliance disks`, `install`, `factory-reset`.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use anyhow::anyhow;
use ironwake_api::{
    ApplianceDisk, ApplianceDisks, ApprovedDisk, FactoryReset, InstallNew, InstallPhase, InstallState,
    InstallThen, Inventory,
};
use tokio::signal::unix::{SignalKind, signal};

use super::meter::Meter;
use super::output::{Style, clean};
use super::table::Table;
use super::typed::typed;
use super::{Context, Failure, human};
use crate::operation::{DiskRule, resolve};

/// How often it is asked how far an installation is.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Arguments of `appliance install`.
#[derive(Debug, clap::Args)]
pub struct InstallArgs {
    /// Which disk: /dev/NAME, or a rule: serial=TEXT (all of it), wwn=TEXT, only, smallest, largest, size=SIZE or A..B,
    /// smallest>=SIZE
    #[arg(long, value_name = "DISK")]
    disk: String,
    /// Do not ask: everything on the disk of this kernel name, such as nvme0n1, is destroyed, and it has to be the one that --disk names
    #[arg(long, value_name = "NAME")]
    yes_wipe: Option<String>,
    /// What is done once it is installed
    #[arg(long, value_enum, default_value = "wait")]
    then: Then,
}

/// What is done then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Then {
    /// Wait, so that the stick can be taken out
    Wait,
    /// Restart
    Reboot,
    /// Switch off
    Poweroff,
}

/// Arguments of `appliance factory-reset`.
#[derive(Debug, clap::Args)]
pub struct ResetArgs {
    /// Do not ask: the host name of the appliance whose configuration and state are destroyed
    #[arg(long, value_name = "HOSTNAME")]
    yes_reset: Option<String>,
}

/// `ironwake appliance disks`
pub async fn disks(context: &mut Context) -> Result<(), Failure> {
    let disks = context.client.appliance_disks().await?;
    if context.json {
        return Ok(context.output.json(&disks)?);
    }
    let mut table = Table::new(&["DISK", "SIZE", "MODEL", "SERIAL", "INSTALL"]);
    for found in &disks.disks {
        let disk = &found.disk;
        let text = |value: &Option<String>| (value.clone().unwrap_or_default(), Style::Plain);
        let can = match &found.refused {
            None => ("possible".to_owned(), Style::Good),
            Some(why) => (why.clone(), Style::Faint),
        };
        let name = (disk.name.clone(), Style::Strong);
        table.row([
            name,
            (human::size(disk.size_bytes), Style::Plain),
            text(&disk.model),
            text(&disk.serial),
            can,
        ]);
    }
    table.write(&mut context.output, "this appliance has no disks")?;
    for found in disks.targets() {
        context.output.line("")?;
        for line in contents(found) {
            context.output.line(line)?;
        }
    }
    for note in &disks.notes {
        context.output.line(format!("note: {}", clean(note)))?;
    }
    Ok(())
}

/// The disk and what is on it, for people.
fn contents(found: &ApplianceDisk) -> Vec<String> {
    let disk = &found.disk;
    let model = disk.model.as_deref().unwrap_or("disk of unknown model");
    let serial = disk.serial.as_ref().map(|serial| format!(", serial {serial}")).unwrap_or_default();
    let mut lines = vec![clean(&format!("{}: {model}, {}{serial}", disk.name, human::size(disk.size_bytes)))];
    let told = ApprovedDisk::from(disk).told();
    lines.extend(told.iter().map(|line| format!("  {}", clean(line))));
    if told.is_empty() {
        lines.push("  (nothing that is known)".to_owned());
    }
    lines
}

/// `ironwake appliance install`
pub async fn install(args: InstallArgs, context: &mut Context) -> Result<(), Failure> {
    let disks = context.client.appliance_disks().await?;
    let found = chosen(&disks, &args.disk)?;
    let name = found.disk.name.clone();
    if let Some(why) = &found.refused {
        return Err(anyhow!("the appliance cannot be installed on {}: {}", clean(&name), clean(why)).into());
    }
    let confirm = match args.yes_wipe {
        // The daemon compares it: what is said there is told here.
        Some(named) => named,
        None if confirmed(found, context).await? => name.clone(),
        None => {
            let name = clean(&name);
            return Err(anyhow!(
                "not confirmed: nothing is written; without a terminal, `--yes-wipe {name}` confirms it"
            )
            .into());
        }
    };
    let then = match args.then {
        Then::Wait => InstallThen::Wait,
        Then::Reboot => InstallThen::Reboot,
        Then::Poweroff => InstallThen::PowerOff,
    };
    let new = InstallNew { disk: name, digest: found.digest.clone(), confirm, then };
    let begun = context.client.install_appliance(&new).await?;
    follow(begun, context).await
}

/// The disk that a name or a rule means.
fn chosen<'a>(disks: &'a ApplianceDisks, text: &str) -> Result<&'a ApplianceDisk, Failure> {
    let rule = match text.strip_prefix("/dev/") {
        Some(name) => DiskRule::Name(name.to_owned()),
        None => text.parse().map_err(|error| Failure::Usage(format!("--disk: {error}")))?,
    };
    if let DiskRule::Name(name) = &rule
        && let Some(found) = disks.disks.iter().find(|found| found.disk.name == *name)
    {
        return Ok(found);
    }
    // The disk that was booted is none of those that a rule is about.
    let booted = disks.booted_from.disk.as_ref();
    let others = disks.disks.iter().filter(|found| Some(&found.disk.name) != booted);
    let inventory =
        Inventory { disks: others.map(|found| found.disk.clone()).collect(), ..Inventory::default() };
    let named = resolve(&rule, &inventory).map_err(|error| anyhow!("{}", clean(&error.to_string())))?;
    let found = disks.disks.iter().find(|found| found.disk.name == named.name);
    Ok(found.ok_or_else(|| anyhow!("{} is gone", clean(&named.name)))?)
}

async fn confirmed(found: &ApplianceDisk, context: &mut Context) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    // Before the question is seen: Ctrl-C is an answer to it.
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut screen = std::io::stderr();
    writeln!(screen, "This appliance is installed, and everything is destroyed on")?;
    for line in contents(found) {
        writeln!(screen, "  {line}")?;
    }
    typed(&found.disk.name, &mut interrupts, context).await
}

/// Shows how far it is until it has ended.
async fn follow(begun: InstallState, context: &mut Context) -> Result<(), Failure> {
    let meter = Meter::stderr(None);
    let mut interrupts = signal(SignalKind::interrupt())?;
    let (mut state, mut said) = (begun, None);
    while state.phase.is_running() {
        if !context.json && said != Some(state.phase) {
            said = Some(state.phase);
            meter.clear();
            eprintln!("{}", state.phase.told());
        }
        if state.total_bytes > 0 {
            let (done, total) = (human::size(state.done_bytes), human::size(state.total_bytes));
            meter.write(&format!("{done} of {total}, {} %", state.percent()));
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = interrupts.recv() => {
                meter.clear();
                let again = "ironwake appliance disks".to_owned();
                return Err(Failure::Stopped { again });
            }
        }
        state = context.client.appliance_install_state().await?;
    }
    meter.clear();
    if context.json {
        context.output.json(&state)?;
    }
    if state.phase != InstallPhase::Done {
        let problem = state.problem.unwrap_or_else(|| "nobody says why".to_owned());
        return Err(anyhow!("the appliance is not installed: {}", clean(&problem)).into());
    }
    if !context.json {
        for note in &state.notes {
            context.output.line(format!("note: {}", clean(note)))?;
        }
        let disk = state.disk.unwrap_or_default();
        context.output.line(format!(
            "the appliance is installed on {}: take out what it was booted from, and restart it",
            clean(&disk)
        ))?;
    }
    Ok(())
}

/// `ironwake appliance factory-reset`
pub async fn factory_reset(args: ResetArgs, context: &mut Context) -> Result<(), Failure> {
    let confirm = match args.yes_reset {
        Some(named) => named,
        None => {
            let hostname = context.client.system().await?.hostname;
            if !std::io::stdin().is_terminal() {
                return Err(
                    anyhow!("not confirmed: nothing is destroyed; --yes-reset takes the host name").into()
                );
            }
            let mut interrupts = signal(SignalKind::interrupt())?;
            let mut screen = std::io::stderr();
            writeln!(screen, "Configuration, machines, keys and images of this appliance are destroyed.")?;
            if !typed(&hostname, &mut interrupts, context).await? {
                return Err(anyhow!("not confirmed: nothing is destroyed").into());
            }
            hostname
        }
    };
    context.client.factory_reset(&FactoryReset { confirm }).await?;
    if !context.json {
        context.output.line("the appliance restarts, and is as it was made")?;
    }
    Ok(())
}
