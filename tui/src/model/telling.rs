//! Events, stages and states as sentences, with the tone in which they are said.

use ironwake_api::{
    Actor, ArtifactState, AttemptOutcome, EventKind, HealthState, OperationState, Stage, StageKind, StepState,
};

use crate::human;
use crate::look::Tone;

/// An event as a sentence.
pub fn event(kind: &EventKind) -> (Tone, String) {
    use EventKind as E;
    let plain = |text: String| (Tone::Plain, text);
    match kind {
        E::MachineSeen { mac } => (Tone::Accent, format!("first seen as {mac}")),
        E::MachineRegistered => plain("registered".into()),
        E::Enrolment { from, to, by } => (Tone::Ok, format!("{} → {} by {by}", from.name(), to.name())),
        E::MachineEdited { fields } => plain(format!("changed: {}", fields.join(", "))),
        E::OrderGiven { order } => plain(format!("ordered: {order:?}").to_lowercase()),
        E::MachineDeleted => plain("record deleted".into()),
        E::MachineAbsorbed { other } => plain(format!("{} is another NIC of it", human::short(other))),
        E::IdentityConflict { other, key, value } => {
            (Tone::Bad, format!("claims the {key} {value} of {}; nothing was merged", human::short(other)))
        }
        E::OperationMade { work, .. } => plain(format!("{work} recorded")),
        E::OperationWaits { .. } => plain("waits for its turn in a batch".into()),
        E::OperationChanged { work, from, to, cause, .. } => {
            let tone = match to {
                OperationState::Ready => Tone::Ok,
                OperationState::Failed => Tone::Bad,
                OperationState::PxeReady => Tone::Warn,
                _ => Tone::Busy,
            };
            (tone, format!("{work}: {} → {}: {cause}", state_word(*from), state_word(*to)))
        }
        E::OperationProgress { progress, what, .. } => {
            let percent = progress.percent().map(|percent| format!(", {percent} %")).unwrap_or_default();
            plain(format!("{what}, {}{percent}", human::size(progress.done_bytes)))
        }
        E::ShellOpened { shell, .. } => (Tone::Warn, format!("shell {shell} opened")),
        E::ShellClosed { shell, secs, reason, .. } => {
            plain(format!("shell {shell} closed after {}: {reason}", human::duration(secs * 1000)))
        }
        E::OperationStep { step, state, tries, problem, .. } => {
            let again = if *tries > 1 { format!(", try {tries}") } else { String::new() };
            let why = problem.as_ref().map(|problem| format!(": {problem}")).unwrap_or_default();
            (step_tone(*state), format!("step {step} is {state}{again}{why}"))
        }
        E::LoginKeyRemoved { what, .. } => plain(what.clone()),
        E::HostBooted { changes, .. } => {
            let also: String = changes.iter().map(|change| format!("; {change}")).collect();
            (Tone::Ok, format!("its host has booted again{also}"))
        }
        E::HostChanged { changes, .. } => plain(format!("its host has changed: {}", changes.join("; "))),
        E::HostSilent { called_at, .. } => {
            (Tone::Bad, format!("its host is silent since {}", human::time(*called_at)))
        }
        E::HostBack { silent_secs, .. } => {
            (Tone::Ok, format!("its host calls again after {}", human::duration(silent_secs * 1000)))
        }
        E::TokenRefused { from, reason, .. } => {
            (Tone::Bad, format!("a token from {from} was refused: {reason}"))
        }
        E::Inventory { first: true, .. } => (Tone::Ok, "first inventory".into()),
        E::Inventory { changes, .. } if changes.is_empty() => plain("inventory, unchanged".into()),
        E::Inventory { changes, .. } => (Tone::Warn, format!("inventory changed: {}", changes.join("; "))),
        E::AttemptStarted { mac, .. } => plain(format!("boots by {mac}")),
        E::AttemptStage { stage, .. } => {
            let (tone, text) = self::stage(stage);
            (tone, format!("{}: {text}", stage.client.name()))
        }
        E::AttemptEnded { attempt } => {
            let (tone, word) = (outcome_tone(attempt.outcome), attempt.outcome.name());
            let why =
                attempt.diagnosis.as_ref().map(|found| format!(": {}", found.message)).unwrap_or_default();
            (tone, format!("boot ended: {word}{why}"))
        }
        E::OtherDhcpServer { interface, server, silenced, .. } => {
            let effect = if *silenced { "; server mode is silent here" } else { "" };
            (Tone::Bad, format!("another DHCP server on {interface}: {server}{effect}"))
        }
        E::OtherDhcpServerGone { interface, server } => {
            (Tone::Ok, format!("the other DHCP server on {interface}, {server}, is gone"))
        }
        E::AddressConflict { interface, address, .. } => {
            (Tone::Warn, format!("{address} on {interface} is in use; it is set aside"))
        }
        E::LeasesChanged { interface, given_count, ended_count, .. } => {
            plain(format!("{interface}: {given_count} addresses given, {ended_count} ended"))
        }
        E::HealthChanged { part, to, message, .. } => {
            let tone = match to {
                HealthState::Ok => Tone::Ok,
                HealthState::Degraded => Tone::Warn,
                HealthState::Failed => Tone::Bad,
            };
            (tone, format!("{part}: {message}"))
        }
        E::WebhookTest { webhook } => plain(format!("webhook {webhook} is tried")),
        E::DaemonStarted { version } => (Tone::Ok, format!("the daemon {version} started")),
        E::ArtifactAsked { name, url } => plain(format!("{name} is to be imported from {url}")),
        E::ArtifactProgress { name, step, progress } => {
            let percent = progress.percent().map(|percent| format!(", {percent} %")).unwrap_or_default();
            plain(format!("{name}: {}, {}{percent}", step.name(), human::size(progress.done_bytes)))
        }
        E::ArtifactTrouble { name, reason } => (Tone::Warn, format!("{name}: {reason}")),
        E::ArtifactFailed { name, reason } => (Tone::Bad, format!("{name} is not imported: {reason}")),
        E::ArtifactCancelled { name } => plain(format!("the import of {name} is cancelled")),
        E::ArtifactEvicted { name, reason, .. } => (Tone::Warn, format!("{name} is removed: {reason}")),
        E::ArtifactReady { name, .. } => (Tone::Ok, format!("{name} is ready")),
        E::ArtifactBuild { name, state, said } => {
            (if *state == ArtifactState::Failed { Tone::Bad } else { Tone::Plain }, format!("{name} {said}"))
        }
        E::ArtifactBuildProgress { name, stage, .. } => plain(format!("{name}: {stage}")),
        E::ArtifactPinned { name, pinned } => {
            plain(format!("{name} is {}", if *pinned { "pinned" } else { "unpinned" }))
        }
        E::SettingsChanged { keys } => plain(format!("settings changed: {}", keys.join(", "))),
        E::SystemChanging { what } => plain(format!("the appliance is changed: {}", what.join("; "))),
        E::SystemChangeFailed { what, reason } => {
            (Tone::Bad, format!("a change of the appliance failed, {what}: {reason}"))
        }
        E::SystemEnding { power_off: false } => (Tone::Warn, "the appliance is restarted".into()),
        E::SystemEnding { power_off: true } => (Tone::Warn, "the appliance is switched off".into()),
        E::UnitRestarting { unit } => plain(format!("{unit} is started again")),
        E::InstallBegun { disk } => (Tone::Warn, format!("the appliance is installed on {disk}")),
        E::InstallEnded { disk, problem: None } => {
            (Tone::Ok, format!("the appliance was installed on {disk}"))
        }
        E::InstallEnded { disk, problem: Some(why) } => {
            (Tone::Bad, format!("the installation on {disk} came to nothing: {why}"))
        }
        E::FactoryReset => (Tone::Warn, "the appliance goes back to how it was made".into()),
        E::SetupStep { what, problem: None } => (Tone::Ok, format!("set-up: {what}")),
        E::SetupStep { what, problem: Some(why) } => {
            (Tone::Bad, format!("set-up: {what} came to nothing: {why}"))
        }
        E::UpdateFound { version } => plain(format!("version {version} of the appliance can be installed")),
        E::UpdateStarted { version, from } => plain(format!("the update from {from} to {version} begins")),
        E::UpdateInstalled { version } => {
            (Tone::Ok, format!("version {version} of the appliance is installed: a restart tries it"))
        }
        E::UpdateFailed { version, reason } => {
            let version = version.as_deref().unwrap_or("a version");
            (Tone::Bad, format!("{version} of the appliance is not installed: {reason}"))
        }
        E::UpdateStayed { version, from } => {
            (Tone::Ok, format!("version {version} of the appliance stays; before it was {from}"))
        }
        E::UpdateFellBack { version, running, boots, reason } => {
            let boots = boots.map(|boots| format!(" {boots} starts")).unwrap_or_default();
            let text = format!("version {version} failed{boots}, this is {running} again: {reason}");
            (Tone::Bad, text)
        }
        E::DatabaseTakenBack { aside, events_lost, .. } => {
            let text = format!(
                "the database of a later version is kept as {aside}; {events_lost} events are only there"
            );
            (Tone::Warn, text)
        }
        E::NetworkChanging { interface, to, confirm_by } => (
            Tone::Warn,
            format!("{interface} gets {to}; it goes back unless confirmed by {}", human::time(*confirm_by)),
        ),
        E::NetworkConfirmed { interface, to } => (Tone::Ok, format!("{interface} keeps {to}")),
        E::NetworkTakenBack { interface, reason } => {
            (Tone::Warn, format!("{interface} has its address of before again: {reason}"))
        }
        E::TokenMade { name, scope, .. } => plain(format!("token {name} made, scope {scope}")),
        E::TokenRevoked { name } => plain(format!("token {name} revoked")),
        E::AccessSlowed { from, failures } => {
            (Tone::Bad, format!("{failures} wrong tokens came from {from}; it is made to wait"))
        }
        E::LoggedIn { name, from, .. } => plain(format!(
            "{name} logged in{}",
            from.as_deref().map(|from| format!(" from {from}")).unwrap_or_default()
        )),
        E::LoginRefused { entrance, from, failures } => {
            let from = from.as_deref().map(|from| format!(" from {from}")).unwrap_or_default();
            (Tone::Bad, format!("{failures} wrong passwords came by {entrance}{from}; it is made to wait"))
        }
        E::PasswordChanged { .. } => plain("the administrator's password is set".into()),
        E::SshKeyAdded { fingerprint, comment } => {
            plain(format!("a key may log in over SSH: {}", key(comment, fingerprint)))
        }
        E::SshKeyDeleted { fingerprint, comment } => {
            plain(format!("a key may no longer log in: {}", key(comment, fingerprint)))
        }
        E::OneTimePasswordMade { expires_at } => plain(format!(
            "a one-time password lets keys be added over SSH until {}",
            human::time(*expires_at)
        )),
        E::CertificateChanged { expires_at, .. } => {
            plain(format!("the API shows another certificate, good until {}", human::time(*expires_at)))
        }
        E::CertificateRefused { reason } => (Tone::Bad, format!("a certificate cannot be used: {reason}")),
        E::BackupMade { artifacts: false, .. } => plain("a backup was made".into()),
        E::BackupMade { artifacts: true, .. } => plain("a backup was made, with images".into()),
        E::BackupRestored { made_at, hostname } => (
            Tone::Warn,
            format!("the appliance goes on from the backup of {hostname} of {}", human::time(*made_at)),
        ),
        E::ClockJumped { from, to } => {
            (Tone::Warn, format!("the clock was set from {} to {}", human::time(*from), human::time(*to)))
        }
        E::ArtifactDeleted { name, .. } => plain(format!("{name} is deleted")),
    }
}

/// A key by its comment, or by its fingerprint where it has none.
fn key<'a>(comment: &'a str, fingerprint: &'a str) -> &'a str {
    if comment.is_empty() { fingerprint } else { comment }
}

/// What happened in a stage of a boot, why, and how often.
pub fn stage(stage: &Stage) -> (Tone, String) {
    let tone = match &stage.kind {
        StageKind::Dhcp { answer: Some(answer), .. } if answer == "NAK" => Tone::Warn,
        StageKind::Dhcp { answer: None, .. } => Tone::Dim,
        StageKind::Tftp { aborted: Some(_), .. } | StageKind::Http { status: 400.., .. } => Tone::Warn,
        StageKind::Agent { failed: true, .. } => Tone::Bad,
        StageKind::Inventory { .. } => Tone::Ok,
        _ => Tone::Plain,
    };
    let text = match &stage.kind {
        // A query repeats what the machine is, and would fill the line.
        StageKind::Http { path, .. } if path.contains('?') => {
            let mut short = stage.clone();
            if let StageKind::Http { path, .. } = &mut short.kind {
                path.truncate(path.find('?').unwrap_or(path.len()));
            }
            short.sentence()
        }
        _ => stage.sentence(),
    };
    (tone, text)
}

/// A stage in a few words, for the table.
pub fn stage_brief(stage: &Stage) -> String {
    let file = |path: &str| {
        let path = path.split('?').next().unwrap_or(path);
        path.rsplit('/').next().unwrap_or(path).to_owned()
    };
    match &stage.kind {
        StageKind::Dhcp { message, answer, .. } => {
            format!("DHCP {}", answer.as_deref().unwrap_or(message).to_lowercase())
        }
        StageKind::Tftp { file: path, .. } | StageKind::Http { path, .. } => file(path),
        StageKind::Agent { message, .. } => message.clone(),
        StageKind::Inventory { .. } => "inventory".into(),
    }
}

/// How an outcome is to be seen.
pub fn outcome_tone(outcome: AttemptOutcome) -> Tone {
    match outcome {
        AttemptOutcome::Running => Tone::Busy,
        AttemptOutcome::Inventoried | AttemptOutcome::LocalBoot => Tone::Ok,
        AttemptOutcome::Failed => Tone::Bad,
    }
}

/// How far an operation is, for people.
pub fn state_word(state: OperationState) -> &'static str {
    match state {
        OperationState::Registered => "recorded",
        OperationState::PxeReady => "armed",
        OperationState::PxeBooted => "booted",
        OperationState::Installing => "installing",
        OperationState::Installed => "installed",
        OperationState::FirstBoot => "first boot",
        OperationState::Joining => "joining",
        OperationState::Ready => "ready",
        OperationState::Failed => "failed",
        OperationState::Cancelled => "cancelled",
    }
}

/// How a state of an operation is to be seen.
pub fn state_tone(state: OperationState) -> Tone {
    match state {
        OperationState::Registered | OperationState::Cancelled => Tone::Dim,
        OperationState::PxeReady => Tone::Warn,
        OperationState::Ready => Tone::Ok,
        OperationState::Failed => Tone::Bad,
        _ => Tone::Busy,
    }
}

/// How a step is to be seen.
pub fn step_tone(state: StepState) -> Tone {
    match state {
        StepState::Waiting => Tone::Dim,
        StepState::Running => Tone::Busy,
        StepState::Done => Tone::Ok,
        StepState::Failed => Tone::Bad,
    }
}

/// Where an artifact stands.
pub fn artifact_state(state: ArtifactState) -> (Tone, &'static str) {
    match state {
        ArtifactState::Queued => (Tone::Dim, "queued"),
        ArtifactState::Working => (Tone::Busy, "working"),
        ArtifactState::Done => (Tone::Ok, "here"),
        ArtifactState::Failed => (Tone::Bad, "failed"),
        ArtifactState::Missing => (Tone::Warn, "missing"),
    }
}

/// Who caused something.
pub fn actor(actor: &Actor) -> String {
    match actor {
        Actor::Machine => "machine".into(),
        Actor::Daemon => "daemon".into(),
        Actor::Operator(name) => name.clone(),
        Actor::Token(name) => format!("token {name}"),
    }
}
