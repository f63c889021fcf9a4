//! The first set-up of the appliance, step by step: what there is to choose from, what was chosen, and how far it is done.

mod pick;
mod stage;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use ironwake_api::{
    DhcpChoice, Entrance, FieldProblem, NetworkChange, OneTimePassword, OwnAddress, OwnSystem, Scope, Setup,
    SetupDryRun, SetupInterface, SetupState, SshKeyFound, SshKeyListed, SshKeyStick, SystemAction,
    SystemChoices, SystemPatch, Whoami,
};

use crate::input::Input;
use crate::list::List;
pub use pick::Pick;
pub use stage::{Field, Stage};

/// Networks of which one is suggested to an interface that has no address: private ones (RFC 1918) that few sites use.
const SUGGESTED: [&str; 3] = ["192.168.77.1/24", "10.77.0.1/24", "172.27.77.1/24"];
/// The time zone where the host tells none.
const ZONE: &str = "Etc/UTC";

/// Whether what changes something may be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Permit {
    /// It may.
    Given {
        /// A password can be set all the same: there is none, or it was typed on another keyboard.
        anew: bool,
    },
    /// The first password has to be set.
    First,
    /// Somebody has to log in.
    Login,
    /// A first password has to be set, and cannot be set from here.
    Elsewhere,
}

/// How the appliance has its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// As it is.
    Keep,
    /// Another DHCP server gives it.
    Dhcp,
    /// Its own.
    Static,
}

/// How far it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// Steps are filled in.
    Filling,
    /// The daemon does it.
    Applying,
    /// An address waits for its confirmation.
    Confirming {
        /// Which, and until when.
        change: NetworkChange,
        /// Whether the daemon was asked to keep it.
        sent: bool,
    },
    /// The daemon starts again.
    Restarting {
        /// It was gone meanwhile.
        gone: bool,
    },
    /// It is set up.
    Done {
        /// The daemon has to be started again by hand.
        by_hand: bool,
    },
}

/// Ways of serving DHCP, in the order in which they are listed.
pub const MODES: [DhcpChoice; 3] = [DhcpChoice::Proxy, DhcpChoice::Server, DhcpChoice::Off];

/// What is known and done about SSH keys.
#[derive(Debug, Default)]
pub struct Keys {
    /// Listed keys; none where they are not shown.
    pub listed: Vec<SshKeyListed>,
    /// Sticks that are plugged in; absent until they were looked for.
    pub sticks: Option<Vec<SshKeyStick>>,
    /// The key of a stick under the cursor.
    pub list: List,
    /// Whether the daemon was asked to add some, or for a password.
    pub is_asking: bool,
    /// The one-time password.
    pub one_time: Option<OneTimePassword>,
    /// Why keys were refused.
    pub refused: Vec<String>,
}

impl Keys {
    /// The keys on sticks, each with where it was found.
    pub fn found(&self) -> Vec<(String, &SshKeyFound)> {
        let sticks = self.sticks.iter().flatten();
        let files = sticks.flat_map(|stick| stick.files.iter().map(move |file| (stick, file)));
        let place = |stick: &SshKeyStick, path: &str| format!("{}: {path}", stick.label);
        files
            .flat_map(|(stick, file)| file.keys.iter().map(move |key| (place(stick, &file.path), key)))
            .collect()
    }
}

/// The first set-up.
pub struct First {
    /// The step that is open.
    pub stage: Stage,
    /// The place of the field under the cursor.
    pub focus: usize,
    /// Steps that were open.
    pub seen: BTreeSet<Stage>,
    /// How far it is done.
    pub phase: Phase,
    /// Said above the step that is open.
    pub note: Option<String>,
    /// What was refused as a whole.
    pub refused: Option<String>,
    /// Interfaces, and what answers on them.
    pub state: Option<SetupState>,
    /// Whether other DHCP servers are looked for.
    pub is_looking: bool,
    /// The appliance's system.
    pub system: Option<OwnSystem>,
    /// Time zones and keyboards.
    pub choices: SystemChoices,
    /// Whether what changes something may be asked for.
    pub permit: Permit,
    /// A password was set here.
    pub has_set: bool,
    /// It is to be typed again, on another keyboard.
    pub retypes: bool,
    /// The daemon was asked to take what was typed.
    pub is_asking: bool,
    /// The keyboard.
    pub keyboard: Pick,
    /// The interface under the cursor.
    pub interface: List,
    /// How the appliance has its address.
    pub how: How,
    /// How DHCP is served.
    pub dhcp: DhcpChoice,
    /// The time zone.
    pub zone: Pick,
    /// Whether the clock is set from the network.
    pub ntp: bool,
    /// SSH keys.
    pub keys: Keys,
    /// What a dry run of it told last.
    pub run: Option<SetupDryRun>,
    /// Which dry run was asked for last.
    pub asked: u64,
    /// Which one was answered last.
    pub answered: u64,
    /// Whether the daemon starts again by itself once all is done.
    pub restarts: bool,
    /// Steps that the daemon has told of, with why they came to nothing.
    pub done: Vec<(String, Option<String>)>,
    /// Somebody has said at the summary that its danger is meant.
    pub accepts: bool,
    /// Lines of the summary above the screen.
    pub scroll: usize,
    /// Lines that are typed.
    inputs: BTreeMap<Field, Input>,
    /// What was suggested for them: that may be changed with what it follows from.
    suggested: BTreeMap<Field, String>,
}

impl std::fmt::Debug for First {
    // What is typed may be a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("First")
            .field("stage", &self.stage)
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}

impl Default for First {
    fn default() -> Self {
        Self {
            stage: Stage::Password,
            focus: 0,
            seen: BTreeSet::from([Stage::Password]),
            phase: Phase::Filling,
            note: None,
            refused: None,
            state: None,
            is_looking: false,
            system: None,
            choices: SystemChoices::default(),
            permit: Permit::Given { anew: false },
            has_set: false,
            retypes: false,
            is_asking: false,
            keyboard: Pick::default(),
            interface: List::default(),
            how: How::Keep,
            dhcp: DhcpChoice::Proxy,
            zone: Pick::default(),
            ntp: true,
            keys: Keys::default(),
            run: None,
            asked: 0,
            answered: 0,
            restarts: false,
            done: Vec::new(),
            accepts: false,
            scroll: 0,
            inputs: BTreeMap::new(),
            suggested: BTreeMap::new(),
        }
    }
}

impl First {
    /// What is typed in a field.
    pub fn input(&self, field: Field) -> Input {
        self.inputs.get(&field).cloned().unwrap_or_default()
    }

    /// The same as text, without what is empty around it.
    pub fn text(&self, field: Field) -> String {
        self.input(field).text().trim().to_owned()
    }

    /// The same, to be changed.
    pub fn input_mut(&mut self, field: Field) -> &mut Input {
        self.inputs.entry(field).or_default()
    }

    /// Empties a field.
    pub fn forget(&mut self, field: Field) -> Input {
        self.inputs.remove(&field).unwrap_or_default()
    }

    /// Fills a field in, unless somebody has typed something else there.
    pub fn suggest(&mut self, field: Field, value: &str) {
        let before = self.suggested.insert(field, value.to_owned()).unwrap_or_default();
        if self.text(field) == before {
            self.inputs.insert(field, Input::new(value));
        }
    }

    /// Whether what a password is typed for is asked.
    pub fn is_secret(&self) -> bool {
        self.phase == Phase::Filling && self.field().is_some_and(Field::is_secret)
    }

    /// How the appliance can have its address on the interface that is chosen.
    pub fn hows(&self) -> Vec<How> {
        let keep = self.address().is_some().then_some(How::Keep);
        keep.into_iter().chain([How::Dhcp, How::Static]).collect()
    }

    /// Whether server mode has to wait for an address of the appliance's own.
    pub fn wants_own_address(&self) -> bool {
        self.dhcp == DhcpChoice::Server && self.how != How::Static && self.left_out(Stage::Address).is_none()
    }

    /// What breaks the network of others with what is chosen: nothing is done with that unless somebody says that it is meant.
    pub fn danger(&self) -> Option<String> {
        let served = self.served().filter(|served| served.link && self.dhcp == DhcpChoice::Server)?;
        let heard =
            served.dhcp.as_ref().filter(|heard| heard.problem.is_none() && !heard.servers.is_empty())?;
        let (servers, name) = (heard.servers.join(", "), &served.name);
        Some(format!("{servers} gives addresses on {name} already. Two servers give the same address twice."))
    }

    /// Puts the cursor on the first field of the open step that is wrong.
    pub fn focus_wrong(&mut self) {
        let wrong =
            |field: &Field| self.mistakes(self.stage).iter().any(|mistake| field.is_of(&mistake.field));
        self.focus = self.fields().iter().position(wrong).unwrap_or(self.focus);
    }

    /// The interface that is chosen.
    pub fn served(&self) -> Option<&SetupInterface> {
        self.state.as_ref()?.interfaces.get(self.interface.cursor)
    }

    /// Its IPv4 address with the prefix.
    pub fn address(&self) -> Option<&str> {
        let addresses = &self.served()?.addresses;
        addresses.iter().find(|text| network(text).is_some()).map(String::as_str)
    }

    /// Whether something is waited for, which a moving picture tells.
    pub fn moves(&self) -> bool {
        let waits = self.is_looking || self.is_asking || self.keys.is_asking;
        match self.phase {
            Phase::Filling => waits || !self.is_checked(),
            Phase::Applying | Phase::Restarting { .. } => true,
            Phase::Confirming { sent, .. } => sent,
            Phase::Done { .. } => false,
        }
    }

    /// Nobody is logged in any more: forgets what only they may see.
    pub fn lock(&mut self) {
        self.keys = Keys::default();
        for field in [Field::Login, Field::New, Field::Again, Field::Paste] {
            self.forget(field);
        }
    }

    /// Takes who is there.
    pub fn who(&mut self, who: &Whoami) {
        self.permit = match () {
            () if who.scope >= Scope::Admin => Permit::Given { anew: !who.password_set || self.retypes },
            () if who.password_set => Permit::Login,
            () if who.entrance == Some(Entrance::Console) => Permit::First,
            () => Permit::Elsewhere,
        };
        if !who.one_time_password_set {
            self.keys.one_time = None;
        }
        self.focus = self.focus.min(self.fields().len().saturating_sub(1));
    }

    /// Takes what the interfaces are; the chosen one stays chosen.
    pub fn interfaces(&mut self, state: SetupState) {
        let name = self.served().map(|served| served.name.clone());
        let first = self.state.is_none();
        let has_address = |found: &SetupInterface| found.addresses.iter().any(|text| network(text).is_some());
        let rank = |found: &SetupInterface| (found.link, found.up, has_address(found));
        let place = match name {
            Some(name) => state.interfaces.iter().position(|found| found.name == name),
            // With a cable and an address before one with less, else the first.
            None => (0..state.interfaces.len()).rev().max_by_key(|place| rank(&state.interfaces[*place])),
        };
        self.state = Some(state);
        self.interface.cursor = place.unwrap_or(0);
        if first {
            self.chosen_interface();
        }
    }

    /// What follows from the interface is suggested.
    pub fn chosen_interface(&mut self) {
        let own = self.address().map(str::to_owned);
        if !self.seen.contains(&Stage::Address) {
            self.how = if own.is_some() { How::Keep } else { How::Dhcp };
        }
        let others: Vec<(u32, u8)> = self
            .state
            .iter()
            .flat_map(|state| &state.interfaces)
            .flat_map(|found| &found.addresses)
            .filter_map(|text| network(text))
            .collect();
        let free = SUGGESTED
            .into_iter()
            .find(|text| network(text).is_some_and(|own| others.iter().all(|other| !overlaps(own, *other))));
        self.suggest(Field::Address, own.as_deref().or(free).unwrap_or(SUGGESTED[0]));
        let range = self.served().and_then(|served| served.suggested_range.clone());
        self.suggest(Field::Range, &range.unwrap_or_default());
    }

    /// Takes what the system is.
    pub fn system(&mut self, system: OwnSystem) {
        self.suggest(Field::Name, &system.hostname);
        self.suggest(Field::Servers, &system.clock.ntp_servers.join(", "));
        if self.system.is_none() {
            let zone = system.clock.timezone.clone().unwrap_or_else(|| ZONE.into());
            self.zone.choose(zone, &self.choices.timezones);
            let keyboard = system.keyboard.clone().unwrap_or_default();
            self.keyboard.choose(keyboard, &self.choices.keyboards);
        }
        self.system = Some(system);
    }

    /// Takes what time zones and keyboards there are.
    pub fn choices(&mut self, choices: SystemChoices) {
        self.choices = choices;
        let (zone, keyboard) = (self.zone.chosen.clone(), self.keyboard.chosen.clone());
        self.zone.choose(zone, &self.choices.timezones);
        self.keyboard.choose(keyboard, &self.choices.keyboards);
    }

    /// Takes what a dry run told; says whether other addresses are to be given because of it, which makes it out of date.
    pub fn ran(&mut self, number: u64, run: SetupDryRun) -> bool {
        if number < self.answered {
            return false;
        }
        self.answered = number;
        let before = self.text(Field::Range);
        if let Some(range) = &run.suggested_range {
            self.suggest(Field::Range, range);
        }
        self.run = Some(run);
        self.dhcp == DhcpChoice::Server && self.text(Field::Range) != before
    }

    /// Whether what the last dry run told is of what is chosen.
    pub fn is_checked(&self) -> bool {
        self.run.is_some() && self.answered == self.asked
    }

    /// What is wrong in a step, as far as the daemon knows.
    pub fn mistakes(&self, stage: Stage) -> Vec<&FieldProblem> {
        let all = self.run.iter().flat_map(|run| &run.mistakes);
        all.filter(|mistake| Stage::of(&mistake.field) == Some(stage)).collect()
    }

    /// The first step with something wrong in it.
    pub fn first_wrong(&self) -> Option<Stage> {
        Stage::ALL
            .into_iter()
            .find(|stage| self.left_out(*stage).is_none() && !self.mistakes(*stage).is_empty())
    }

    /// The document with everything that was chosen. What this host cannot do, and what is as it is, is left out.
    pub fn document(&self) -> Setup {
        let list = |field| {
            let text = self.text(field);
            let parts = text.split([',', ' ', ';']).map(str::trim).filter(|part| !part.is_empty());
            parts.map(str::to_owned).collect::<Vec<_>>()
        };
        let given = |field| Some(self.text(field)).filter(|text| !text.is_empty());
        let server = self.dhcp == DhcpChoice::Server;
        let address = match self.how {
            How::Keep => None,
            How::Dhcp => Some(OwnAddress { dhcp: true, ..OwnAddress::default() }),
            How::Static => Some(OwnAddress {
                dhcp: false,
                address: given(Field::Address),
                gateway: given(Field::Gateway),
                dns: list(Field::Dns),
            }),
        };
        Setup {
            interface: self.served().map_or_else(String::new, |served| served.name.clone()),
            address: address.filter(|_| self.left_out(Stage::Address).is_none()),
            dhcp: self.dhcp,
            range: if server { list(Field::Range) } else { Vec::new() },
            router: given(Field::Router).filter(|_| server),
            dns: if server { list(Field::Told) } else { Vec::new() },
            system: self.patch(list(Field::Servers)),
        }
    }

    fn patch(&self, servers: Vec<String>) -> SystemPatch {
        let Some(system) = &self.system else { return SystemPatch::default() };
        let can = |action| self.cannot(action).is_none();
        let name = self.text(Field::Name);
        let zone = &self.zone.chosen;
        let others = self.ntp && servers != system.clock.ntp_servers && can(SystemAction::NtpServers);
        SystemPatch {
            hostname: (name != system.hostname && can(SystemAction::Hostname)).then_some(name),
            timezone: (system.clock.timezone.as_ref() != Some(zone) && can(SystemAction::Timezone))
                .then(|| zone.clone()),
            ntp: (system.clock.ntp != Some(self.ntp) && can(SystemAction::Ntp)).then_some(self.ntp),
            ntp_servers: others.then_some(servers),
            keyboard: None,
        }
    }
}

/// The network of an IPv4 address with its prefix length, and that length.
fn network(text: &str) -> Option<(u32, u8)> {
    let (address, prefix) = text.split_once('/')?;
    let prefix: u8 = prefix.parse().ok().filter(|prefix| *prefix <= 32)?;
    let address: Ipv4Addr = address.parse().ok()?;
    Some((u32::from(address) & mask(prefix), prefix))
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

fn overlaps(one: (u32, u8), other: (u32, u8)) -> bool {
    let mask = mask(one.1.min(other.1));
    one.0 & mask == other.0 & mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_that_overlap_are_known() {
        let check = |one: &str, other: &str, expected: bool| {
            let (one, other) = (network(one).expect("one"), network(other).expect("one"));
            assert_eq!((overlaps(one, other), overlaps(other, one)), (expected, expected));
        };
        check("10.0.0.1/24", "10.0.0.200/24", true);
        check("10.0.0.1/24", "10.0.1.1/24", false);
        check("10.0.0.1/8", "10.77.0.1/24", true);
        check("0.0.0.0/0", "10.77.0.1/24", true);
        assert_eq!(network("fe80::1/64"), None);
    }

    #[test]
    fn a_suggestion_stays_one_until_somebody_types() {
        let mut first = First::default();
        first.suggest(Field::Range, "10.0.0.128-10.0.0.254");
        first.suggest(Field::Range, "10.5.0.128-10.5.0.254");
        assert_eq!(first.text(Field::Range), "10.5.0.128-10.5.0.254");
        *first.input_mut(Field::Range) = Input::new("10.5.0.9-10.5.0.10");
        first.suggest(Field::Range, "10.6.0.128-10.6.0.254");
        assert_eq!(first.text(Field::Range), "10.5.0.9-10.5.0.10");
    }
}
