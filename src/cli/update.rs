//! `ironwake update`: new versions of the appliance.

use std::io::IsTerminal as _;
use std::path::Path;
use std::time::Duration;

use ironwake_api::{Update, UpdateOutcome, UpdateProgress, UpdateQuery, UpdateRequest, UpdateStep};
use tokio::fs::File;

use super::meter::Meter;
use super::output::{Style, clean};
use super::{Context, Failure, human, input};

/// How often the daemon is asked how far an update is.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// Commands below `update`.
#[derive(Debug, Default, clap::Subcommand)]
pub enum Command {
    /// Show the version that runs, what is available, what is under way, and what became of the last update
    #[default]
    Show,
    /// Ask the channel for its newest version; nothing is installed
    Check,
    /// Install a version beside the one that runs; a restart tries it, and comes back by itself if it is not healthy
    Install(InstallArgs),
}

/// Arguments of `update install`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Without SOURCE, what the channel has (update.url) is installed, as `ironwake update check` found it. A bundle \
    counts only if a key that the appliance trusts signed it."
)]
pub struct InstallArgs {
    /// The bundle: a file, an http or https URL, or `-` for standard input
    source: Option<String>,
    /// A bundle on a USB stick in the appliance, as `ironwake update` lists it
    #[arg(long, value_name = "PATH", conflicts_with = "source")]
    stick: Option<String>,
    /// Install a version that is older than the one that runs, too
    #[arg(long)]
    allow_older: bool,
    /// Wait until it is installed, which is what is done on a terminal
    #[arg(long)]
    wait: bool,
    /// Leave it to the daemon
    #[arg(long, conflicts_with = "wait")]
    no_wait: bool,
    /// Restart the appliance once it is installed
    #[arg(long, conflicts_with = "no_wait")]
    reboot: bool,
}

impl InstallArgs {
    /// Whether the bundle is a file.
    pub fn reads_files(&self) -> bool {
        self.source.as_deref().is_some_and(|source| source != "-" && !source.contains("://"))
    }
}

pub async fn run(command: Command, context: &mut Context) -> Result<(), Failure> {
    match command {
        Command::Show => {
            let update = context.client.update().await?;
            show(&update, context)
        }
        Command::Check => {
            let update = context.client.check_update().await?;
            show(&update, context)?;
            match update.check_failed {
                Some(why) if context.json => Err(anyhow::anyhow!("{}", clean(&why)).into()),
                Some(_) => Err(Failure::Findings),
                None => Ok(()),
            }
        }
        Command::Install(args) => install(args, context).await,
    }
}

async fn install(args: InstallArgs, context: &mut Context) -> Result<(), Failure> {
    let wait = args.wait || args.reboot || (!args.no_wait && std::io::stderr().is_terminal());
    let allow_older = args.allow_older;
    let mut update = match args.source {
        Some(source) if !source.contains("://") => {
            let (bundle, size) = input::open(Path::new(&source), "an update")?;
            let meter = Meter::stderr(size);
            let shown = meter.clone();
            let query = UpdateQuery { allow_older };
            let sent = context
                .client
                .upload_update(File::from_std(bundle), size, &query, move |sent| shown.show(sent));
            let sent = sent.await;
            meter.clear();
            sent?
        }
        url => {
            let request = UpdateRequest { url, stick: args.stick, allow_older };
            context.client.begin_update(&request).await?
        }
    };
    if !wait {
        if context.json {
            return Ok(context.output.json(&update)?);
        }
        return Ok(context.output.line("the update is under way: `ironwake update` shows how far it is")?);
    }
    let meter = Meter::stderr(None);
    while let Some(progress) = update.progress.as_ref().filter(|progress| !progress.is_over()) {
        meter.write(&line(progress));
        tokio::time::sleep(ASK_EVERY).await;
        update = match context.client.update().await {
            Ok(update) => update,
            Err(error) => {
                meter.clear();
                return Err(error.into());
            }
        };
    }
    meter.clear();
    if context.json {
        context.output.json(&update)?;
    }
    let progress = update.progress.as_ref();
    if let Some(failed) = progress.filter(|progress| progress.step == UpdateStep::Failed) {
        let why = failed.error.as_deref().unwrap_or("no reason is known");
        return Err(anyhow::anyhow!("not installed: {}", clean(why)).into());
    }
    let version = progress.and_then(|progress| progress.version.as_deref()).unwrap_or("it");
    if args.reboot {
        context.client.reboot_system().await?;
    }
    if !context.json {
        let next =
            if args.reboot { "the appliance restarts into it" } else { "`ironwake system reboot` tries it" };
        context.output.line(format!("{} is installed: {next}", clean(version)))?;
    }
    Ok(())
}

/// How far an update is, as one line.
pub fn line(update: &UpdateProgress) -> String {
    let progress = &update.progress;
    let mut line = update.step.name().to_owned();
    if let Some(version) = &update.version {
        line.push_str(&format!(" {}", clean(version)));
    }
    if progress.done_bytes > 0 {
        line.push_str(&format!(": {}", human::size(progress.done_bytes)));
    }
    if let (Some(total), Some(percent)) = (progress.total_bytes, update.percent) {
        line.push_str(&format!(" of {}, {percent} %", human::size(total)));
    }
    if progress.bytes_per_sec > 0 {
        line.push_str(&format!(", {}/s", human::size(progress.bytes_per_sec)));
    }
    if let Some(secs) = update.secs_left {
        line.push_str(&format!(", {} left", human::duration(secs * 1000)));
    }
    line
}

fn show(update: &Update, context: &mut Context) -> Result<(), Failure> {
    if context.json {
        return Ok(context.output.json(update)?);
    }
    let now = human::now();
    let output = &mut context.output;
    output.line(format!("{:12}{}", "running", clean(&update.running)))?;
    let channel = update.channel.as_deref().unwrap_or("none: `ironwake config set update.url=URL` names one");
    output.line(format!("{:12}{}", "channel", clean(channel)))?;
    if let Some(at) = update.checked_at {
        output.line(format!("{:12}{}", "checked", human::ago(at, now)))?;
    }
    if let Some(why) = &update.check_failed {
        let line = output.styled(&format!("{:12}{}", "", clean(why)), Style::Bad);
        output.line(line)?;
    }
    if let Some(available) = &update.available {
        let size = human::size(available.size_bytes);
        let word = if available.newer { "newer" } else { "not newer" };
        let signer = clean(&available.signed_by);
        output.line(format!(
            "{:12}{}, {word}, {size}, signed by {signer}",
            "available",
            clean(&available.version)
        ))?;
    }
    for stick in &update.sticks {
        output.line(format!(
            "{:12}{}, {}",
            "on a stick",
            clean(&stick.path),
            human::size(stick.size_bytes)
        ))?;
    }
    if let Some(progress) = update.progress.as_ref().filter(|progress| !progress.is_over()) {
        output.line(format!("{:12}{}", "under way", line(progress)))?;
    }
    if let Some(failed) = update.progress.as_ref().filter(|progress| progress.step == UpdateStep::Failed) {
        let why = clean(failed.error.as_deref().unwrap_or("no reason is known"));
        let line = output.styled(&format!("{:12}{why}", "failed"), Style::Bad);
        output.line(line)?;
    }
    if let Some(last) = &update.last {
        let (version, from) = (clean(&last.version), clean(&last.from));
        let (text, style) = match last.outcome {
            UpdateOutcome::Installed => {
                (format!("{version} is installed and waits for a restart"), Style::Good)
            }
            UpdateOutcome::Trial => (format!("{version} is on trial"), Style::Warning),
            UpdateOutcome::Good => (format!("{version} stays; before it was {from}"), Style::Good),
            UpdateOutcome::FellBack => {
                let boots = last.boots.map(|boots| format!(" {boots} starts")).unwrap_or_default();
                (format!("{version} failed{boots}, this is {from} again"), Style::Bad)
            }
            UpdateOutcome::Failed => (format!("{version} was not installed"), Style::Bad),
        };
        let line = output.styled(&format!("{:12}{text}, {}", "last", human::ago(last.at, now)), style);
        output.line(line)?;
        if let Some(why) = &last.why {
            output.line(format!("{:12}{}", "", clean(why)))?;
        }
    }
    if let Some(why) = &update.unavailable {
        let line = output.styled(&format!("no update can be installed here: {}", clean(why)), Style::Warning);
        output.line(line)?;
    }
    if update.restart_needed {
        output.line("next: ironwake system reboot")?;
    } else if update.available.as_ref().is_some_and(|available| available.newer)
        && update.unavailable.is_none()
    {
        output.line("next: ironwake update install")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ironwake_api::Progress;

    use super::*;

    #[test]
    fn a_line_says_how_far_it_is() {
        let progress = Progress { done_bytes: 1 << 20, total_bytes: Some(4 << 20), bytes_per_sec: 1 << 20 };
        let update = UpdateProgress::of(Some("0.2.0".into()), UpdateStep::Unpacking, progress);
        assert_eq!(line(&update), "unpacking 0.2.0: 1 MiB of 4 MiB, 25 %, 1 MiB/s, 3.0 s left");
        let update = UpdateProgress::of(None, UpdateStep::Checking, Progress::default());
        assert_eq!(line(&update), "checking");
    }
}
