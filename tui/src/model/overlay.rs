//! What lies above a screen: help, palette, a line that is typed, a question.

use std::collections::BTreeSet;

use ironwake_api::{Problem, Secret, Setting, SystemAction};

use super::setting::{self, Kind};
use crate::bindings::{Action, BINDINGS, Context};
use crate::confirm::Demand;
use crate::input::Input;
use crate::list::List;
use crate::message::Asked;
use crate::request::Request;
use crate::text::Text;

/// What is open above the screen.
#[derive(Debug)]
pub enum Overlay {
    /// The help screen.
    Help {
        /// Lines above the screen.
        scroll: usize,
    },
    /// The palette.
    Palette(Palette),
    /// The search of the screen below is typed.
    Search,
    /// A value is typed.
    Prompt(Prompt),
    /// A question waits for yes or no.
    Question(Question),
    /// A word has to be typed.
    Demanded(Demanded),
    /// The administrator's password has to be typed.
    Login(Login),
    /// A text of several lines is typed.
    Editor(Editor),
    /// Some of a list are chosen, to narrow the screen below.
    Picker(Picker),
    /// The value of a setting is typed.
    Setting(SettingEdit),
    /// Something of the appliance's own system is typed.
    Own(OwnEdit),
    /// A QR code is shown.
    Code(Code),
}

/// The palette.
#[derive(Debug, Default)]
pub struct Palette {
    /// What is typed.
    pub input: Input,
    /// The entry under the cursor.
    pub list: List,
    /// What fits what is typed.
    pub entries: Vec<Entry>,
}

/// One entry of the palette.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A binding: its place in the table.
    Binding(usize),
    /// A machine: id and name.
    Machine(String, String),
}

/// A value that is typed.
#[derive(Debug)]
pub struct Prompt {
    /// Which value.
    pub title: &'static str,
    /// What would be right.
    pub help: &'static str,
    /// What is typed.
    pub input: Input,
    /// The machine that it is of; none for a setting.
    pub machine: String,
    /// What is changed.
    pub field: PromptField,
}

/// What a typed value changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromptField {
    /// The machine's name.
    Name,
    /// Its tags.
    Tags,
    /// The key of a setting, whose value is typed next.
    SettingKey,
}

/// The value of a setting, being typed.
#[derive(Debug)]
pub struct SettingEdit {
    /// Its key.
    pub key: String,
    /// What the value is.
    pub kind: Kind,
    /// Whether the daemon keeps it secret.
    pub secret: bool,
    /// What is typed.
    pub input: Input,
    /// Why it was refused, in lines.
    pub refused: Vec<String>,
    /// Whether it was sent to the daemon.
    pub sending: bool,
}

impl SettingEdit {
    /// The value of a setting; of one that nobody has set, where it is not among them.
    pub fn new(key: &str, setting: Option<&Setting>) -> Self {
        let value = setting.map(|setting| setting.value.as_str());
        let secret = value == Some(setting::SECRET);
        let shown = value.filter(|_| !secret);
        Self {
            key: key.to_owned(),
            kind: value.map_or(Kind::Any, Kind::of),
            secret,
            input: Input::new(&shown.map(setting::typed).unwrap_or_default()),
            refused: Vec::new(),
            sending: false,
        }
    }

    /// Whether what is typed is kept out of recordings: a value that nobody has set yet may be a secret.
    pub fn is_veiled(&self) -> bool {
        self.secret || self.kind == Kind::Any
    }
}

/// The notes of a machine, being typed.
#[derive(Debug)]
pub struct Editor {
    /// The machine's name.
    pub title: String,
    /// What is typed.
    pub text: Text,
    /// The machine's id.
    pub machine: String,
    /// Whether it was sent to the daemon; until it answers, what was typed is kept.
    pub saving: bool,
}

/// Something of the appliance's own system, being typed.
#[derive(Debug)]
pub struct OwnEdit {
    /// What it is.
    pub what: SystemAction,
    /// The interface, of an address.
    pub interface: String,
    /// What is typed.
    pub input: Input,
    /// Why it was refused, in lines.
    pub refused: Vec<String>,
    /// Whether it was sent to the daemon.
    pub sending: bool,
}

/// Where a browser finds something.
#[derive(Debug)]
pub struct Code {
    /// What is there.
    pub title: String,
    /// Its URL.
    pub url: String,
}

/// What a picker is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    /// Machines, by tags.
    Tags,
    /// Events, by what they are about.
    About,
    /// The appliance's time zone.
    Timezone,
    /// Its keyboard.
    Keyboard,
    /// One of its services, to be started again.
    Unit,
    /// One of its interfaces, to be given another address.
    Interface,
    /// One of its disks, to be installed on.
    Disk,
}

impl Pick {
    /// Whether one is taken, rather than everything or several.
    pub fn is_one(self) -> bool {
        !matches!(self, Self::Tags | Self::About)
    }
}

/// A list of which some are chosen.
#[derive(Debug)]
pub struct Picker {
    /// What it is for.
    pub what: Pick,
    /// What can be chosen, with what stands at the right of each.
    pub items: Vec<(String, String)>,
    /// What is chosen.
    pub chosen: BTreeSet<String>,
    /// What narrows the list itself.
    pub input: Input,
    /// The line under the cursor: the first one is everything, where that can be had.
    pub list: List,
}

impl Picker {
    /// What is listed: nothing for everything, then the items that fit what is typed.
    pub fn shown(&self) -> Vec<Option<&(String, String)>> {
        let typed = self.input.text().trim().to_lowercase();
        let fits = |item: &&(String, String)| item.0.to_lowercase().contains(&typed);
        let everything = (typed.is_empty() && !self.what.is_one()).then_some(None);
        everything.into_iter().chain(self.items.iter().filter(fits).map(Some)).collect()
    }

    /// Chooses the item under the cursor, or does not any more.
    pub fn toggle(&mut self) {
        if self.what.is_one() {
            return;
        }
        match self.shown().get(self.list.cursor).copied().flatten().map(|item| item.0.clone()) {
            Some(name) => {
                if !self.chosen.remove(&name) {
                    self.chosen.insert(name);
                }
            }
            None => self.chosen.clear(),
        }
    }

    /// What is taken in the end: what was chosen, else what is under the cursor.
    pub fn taken(&self) -> BTreeSet<String> {
        match self.shown().get(self.list.cursor).copied().flatten() {
            Some(item) if self.chosen.is_empty() || self.what.is_one() => BTreeSet::from([item.0.clone()]),
            Some(_) => self.chosen.clone(),
            None if self.shown().is_empty() => self.chosen.clone(),
            None => BTreeSet::new(),
        }
    }
}

/// A question.
#[derive(Debug)]
pub struct Question {
    /// What is asked.
    pub title: String,
    /// What yes means.
    pub lines: Vec<String>,
    /// What yes does.
    pub yes: Request,
}

/// What a word permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permits {
    /// An operation is made again and armed.
    Retry,
    /// A recorded operation is armed.
    Arm,
    /// The appliance is installed on a disk.
    Install,
    /// The appliance goes back to how it was made.
    FactoryReset,
}

/// A word that has to be typed before something is destroyed.
#[derive(Debug)]
pub struct Demanded {
    /// What it permits.
    pub permits: Permits,
    /// What is asked.
    pub title: String,
    /// What will be destroyed.
    pub lines: Vec<String>,
    /// What has to be typed.
    pub demand: Demand,
    /// What is typed.
    pub input: Input,
}

/// A login.
pub struct Login {
    /// What is typed. Shown as asterisks.
    pub input: Input,
    /// What it is.
    pub step: LoginStep,
    /// Why it was not taken.
    pub said: Option<String>,
    /// Whether the daemon compares it.
    pub is_asking: bool,
    /// What is asked for again behind it.
    pub then: Vec<Waiting>,
}

impl Login {
    /// One in which nothing is typed.
    pub fn new(step: LoginStep, waiting: Option<Waiting>) -> Self {
        Self {
            input: Input::default(),
            step,
            said: None,
            is_asking: false,
            then: waiting.into_iter().collect(),
        }
    }
}

impl std::fmt::Debug for Login {
    // What is typed is a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("step", &self.step).field("then", &self.then).finish_non_exhaustive()
    }
}

/// What is typed for a login.
#[derive(Debug, PartialEq, Eq)]
pub enum LoginStep {
    /// The password.
    Password,
    /// Another password, or the first one of the appliance.
    First,
    /// The same again.
    Again(Secret),
}

/// Something that was refused for want of a login.
#[derive(Debug)]
pub struct Waiting {
    /// What it was, as a refusal tells it.
    pub asked: Asked,
    /// How it was refused.
    pub problem: Problem,
    /// What is to be asked again.
    pub request: Request,
}

/// How well `typed` fits `name`, smaller is better: all its letters in order, best at the beginning of words.
pub fn score(typed: &str, name: &str) -> Option<usize> {
    let name: Vec<char> = name.to_lowercase().chars().collect();
    let (mut place, mut sum) = (0, 0);
    for c in typed.to_lowercase().chars().filter(|c| !c.is_whitespace()) {
        let found = place + name[place..].iter().position(|other| *other == c)?;
        let starts_word = found == 0 || !name[found - 1].is_alphanumeric();
        sum += if found == place || starts_word { 0 } else { found - place };
        place = found + 1;
    }
    Some(sum * 100 + name.len())
}

/// The places of bindings that the palette offers where `contexts` count: each action once, those of here first.
pub fn offered(contexts: &[Context]) -> Vec<usize> {
    // What moves in a list is quicker by its key.
    const MOVES: [Action; 7] = [
        Action::Up,
        Action::Down,
        Action::PageUp,
        Action::PageDown,
        Action::First,
        Action::Last,
        Action::Palette,
    ];
    // These act on what is open, which only their own screen has.
    const NEED_OPEN: [Context; 4] =
        [Context::Machine, Context::Operation, Context::Rebuild, Context::Settings];
    let mut names = std::collections::HashSet::new();
    let here = |place: &usize| contexts.contains(&BINDINGS[*place].context);
    let offers = |place: &usize| {
        let binding = &BINDINGS[*place];
        let open = !NEED_OPEN.contains(&binding.context) || here(place);
        !binding.context.is_modal() && open && !MOVES.contains(&binding.action)
    };
    let mut places: Vec<usize> = (0..BINDINGS.len()).filter(offers).collect();
    places.sort_by_key(|place| !here(place));
    places.retain(|place| names.insert(BINDINGS[*place].name));
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picker_takes_what_is_chosen_else_what_is_under_the_cursor() {
        let items = vec![("lab".to_owned(), "2".into()), ("rack=7".into(), "1".into())];
        let mut picker = Picker {
            what: Pick::Tags,
            items,
            chosen: BTreeSet::new(),
            input: Input::default(),
            list: List::default(),
        };
        let taken = |picker: &Picker| picker.taken().into_iter().collect::<Vec<_>>();
        assert_eq!(taken(&picker), [""; 0], "everything");
        picker.list.cursor = 2;
        assert_eq!(taken(&picker), ["rack=7"]);
        picker.list.cursor = 1;
        picker.toggle();
        picker.list.cursor = 2;
        assert_eq!(taken(&picker), ["lab"]);
        picker.toggle();
        assert_eq!(taken(&picker), ["lab", "rack=7"]);
        picker.input = Input::new("RACK");
        assert_eq!(picker.shown().len(), 1);
        (picker.what, picker.input) = (Pick::Unit, Input::default());
        picker.list.cursor = 1;
        picker.toggle();
        assert_eq!((picker.shown().len(), taken(&picker)), (2, vec!["rack=7".into()]), "one of two");
    }

    #[test]
    fn beginnings_of_words_fit_best() {
        assert_eq!(score("xyz", "machine: rebuild"), None);
        assert!(score("reb", "machine: rebuild") < score("reb", "machine: reverse the sorted table"));
        assert!(score("mr", "machine: rebuild").is_some());
    }
}
