//! `ironwake events`: what happened, stored or as it happens.

use ironwake_api::client::Signal;
use ironwake_api::human::short;
use ironwake_api::{
    Actor, ArtifactState, Event, EventKind, EventOrder, EventQuery, HealthState, LeaseNews, OperationState,
    StepState,
};

use super::called::Called;
use super::output::{Output, Style, clean};
use super::{Context, Failure, human, timeline};

/// Arguments of `events`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Show events as they happen, until interrupted; with --json one object on each line
    #[arg(long, short)]
    follow: bool,
    /// Only events behind this number
    #[arg(long, value_name = "N")]
    after: Option<i64>,
    /// Only events of this machine: id, name, MAC, UUID or serial
    #[arg(long, value_name = "MACHINE")]
    machine: Option<String>,
    /// Only events before this number
    #[arg(long, value_name = "N", conflicts_with = "follow")]
    before: Option<i64>,
    /// Only events of this operation, by its id
    #[arg(long, value_name = "ID", conflicts_with = "follow")]
    operation: Option<String>,
    /// Only events of these kinds, such as enrolment,operation_changed
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    kind: Vec<String>,
    /// The newest first
    #[arg(long, conflicts_with = "follow")]
    newest: bool,
    /// At most this many, without --follow
    #[arg(long, value_name = "N", conflicts_with = "follow")]
    limit: Option<u32>,
}

pub async fn run(args: &Args, context: &mut Context) -> Result<(), Failure> {
    // The stream knows machines by id only.
    let machine = match &args.machine {
        Some(key) => Some(context.client.machine(key).await?.id),
        None => None,
    };
    if args.follow {
        return follow(args, machine.as_deref(), context).await;
    }
    let query = EventQuery {
        after: args.after,
        before: args.before,
        machine,
        operation: args.operation.clone(),
        kind: (!args.kind.is_empty()).then(|| args.kind.join(",")),
        order: args.newest.then_some(EventOrder::Desc),
        limit: args.limit,
    };
    let events = context.client.events(&query).await?;
    if context.json {
        return Ok(context.output.json(&events)?);
    }
    if events.is_empty() {
        return Ok(context.output.line("no events")?);
    }
    let called = Called::of(events.iter().flat_map(machines_of), &context.client).await?;
    for event in &events {
        write(event, &called, &mut context.output)?;
    }
    Ok(())
}

async fn follow(args: &Args, machine: Option<&str>, context: &mut Context) -> Result<(), Failure> {
    let mut stream = context.client.follow(args.after, machine);
    if !args.kind.is_empty() {
        stream = stream.of_kinds(&args.kind.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let mut called = Called::default();
    loop {
        let event = match stream.next_signal().await? {
            Signal::Event(event) => event,
            Signal::Lost { why } => {
                eprintln!("{why}; trying again");
                continue;
            }
            Signal::Back => {
                eprintln!("the daemon is back; what happened meanwhile follows");
                continue;
            }
        };
        if context.json {
            context.output.json_line(&*event)?;
        } else {
            // A name may have been given just now.
            if let (EventKind::MachineEdited { .. }, Some(machine)) = (&event.kind, &event.machine) {
                called.forget(machine);
            }
            called.learn(machines_of(&event), &context.client).await?;
            write(&event, &called, &mut context.output)?;
            context.output.flush()?;
        }
    }
}

/// The machines that a line of an event names.
fn machines_of(event: &Event) -> impl Iterator<Item = &str> {
    let other = match &event.kind {
        EventKind::IdentityConflict { other, .. } => Some(other.as_str()),
        _ => None,
    };
    event.machine.as_deref().into_iter().chain(other)
}

fn write(event: &Event, called: &Called, output: &mut Output) -> std::io::Result<()> {
    let (what, style) = describe(&event.kind, called);
    let machine = event.machine.as_deref().map_or("-", |id| called.get(id));
    let by = match &event.actor {
        Actor::Operator(name) => format!(" (by {name})"),
        Actor::Token(name) => format!(" (by token {name})"),
        Actor::Machine | Actor::Daemon => String::new(),
    };
    let number = output.styled(&format!("{:>6} {}", event.id, human::time(event.at)), Style::Faint);
    let what = output.styled(&clean(&what), style);
    output.line(format!("{number}  {:17}  {what}{}", clean(machine), clean(&by)))
}

/// An event as a sentence for people.
pub fn sentence(kind: &EventKind) -> String {
    describe(kind, &Called::default()).0
}

pub fn describe(kind: &EventKind, called: &Called) -> (String, Style) {
    use EventKind as E;
    let plain = |text: String| (text, Style::Plain);
    match kind {
        E::MachineSeen { mac } => plain(format!("first seen as {mac}")),
        E::MachineRegistered => plain("registered".into()),
        E::Enrolment { from, to, by } => (format!("{} → {} by {by}", from.name(), to.name()), Style::Good),
        E::MachineEdited { fields } => plain(format!("changed: {}", fields.join(", "))),
        E::OrderGiven { order } => plain(format!("ordered: {order:?}").to_lowercase()),
        E::MachineDeleted => plain("deleted".into()),
        E::MachineAbsorbed { other } => {
            plain(format!("{} turned out to be another NIC of it", called.get(other)))
        }
        E::IdentityConflict { other, key, value } => {
            (format!("claims the {key} {value} of {}; nothing was merged", called.get(other)), Style::Bad)
        }
        E::OperationMade { operation, work } => plain(format!("{work} {} made", short(operation))),
        E::OperationWaits { operation, batch } => {
            plain(format!("{} waits for its turn in batch {}", short(operation), short(batch)))
        }
        E::OperationChanged { operation, work, from, to, cause } => {
            let style = match to {
                OperationState::Ready => Style::Good,
                OperationState::Failed => Style::Bad,
                _ => Style::Plain,
            };
            (format!("{work} {}: {from} → {to}: {cause}", short(operation)), style)
        }
        E::OperationProgress { operation, progress, what } => {
            let percent = progress.percent().map(|percent| format!(", {percent} %")).unwrap_or_default();
            plain(format!("{}: {what}, {}{percent}", short(operation), human::size(progress.done_bytes)))
        }
        E::ShellOpened { operation, shell } => {
            (format!("{}: shell {shell} opened", short(operation)), Style::Warning)
        }
        E::ShellClosed { operation, shell, secs, sent_bytes, received_bytes, reason } => plain(format!(
            "{}: shell {shell} closed after {secs} s, {sent_bytes} bytes sent, {received_bytes} received: {reason}",
            short(operation)
        )),
        E::OperationStep { operation, step, state, tries, problem, .. } => {
            let style = match state {
                StepState::Done => Style::Good,
                StepState::Failed => Style::Bad,
                StepState::Waiting | StepState::Running => Style::Plain,
            };
            let try_number = if *tries > 1 { format!(", try {tries}") } else { String::new() };
            let why = problem.as_ref().map(|problem| format!(": {problem}")).unwrap_or_default();
            (format!("{}: step {step} is {state}{try_number}{why}", short(operation)), style)
        }
        E::LoginKeyRemoved { operation, what } => plain(format!("{}: {what}", short(operation))),
        E::HostBooted { boot_id, changes, .. } => {
            let also = changes.iter().map(|change| format!("; {change}")).collect::<String>();
            (format!("its host has booted again, {boot_id}{also}"), Style::Good)
        }
        E::HostChanged { changes, .. } => plain(format!("its host has changed: {}", changes.join("; "))),
        E::HostSilent { called_at, heartbeat_secs, .. } => (
            format!(
                "its host is silent: it called last at {}, and should every {}",
                human::time(*called_at),
                human::duration(heartbeat_secs * 1000)
            ),
            Style::Bad,
        ),
        E::HostBack { silent_secs, .. } => {
            (format!("its host calls again after {}", human::duration(silent_secs * 1000)), Style::Good)
        }
        E::TokenRefused { operation, from, reason } => {
            (format!("a token for {} from {from} was refused: {reason}", short(operation)), Style::Bad)
        }
        E::Inventory { first: true, .. } => (String::from("first inventory"), Style::Good),
        E::Inventory { changes, .. } if changes.is_empty() => {
            (String::from("inventory, unchanged"), Style::Good)
        }
        E::Inventory { changes, .. } => {
            (format!("inventory changed: {}", changes.join("; ")), Style::Warning)
        }
        E::AttemptStarted { attempt, mac } => plain(format!("boot attempt {attempt} of {mac}")),
        E::AttemptStage { stage, .. } => {
            let (what, style) = timeline::describe(stage);
            (format!("{}: {what}", stage.client.name()), style)
        }
        E::AttemptEnded { attempt } => {
            let (outcome, style) = (attempt.outcome.name(), timeline::style(attempt.outcome));
            let why =
                attempt.diagnosis.as_ref().map(|found| format!(": {}; {}", found.message, found.remedy));
            (format!("boot attempt {} {outcome}{}", attempt.id, why.unwrap_or_default()), style)
        }
        E::OtherDhcpServer { interface, server, mac, silenced } => {
            let effect = if *silenced { "; server mode is silent here" } else { "" };
            (format!("another DHCP server on {interface}: {server} ({mac}){effect}"), Style::Bad)
        }
        E::OtherDhcpServerGone { interface, server } => {
            (format!("the other DHCP server on {interface}, {server}, is gone"), Style::Good)
        }
        E::AddressConflict { interface, address, mac } => {
            let by = mac.map(|mac| format!(" by {mac}")).unwrap_or_default();
            (format!("{address} on {interface} is in use{by}; it is set aside"), Style::Warning)
        }
        E::LeasesChanged { interface, given, ended, given_count, ended_count } => {
            plain(leases(interface, (given, *given_count), (ended, *ended_count)))
        }
        E::HealthChanged { part, to, message, .. } => match to {
            HealthState::Ok => (format!("{part} is well: {message}"), Style::Good),
            HealthState::Degraded => (format!("{part} works in part: {message}"), Style::Warning),
            HealthState::Failed => (format!("{part} does not work: {message}"), Style::Bad),
        },
        E::ArtifactBuildProgress { name, stage, done_bytes, total_bytes } => {
            let bytes = match (done_bytes, total_bytes) {
                (Some(done), Some(total)) => format!(", {} of {}", human::size(*done), human::size(*total)),
                (Some(done), None) => format!(", {}", human::size(*done)),
                _ => String::new(),
            };
            plain(format!("{name}: {stage}{bytes}"))
        }
        E::WebhookTest { webhook } => plain(format!("webhook {webhook} is tried")),
        E::DaemonStarted { version } => plain(format!("the daemon {version} started")),
        E::ArtifactAsked { name, url } => plain(format!("{name} is to be imported from {url}")),
        E::ArtifactProgress { name, step, progress } => {
            let percent = progress.percent().map(|percent| format!(", {percent} %")).unwrap_or_default();
            let step = step.name();
            plain(format!("{name}: {step}, {}{percent}", human::size(progress.done_bytes)))
        }
        E::ArtifactTrouble { name, reason } => (format!("{name}: {reason}"), Style::Warning),
        E::ArtifactFailed { name, reason } => (format!("{name} is not imported: {reason}"), Style::Bad),
        E::ArtifactCancelled { name } => plain(format!("the import of {name} is cancelled")),
        E::ArtifactEvicted { name, digest, reason } => {
            (format!("{name} is removed, {digest}: {reason}"), Style::Warning)
        }
        E::ArtifactReady { name, digest } => (format!("{name} is ready, {digest}"), Style::Good),
        E::ArtifactBuild { name, state: ArtifactState::Failed, said } => {
            (format!("{name} {said}"), Style::Bad)
        }
        E::ArtifactBuild { name, said, .. } => plain(format!("{name} {said}")),
        E::ArtifactPinned { name, pinned: true } => plain(format!("{name} is pinned")),
        E::ArtifactPinned { name, pinned: false } => plain(format!("{name} is unpinned")),
        E::SettingsChanged { keys } => plain(format!("settings changed: {}", keys.join(", "))),
        E::SystemChanging { what } => plain(format!("the appliance is changed: {}", what.join("; "))),
        E::SystemChangeFailed { what, reason } => {
            (format!("a change of the appliance failed, {what}: {reason}"), Style::Bad)
        }
        E::SystemEnding { power_off: false } => ("the appliance is restarted".into(), Style::Warning),
        E::SystemEnding { power_off: true } => ("the appliance is switched off".into(), Style::Warning),
        E::UnitRestarting { unit } => plain(format!("{unit} is started again")),
        E::InstallBegun { disk } => (format!("the appliance is installed on {disk}"), Style::Warning),
        E::InstallEnded { disk, problem: None } => {
            (format!("the appliance was installed on {disk}"), Style::Good)
        }
        E::InstallEnded { disk, problem: Some(why) } => {
            (format!("the installation on {disk} came to nothing: {why}"), Style::Bad)
        }
        E::FactoryReset => ("the appliance goes back to how it was made".into(), Style::Warning),
        E::SetupStep { what, problem: None } => (format!("set-up: {what}"), Style::Good),
        E::SetupStep { what, problem: Some(why) } => {
            (format!("set-up: {what} came to nothing: {why}"), Style::Bad)
        }
        E::UpdateFound { version } => plain(format!("version {version} of the appliance can be installed")),
        E::UpdateStarted { version, from } => plain(format!("the update from {from} to {version} begins")),
        E::UpdateInstalled { version } => {
            (format!("version {version} of the appliance is installed: a restart tries it"), Style::Good)
        }
        E::UpdateFailed { version, reason } => {
            let version = version.as_deref().unwrap_or("a version");
            (format!("{version} of the appliance is not installed: {reason}"), Style::Bad)
        }
        E::UpdateStayed { version, from } => {
            (format!("version {version} of the appliance stays; before it was {from}"), Style::Good)
        }
        E::UpdateFellBack { version, running, boots, reason } => {
            let boots = boots.map(|boots| format!(" {boots} starts")).unwrap_or_default();
            let text = format!("version {version} failed{boots}, this is {running} again: {reason}");
            (text, Style::Bad)
        }
        E::DatabaseTakenBack { aside, events_lost, .. } => {
            let text = format!(
                "the database of a later version is kept as {aside}; {events_lost} events are only there"
            );
            (text, Style::Warning)
        }
        E::NetworkChanging { interface, to, confirm_by } => (
            format!(
                "{interface} gets {to}; it goes back unless confirmed by {} UTC",
                human::time(*confirm_by)
            ),
            Style::Warning,
        ),
        E::NetworkConfirmed { interface, to } => (format!("{interface} keeps {to}"), Style::Good),
        E::NetworkTakenBack { interface, reason } => {
            (format!("{interface} has its address of before again: {reason}"), Style::Warning)
        }
        E::TokenMade { name, scope, expires_at } => {
            let ends = expires_at.map(|at| format!(" until {} UTC", human::time(at))).unwrap_or_default();
            plain(format!("token {name} made, scope {scope}{ends}"))
        }
        E::TokenRevoked { name } => plain(format!("token {name} revoked")),
        E::AccessSlowed { from, failures } => {
            (format!("{failures} wrong tokens came from {from}; it is made to wait"), Style::Bad)
        }
        E::LoggedIn { name, scope, from, .. } => {
            let from = from.as_deref().map(|from| format!(" from {from}")).unwrap_or_default();
            plain(format!("{name} logged in{from}, scope {scope}"))
        }
        E::LoginRefused { entrance, from, failures } => {
            let from = from.as_deref().map(|from| format!(" from {from}")).unwrap_or_default();
            (format!("{failures} wrong passwords came by {entrance}{from}; it is made to wait"), Style::Bad)
        }
        E::PasswordChanged { first: true } => plain("the administrator's password is set".into()),
        E::PasswordChanged { first: false } => plain("the administrator's password is changed".into()),
        E::SshKeyAdded { fingerprint, comment } => {
            plain(format!("the key {fingerprint} may log in over SSH{}", whose(comment)))
        }
        E::SshKeyDeleted { fingerprint, comment } => {
            plain(format!("the key {fingerprint} may no longer log in{}", whose(comment)))
        }
        E::OneTimePasswordMade { expires_at } => plain(format!(
            "a one-time password lets keys be added over SSH until {} UTC",
            human::time(*expires_at)
        )),
        E::CertificateChanged { fingerprint, expires_at } => plain(format!(
            "the API shows another certificate, good until {}: {fingerprint}",
            human::time(*expires_at)
        )),
        E::CertificateRefused { reason } => {
            (format!("a certificate cannot be used, the one before it stays: {reason}"), Style::Bad)
        }
        E::BackupMade { bytes, artifacts } => {
            let images = if *artifacts { ", with images" } else { "" };
            plain(format!("a backup was made, {}{images}", human::size(*bytes)))
        }
        E::BackupRestored { made_at, hostname } => (
            format!("the appliance goes on from the backup of {hostname} of {} UTC", human::time(*made_at)),
            Style::Warning,
        ),
        E::ClockJumped { from, to } => (
            format!("the clock was set from {} to {} UTC", human::time(*from), human::time(*to)),
            Style::Warning,
        ),
        E::ArtifactDeleted { name, digest } => plain(format!("{name} is deleted, {digest}")),
    }
}

/// A key's comment, if it has one.
fn whose(comment: &str) -> String {
    if comment.is_empty() { String::new() } else { format!(": {comment}") }
}

/// `br0: 10.0.0.7 given to 52:54:00:00:00:07 (node-7), 3 more; 10.0.0.9 of 52:54:00:00:00:09 expired`
fn leases(interface: &str, given: (&[LeaseNews], u64), ended: (&[LeaseNews], u64)) -> String {
    let client = |news: &LeaseNews| match &news.hostname {
        Some(name) => format!("{} ({name})", news.mac),
        None => news.mac.to_string(),
    };
    let told = |(news, count): (&[LeaseNews], u64)| {
        let lines = news.iter().map(|one| match one.end {
            None => format!("{} given to {}", one.address, client(one)),
            Some(end) => format!("{} of {} {}", one.address, client(one), end.name()),
        });
        let rest = count.saturating_sub(news.len() as u64);
        let rest = (rest > 0).then(|| format!("{rest} more"));
        lines.chain(rest).collect::<Vec<_>>().join(", ")
    };
    let parts: Vec<String> = [told(given), told(ended)].into_iter().filter(|part| !part.is_empty()).collect();
    format!("{interface}: {}", parts.join("; "))
}
