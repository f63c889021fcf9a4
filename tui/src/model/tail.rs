//! The tail of events: the newest below, as they come.

use std::collections::{BTreeSet, VecDeque};

use ironwake_api::{Event, EventKind};

use super::telling;
use crate::input::Input;
use crate::list::List;
use crate::look::Tone;

/// Events that are kept: some minutes of a busy site.
pub const KEPT_MAX: usize = 5000;

/// Which events are listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Level {
    /// All.
    #[default]
    All,
    /// Without the single steps of boots and transfers.
    Matters,
    /// What went wrong.
    Troubles,
}

impl Level {
    /// The next one.
    pub fn next(self) -> Self {
        match self {
            Self::All => Self::Matters,
            Self::Matters => Self::Troubles,
            Self::Troubles => Self::All,
        }
    }

    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Matters => "what matters",
            Self::Troubles => "troubles",
        }
    }

    fn lists(self, kind: &EventKind) -> bool {
        match self {
            Self::All => true,
            Self::Matters => !matches!(
                kind,
                EventKind::AttemptStage { .. }
                    | EventKind::AttemptStarted { .. }
                    | EventKind::OperationProgress { .. }
                    | EventKind::ArtifactProgress { .. }
            ),
            Self::Troubles => matches!(telling::event(kind).0, Tone::Bad | Tone::Warn),
        }
    }
}

/// What events are about, for the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum About {
    /// Records, their enrolment and inventories.
    Machines,
    /// Boots, stage by stage.
    Boots,
    /// Operations, their steps and shells.
    Operations,
    /// How far operations and downloads are.
    Progress,
    /// What runs on machines.
    Hosts,
    /// Networks and addresses.
    Network,
    /// Imports and builds.
    Artifacts,
    /// Tokens, certificates and who is refused.
    Access,
    /// The daemon and its settings.
    Daemon,
}

impl About {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Self; 9] = [
        Self::Machines,
        Self::Boots,
        Self::Operations,
        Self::Progress,
        Self::Hosts,
        Self::Network,
        Self::Artifacts,
        Self::Access,
        Self::Daemon,
    ];

    /// What an event is about.
    pub fn of(kind: &EventKind) -> Self {
        use EventKind as E;
        match kind {
            E::MachineSeen { .. }
            | E::MachineRegistered
            | E::Enrolment { .. }
            | E::MachineEdited { .. }
            | E::MachineDeleted
            | E::MachineAbsorbed { .. }
            | E::IdentityConflict { .. }
            | E::Inventory { .. }
            | E::OrderGiven { .. } => Self::Machines,
            E::AttemptStarted { .. } | E::AttemptStage { .. } | E::AttemptEnded { .. } => Self::Boots,
            E::OperationMade { .. }
            | E::OperationWaits { .. }
            | E::OperationChanged { .. }
            | E::ShellOpened { .. }
            | E::ShellClosed { .. }
            | E::OperationStep { .. }
            | E::LoginKeyRemoved { .. } => Self::Operations,
            E::OperationProgress { .. } | E::ArtifactProgress { .. } | E::ArtifactBuildProgress { .. } => {
                Self::Progress
            }
            E::HostBooted { .. } | E::HostChanged { .. } | E::HostSilent { .. } | E::HostBack { .. } => {
                Self::Hosts
            }
            E::LeasesChanged { .. }
            | E::NetworkChanging { .. }
            | E::NetworkConfirmed { .. }
            | E::NetworkTakenBack { .. }
            | E::OtherDhcpServer { .. }
            | E::OtherDhcpServerGone { .. }
            | E::AddressConflict { .. } => Self::Network,
            E::ArtifactAsked { .. }
            | E::ArtifactTrouble { .. }
            | E::ArtifactFailed { .. }
            | E::ArtifactCancelled { .. }
            | E::ArtifactEvicted { .. }
            | E::ArtifactReady { .. }
            | E::ArtifactBuild { .. }
            | E::ArtifactPinned { .. }
            | E::ArtifactDeleted { .. } => Self::Artifacts,
            E::TokenRefused { .. }
            | E::TokenMade { .. }
            | E::TokenRevoked { .. }
            | E::AccessSlowed { .. }
            | E::LoggedIn { .. }
            | E::LoginRefused { .. }
            | E::PasswordChanged { .. }
            | E::SshKeyAdded { .. }
            | E::SshKeyDeleted { .. }
            | E::OneTimePasswordMade { .. }
            | E::CertificateChanged { .. }
            | E::CertificateRefused { .. } => Self::Access,
            E::DaemonStarted { .. }
            | E::SettingsChanged { .. }
            | E::WebhookTest { .. }
            | E::HealthChanged { .. }
            | E::SystemChanging { .. }
            | E::SystemChangeFailed { .. }
            | E::SystemEnding { .. }
            | E::UnitRestarting { .. }
            | E::SetupStep { .. } => Self::Daemon,
        }
    }

    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Machines => "machines",
            Self::Boots => "boots",
            Self::Operations => "operations",
            Self::Progress => "progress",
            Self::Hosts => "hosts",
            Self::Network => "network",
            Self::Artifacts => "artifacts",
            Self::Access => "access",
            Self::Daemon => "daemon",
        }
    }
}

/// Events.
#[derive(Debug, Default)]
pub struct Tail {
    /// The oldest first.
    pub events: VecDeque<Event>,
    /// What is listed, as places in `events`.
    pub shown: Vec<usize>,
    /// Where the cursor is.
    pub list: List,
    /// Whether the cursor stays where it is when events come.
    pub held: bool,
    /// Which levels are listed.
    pub level: Level,
    /// What listed events are about; everything, where it is empty.
    pub about: BTreeSet<About>,
    /// The one machine whose events are listed.
    pub machine: Option<String>,
    /// Text that is searched for.
    pub search: Input,
    /// Whether past ones were asked for.
    pub loaded: bool,
}

impl Tail {
    /// The event under the cursor.
    pub fn chosen(&self) -> Option<&Event> {
        self.shown.get(self.list.cursor).and_then(|place| self.events.get(*place))
    }

    /// The last events of a machine, the newest first.
    pub fn of_machine<'a>(&'a self, machine: &'a str) -> impl Iterator<Item = &'a Event> {
        self.events.iter().rev().filter(move |event| event.machine.as_deref() == Some(machine))
    }

    /// Takes events in order; what is here already is not taken twice.
    pub fn put(&mut self, events: Vec<Event>) {
        for event in events {
            let place = self.events.partition_point(|other| other.id < event.id);
            if self.events.get(place).is_none_or(|other| other.id != event.id) {
                self.events.insert(place, event);
            }
        }
        while self.events.len() > KEPT_MAX {
            self.events.pop_front();
        }
    }

    /// Makes the list; `names` gives a machine's name. Unless it is held, the cursor is on the newest.
    pub fn arrange(&mut self, height: usize, names: impl Fn(&str) -> String) {
        let words: Vec<String> =
            self.search.text().to_lowercase().split_whitespace().map(str::to_owned).collect();
        let chosen = self.chosen().map(|event| event.id);
        let fits = |event: &Event| {
            let named = || {
                let name = event.machine.as_deref().map(&names).unwrap_or_default();
                format!("{name} {}", telling::event(&event.kind).1).to_lowercase()
            };
            self.level.lists(&event.kind)
                && (self.about.is_empty() || self.about.contains(&About::of(&event.kind)))
                && self.machine.as_ref().is_none_or(|machine| event.machine.as_ref() == Some(machine))
                && (words.is_empty() || words.iter().all(|word| named().contains(word)))
        };
        self.shown = (0..self.events.len()).filter(|place| fits(&self.events[*place])).collect();
        let on_screen = self.list.cursor.saturating_sub(self.list.top);
        let last = self.shown.len().saturating_sub(1);
        self.list.cursor = match chosen.filter(|_| self.held) {
            Some(id) => self.shown.partition_point(|place| self.events[*place].id < id).min(last),
            None => last,
        };
        self.list.top = self.list.cursor.saturating_sub(on_screen);
        self.list.settle(self.shown.len(), height);
    }
}
