//! What is said in passing: results and refusals, each with what, why, and what to do next.

use std::collections::VecDeque;

use ironwake_api::{Millis, Problem};

use crate::look::Tone;

/// How long a result is shown.
const RESULT_MILLIS: Millis = 5_000;
/// How long a refusal is shown: it is to be read.
const REFUSAL_MILLIS: Millis = 15_000;
/// More at once would hide the screen.
pub const SHOWN_MAX: usize = 3;
/// Fields of a refusal that are named.
const ERRORS_MAX: usize = 4;

/// Something that was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toast {
    /// How it is said.
    pub tone: Tone,
    /// What.
    pub what: String,
    /// Why, and what to do.
    pub why: Vec<String>,
    /// Until when it is shown.
    pub until: Millis,
}

/// What was said lately, the newest last.
#[derive(Debug, Default)]
pub struct Toasts(pub VecDeque<Toast>);

impl Toasts {
    /// Says that something is done.
    pub fn done(&mut self, what: impl Into<String>, now: Millis) {
        self.put(Toast { tone: Tone::Ok, what: what.into(), why: Vec::new(), until: now + RESULT_MILLIS });
    }

    /// Says something that a person should know first.
    pub fn hint(&mut self, what: impl Into<String>, next: impl Into<String>, now: Millis) {
        let why = vec![next.into()];
        self.put(Toast { tone: Tone::Warn, what: what.into(), why, until: now + RESULT_MILLIS });
    }

    /// Says that something was refused, and why.
    pub fn refused(&mut self, what: impl Into<String>, problem: &Problem, now: Millis) {
        let mut why = vec![problem.detail.clone()];
        // A single error is often the whole of what is wrong, and told by it.
        let told = |error: &&ironwake_api::FieldProblem| problem.detail.contains(&error.message);
        let errors = problem.errors.iter().filter(|error| !told(error)).take(ERRORS_MAX);
        why.extend(errors.map(|error| format!("{}: {}", error.field, error.message)));
        let next = match problem.status {
            403 => "this needs more rights: ask an administrator for a token of a wider scope",
            409 => "see what runs there first: 2 shows operations",
            401 => "the token is not good any more: `ironwake token add` makes another",
            _ => "",
        };
        why.extend((!next.is_empty()).then(|| next.to_owned()));
        self.put(Toast { tone: Tone::Bad, what: what.into(), why, until: now + REFUSAL_MILLIS });
    }

    /// Lets what was shown long enough go.
    pub fn tick(&mut self, now: Millis) {
        self.0.retain(|toast| toast.until > now);
    }

    fn put(&mut self, toast: Toast) {
        self.0.retain(|other| other.what != toast.what || other.why != toast.why);
        self.0.push_back(toast);
        while self.0.len() > SHOWN_MAX {
            self.0.pop_front();
        }
    }
}
