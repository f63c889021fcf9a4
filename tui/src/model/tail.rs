//! The tail of events: the newest below, as they come, and older ones as far as somebody goes back.

use std::collections::VecDeque;

use ironwake_api::{Event, EventKind};
use serde::{Deserialize, Serialize};

use super::past::{Known, Past, Scope};
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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

    /// The kinds of events that are about it, as the API calls them.
    pub fn kinds(self) -> impl Iterator<Item = String> {
        self.types().iter().map(|name| snake_case(name))
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

macro_rules! abouts {
    ($($about:ident: $($kind:ident),+;)*) => {
        impl About {
            /// What an event is about.
            pub fn of(kind: &EventKind) -> Self {
                match kind {
                    $($(EventKind::$kind { .. })|+ => Self::$about,)*
                }
            }

            /// The events that are about it, as the types are called.
            fn types(self) -> &'static [&'static str] {
                match self {
                    $(Self::$about => &[$(stringify!($kind)),+],)*
                }
            }
        }
    };
}

// Every event is about one thing: one that is in no line does not compile.
#[rustfmt::skip]
abouts! {
    Machines:
        MachineSeen, MachineRegistered, Enrolment, MachineEdited, MachineDeleted, MachineAbsorbed,
        IdentityConflict, Inventory, OrderGiven;
    Boots: AttemptStarted, AttemptStage, AttemptEnded;
    Operations:
        OperationMade, OperationWaits, OperationChanged, ShellOpened, ShellClosed, OperationStep,
        LoginKeyRemoved;
    Progress: OperationProgress, ArtifactProgress, ArtifactBuildProgress;
    Hosts: HostBooted, HostChanged, HostSilent, HostBack;
    Network:
        LeasesChanged, NetworkChanging, NetworkConfirmed, NetworkTakenBack, OtherDhcpServer,
        OtherDhcpServerGone, AddressConflict;
    Artifacts:
        ArtifactAsked, ArtifactTrouble, ArtifactFailed, ArtifactCancelled, ArtifactEvicted, ArtifactReady,
        ArtifactBuild, ArtifactPinned, ArtifactDeleted;
    Access:
        TokenRefused, TokenMade, TokenRevoked, AccessSlowed, LoggedIn, LoginRefused, PasswordChanged,
        SshKeyAdded, SshKeyDeleted, OneTimePasswordMade,
        CertificateChanged, CertificateRefused;
    Daemon:
        DaemonStarted, SettingsChanged, WebhookTest, HealthChanged, SystemChanging, SystemChangeFailed,
        SystemEnding, UnitRestarting, SetupStep, BackupMade, BackupRestored, ClockJumped, InstallBegun, InstallEnded, FactoryReset,
        UpdateFound, UpdateStarted, UpdateInstalled, UpdateFailed, UpdateStayed, UpdateFellBack, DatabaseTakenBack;
}

/// `MachineSeen` as it is in JSON: `machine_seen`.
fn snake_case(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(c.to_ascii_lowercase());
    }
    text
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
    /// Of which machine listed events are, and what they are about.
    pub scope: Scope,
    /// How far back events are here.
    pub known: Known,
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

    /// Events of a scope as far back as none is missing, the newest first.
    pub fn of<'a>(&'a self, scope: &'a Scope) -> impl Iterator<Item = &'a Event> {
        let from = self.known.from(scope).unwrap_or(i64::MIN);
        self.events
            .iter()
            .rev()
            .take_while(move |event| event.id >= from)
            .filter(move |event| scope.has(event))
    }

    /// Whether the list shows its oldest event, so that older ones are wanted; as many as are kept.
    pub fn wants_older(&self, height: usize) -> bool {
        let at_top = self.list.top == 0 && (self.held || self.shown.len() < height);
        at_top && self.events.len() < KEPT_MAX
    }

    /// Takes a page of stored events.
    pub fn past(&mut self, past: &Past, events: Vec<Event>) {
        self.loaded |= past.scope == Scope::default();
        self.known.came(past, &events);
        self.put(events);
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
            let oldest = self.events.front().map_or(i64::MIN, |event| event.id);
            self.known.dropped(oldest);
        }
    }

    /// Makes the list; `names` gives a machine's name. Unless it is held, the cursor is on the newest.
    pub fn arrange(&mut self, height: usize, names: impl Fn(&str) -> String) {
        let words: Vec<String> =
            self.search.text().to_lowercase().split_whitespace().map(str::to_owned).collect();
        let chosen = self.chosen().map(|event| event.id);
        let from = self.known.from(&self.scope).unwrap_or(i64::MIN);
        let fits = |event: &Event| {
            let named = || {
                let name = event.machine.as_deref().map(&names).unwrap_or_default();
                format!("{name} {}", telling::event(&event.kind).1).to_lowercase()
            };
            event.id >= from
                && self.level.lists(&event.kind)
                && self.scope.has(event)
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_of_event_is_about_one_thing() {
        let kinds: Vec<String> = About::ALL.into_iter().flat_map(About::kinds).collect();
        let named: BTreeSet<&str> = kinds.iter().map(String::as_str).collect();
        assert_eq!(named.len(), kinds.len(), "one is there twice");
        assert_eq!(named, EventKind::NAMES.iter().copied().collect());
    }
}
