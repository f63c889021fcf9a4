//! What lies above a screen: help, palette, a line that is typed, a question.

use ironwake_api::{Problem, Secret};

use crate::bindings::{Action, BINDINGS, Context};
use crate::confirm::Demand;
use crate::input::Input;
use crate::list::List;
use crate::message::Asked;
use crate::request::Request;

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
    /// The machine that it is of.
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
    /// Its notes.
    Notes,
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

/// A word that has to be typed before an operation is tried again.
#[derive(Debug)]
pub struct Demanded {
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
    const NEED_OPEN: [Context; 3] = [Context::Machine, Context::Operation, Context::Rebuild];
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
    fn beginnings_of_words_fit_best() {
        assert_eq!(score("xyz", "machine: rebuild"), None);
        assert!(score("reb", "machine: rebuild") < score("reb", "machine: reverse the sorted table"));
        assert!(score("mr", "machine: rebuild").is_some());
    }
}
