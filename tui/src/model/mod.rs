//! Everything that the console knows and shows. Only [`crate::update::update`] changes it.

pub mod access;
pub mod condition;
pub mod first;
pub mod fleet;
pub mod hardware;
pub mod known;
pub mod machine;
pub mod medium;
pub mod order;
pub mod overlay;
pub mod own;
pub mod past;
pub mod row;
pub mod setting;
pub mod stock;
pub mod tail;
pub mod telling;
pub mod toast;
pub mod traffic;
pub mod values;
pub mod wizard;
pub mod works;

use ironwake_api::{Health, HealthState, Millis, Profiles, Version};
use serde::{Deserialize, Serialize};

use crate::bindings::Context;
use crate::input::Input;
use crate::look::Look;
use access::Access;
use first::First;
use fleet::Fleet;
use machine::Opened;
use medium::Medium;
use overlay::Overlay;
use own::Own;
use setting::Book;
use stock::{Leases, Stock};
use tail::Tail;
use toast::Toasts;
use traffic::Traffic;
use wizard::Wizard;
use works::Works;

/// How long one picture of what is being worked on is shown.
const BEAT_MILLIS: Millis = 250;

/// What the console is told when it starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    /// Name of the appliance.
    pub name: String,
    /// Where it is asked.
    pub place: String,
    /// How things look.
    pub look: Look,
    /// Columns of the terminal.
    pub columns: u16,
    /// Rows of the terminal.
    pub rows: u16,
    /// The time.
    pub now: Millis,
}

/// Whether the daemon answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// It was not reached yet.
    Connecting,
    /// It does.
    Live,
    /// It does not.
    Lost {
        /// Why.
        why: String,
        /// Since when.
        since: Millis,
        /// When it is tried again.
        retry_at: Millis,
    },
}

/// A screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Screen {
    /// The list of machines.
    Machines,
    /// Operations.
    Operations,
    /// The tail of events.
    Events,
    /// Artifacts and builds.
    Artifacts,
    /// Interfaces and leases.
    Network,
    /// The appliance itself.
    System,
    /// One machine.
    Machine,
    /// One operation.
    Operation,
    /// The steps of a rebuild.
    Rebuild,
    /// Every setting.
    Settings,
    /// The steps of the first set-up.
    First,
}

impl Screen {
    /// The screens of the tabs, from the left.
    pub const TABS: [Self; 6] =
        [Self::Machines, Self::Operations, Self::Events, Self::Artifacts, Self::Network, Self::System];

    /// Its title.
    pub fn title(self) -> &'static str {
        self.context().title()
    }

    /// Where its keys stand in the table.
    pub fn context(self) -> Context {
        match self {
            Self::Machines => Context::Machines,
            Self::Operations => Context::Operations,
            Self::Events => Context::Events,
            Self::Artifacts => Context::Artifacts,
            Self::Network => Context::Network,
            Self::System => Context::System,
            Self::Machine => Context::Machine,
            Self::Operation => Context::Operation,
            Self::Rebuild => Context::Rebuild,
            Self::Settings => Context::Settings,
            Self::First => Context::First,
        }
    }
}

/// Everything that the console knows and shows.
#[derive(Debug)]
pub struct Model {
    /// What it was told at its start.
    pub setup: Setup,
    /// The time.
    pub now: Millis,
    /// Whether the daemon answers.
    pub link: Link,
    /// How the daemon is.
    pub health: Option<Health>,
    /// What its networks are asked.
    pub traffic: Traffic,
    /// Its version.
    pub version: Option<Version>,
    /// Every machine.
    pub fleet: Fleet,
    /// Operations.
    pub works: Works,
    /// Events.
    pub tail: Tail,
    /// Artifacts and builds.
    pub stock: Stock,
    /// Leases.
    pub leases: Leases,
    /// Profiles.
    pub profiles: Option<Profiles>,
    /// Settings.
    pub settings: Book,
    /// The appliance's own system.
    pub own: Own,
    /// What it runs from, and which disks it has.
    pub medium: Medium,
    /// Who is there.
    pub access: Access,
    /// The machine that is open.
    pub opened: Option<Opened>,
    /// The steps of a rebuild that are open.
    pub wizard: Option<Wizard>,
    /// The steps of the first set-up, if it was begun.
    pub first: Option<First>,
    /// Whether the appliance is not set up.
    pub needs_set_up: bool,
    /// Somebody has left its steps: they do not open by themselves again.
    pub has_left_first: bool,
    /// Open screens; the last one is shown, the first one is a tab's.
    pub screens: Vec<Screen>,
    /// What lies above the screen.
    pub overlay: Option<Overlay>,
    /// What was said lately.
    pub toasts: Toasts,
    /// Whether the console is to end.
    pub ended: bool,
    /// Checks of values that were asked for.
    pub checks: u64,
    /// Whether operations or events are to be put in order again.
    pub unsettled: bool,
    /// The event behind which the stream began.
    pub last_event: Option<i64>,
}

impl Model {
    /// A console that knows nothing yet.
    pub fn new(setup: Setup) -> Self {
        Self {
            now: setup.now,
            setup,
            link: Link::Connecting,
            health: None,
            traffic: Traffic::default(),
            version: None,
            fleet: Fleet::default(),
            works: Works::default(),
            tail: Tail::default(),
            stock: Stock::default(),
            leases: Leases::default(),
            profiles: None,
            settings: Book::default(),
            own: Own::default(),
            medium: Medium::default(),
            access: Access::default(),
            opened: None,
            wizard: None,
            first: None,
            needs_set_up: false,
            has_left_first: false,
            screens: vec![Screen::Machines],
            overlay: None,
            toasts: Toasts::default(),
            ended: false,
            checks: 0,
            unsettled: false,
            last_event: None,
        }
    }

    /// The screen that is shown.
    pub fn screen(&self) -> Screen {
        *self.screens.last().expect("a tab is always open")
    }

    /// The tab that is open.
    pub fn tab(&self) -> Screen {
        self.screens[0]
    }

    /// Where keys count, the innermost first.
    pub fn contexts(&self) -> Vec<Context> {
        match &self.overlay {
            Some(Overlay::Help { .. }) => vec![Context::Help],
            Some(Overlay::Palette(_)) => vec![Context::Palette],
            Some(
                Overlay::Search
                | Overlay::Prompt(_)
                | Overlay::Demanded(_)
                | Overlay::Login(_)
                | Overlay::Setting(_)
                | Overlay::Own(_),
            ) => {
                vec![Context::Typing]
            }
            Some(Overlay::Question(_)) => vec![Context::Question],
            Some(Overlay::Editor(_)) => vec![Context::Editor],
            Some(Overlay::Picker(picker)) if picker.what.is_one() => vec![Context::Choice],
            Some(Overlay::Picker(_)) => vec![Context::Picker],
            Some(Overlay::Code(_)) => vec![Context::Code],
            // What is typed there would go elsewhere with other keys.
            None if self.screen() == Screen::First => vec![Context::First],
            None => vec![self.screen().context(), Context::Everywhere],
        }
    }

    /// Whether what is typed is not to be recorded.
    pub fn is_typing_a_secret(&self) -> bool {
        match &self.overlay {
            Some(Overlay::Login(_)) => true,
            Some(Overlay::Setting(edit)) => edit.is_veiled(),
            Some(_) => false,
            None if self.screen() == Screen::First => self.first.as_ref().is_some_and(First::is_secret),
            None => self.screen() == Screen::Rebuild && self.wizard.as_ref().is_some_and(Wizard::is_secret),
        }
    }

    /// Which picture of what is being worked on is shown.
    pub fn beat(&self) -> u64 {
        self.now / BEAT_MILLIS
    }

    /// Whether pictures move, so that time has to come more often than by the second.
    pub fn moves(&self) -> bool {
        let first = self.first.as_ref().is_some_and(First::moves);
        self.link == Link::Live
            && (first || self.fleet.is_busy() || self.works.running() > 0 || self.stock.is_busy())
    }

    /// Whether the daemon is lost.
    pub fn is_lost(&self) -> bool {
        matches!(self.link, Link::Lost { .. })
    }

    /// Lines of the screen for what everybody has to know: that the daemon is lost, that an address goes back.
    pub fn banner_rows(&self) -> u16 {
        u16::from(self.is_lost()) + u16::from(self.own.waiting(self.now).is_some())
    }

    /// How the daemon is, and what the worst is in words.
    pub fn worst(&self) -> (HealthState, String) {
        let Some(health) = &self.health else { return (HealthState::Ok, String::new()) };
        let checks =
            health.checks.iter().map(|check| (check.state, format!("{}: {}", check.name, check.message)));
        let networks = health
            .networks
            .iter()
            .map(|network| (network.state, format!("{}: {}", network.interface, network.message)));
        let mut worst = (HealthState::Ok, String::new());
        for (state, text) in checks.chain(networks) {
            if state > worst.0 {
                worst = (state, text);
            }
        }
        worst
    }

    /// What is searched for on the screen that is shown, where it can be searched.
    pub fn search_mut(&mut self) -> Option<&mut Input> {
        match self.screen() {
            Screen::Machines => Some(&mut self.fleet.search),
            Screen::Operations => Some(&mut self.works.search),
            Screen::Events => Some(&mut self.tail.search),
            Screen::Artifacts => Some(&mut self.stock.search),
            Screen::Network => Some(&mut self.leases.search),
            Screen::Settings => Some(&mut self.settings.search),
            Screen::System | Screen::Machine | Screen::Operation | Screen::Rebuild | Screen::First => None,
        }
    }

    /// The same, to be shown.
    pub fn search(&self) -> Option<&Input> {
        match self.screen() {
            Screen::Machines => Some(&self.fleet.search),
            Screen::Operations => Some(&self.works.search),
            Screen::Events => Some(&self.tail.search),
            Screen::Artifacts => Some(&self.stock.search),
            Screen::Network => Some(&self.leases.search),
            Screen::Settings => Some(&self.settings.search),
            Screen::System | Screen::Machine | Screen::Operation | Screen::Rebuild | Screen::First => None,
        }
    }
}
