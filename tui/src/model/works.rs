//! Operations: what runs first, then what ended, the newest first.

use std::collections::{BTreeMap, HashMap};

use ironwake_api::{Event, EventKind, Failure, Operation, OperationState};

use crate::input::Input;
use crate::list::List;

/// Operations that are kept; older ones are asked for with their machine.
const KEPT_MAX: usize = 4000;

/// Which operations are listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Only {
    /// All.
    #[default]
    All,
    /// What has not ended.
    Running,
    /// What failed.
    Failed,
}

impl Only {
    /// The next one.
    pub fn next(self) -> Self {
        match self {
            Self::All => Self::Running,
            Self::Running => Self::Failed,
            Self::Failed => Self::All,
        }
    }

    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Running => "running",
            Self::Failed => "failed",
        }
    }
}

/// Operations.
#[derive(Debug, Default)]
pub struct Works {
    /// By id: later ones are larger.
    pub all: BTreeMap<String, Operation>,
    /// What is being done, in the agent's words.
    pub said: HashMap<String, String>,
    /// Ids that are listed, in order.
    pub shown: Vec<String>,
    /// Where the cursor is.
    pub list: List,
    /// Text that is searched for.
    pub search: Input,
    /// Which are listed.
    pub only: Only,
    /// Whether they were loaded once.
    pub loaded: bool,
    /// The operation that is open, with its history.
    pub open: Option<Operation>,
    /// Lines of the open one that are above the screen.
    pub scroll: usize,
    /// Ids that changed and are to be asked for.
    pub stale: Vec<String>,
}

impl Works {
    /// The operation under the cursor.
    pub fn chosen(&self) -> Option<&Operation> {
        self.shown.get(self.list.cursor).and_then(|id| self.all.get(id))
    }

    /// Those of a machine, the newest first.
    pub fn of_machine<'a>(&'a self, machine: &'a str) -> impl Iterator<Item = &'a Operation> {
        self.all.values().rev().filter(move |operation| operation.machine == machine)
    }

    /// How many have not ended.
    pub fn running(&self) -> usize {
        self.all.values().filter(|operation| !operation.state.has_ended()).count()
    }

    /// Takes operations.
    pub fn put(&mut self, operations: Vec<Operation>) {
        for mut operation in operations {
            if self.open.as_ref().is_some_and(|open| open.id == operation.id) && !operation.history.is_empty()
            {
                self.open = Some(operation.clone());
            }
            (operation.history, operation.steps) = (Vec::new(), Vec::new());
            self.all.insert(operation.id.clone(), operation);
        }
        while self.all.len() > KEPT_MAX {
            self.all.pop_first();
        }
    }

    /// Takes an event: what it tells is shown at once.
    pub fn event(&mut self, event: &Event) {
        match &event.kind {
            EventKind::OperationMade { operation, .. }
            | EventKind::OperationWaits { operation, .. }
            | EventKind::OperationStep { operation, .. } => self.stale.push(operation.clone()),
            EventKind::OperationProgress { operation, progress, what } => {
                self.said.insert(operation.clone(), what.clone());
                let open = self.open.as_mut().filter(|open| open.id == *operation);
                for operation in self.all.get_mut(operation).into_iter().chain(open) {
                    operation.progress = Some(*progress);
                }
            }
            EventKind::OperationChanged { operation, from, to, cause, .. } => {
                self.said.remove(operation);
                if let Some(operation) = self.all.get_mut(operation) {
                    (operation.state, operation.state_since) = (*to, event.at);
                    operation.progress = operation.progress.filter(|_| to.has_ended());
                    if *to == OperationState::Failed {
                        operation.failure = Some(Failure { stage: *from, reason: cause.clone() });
                    }
                }
                self.stale.push(operation.clone());
            }
            _ => {}
        }
    }

    /// Makes the list; `names` gives a machine's name.
    pub fn arrange(&mut self, names: impl Fn(&str) -> String) {
        let words: Vec<String> =
            self.search.text().to_lowercase().split_whitespace().map(str::to_owned).collect();
        let fits = |operation: &&Operation| {
            let listed = match self.only {
                Only::All => true,
                Only::Running => !operation.state.has_ended(),
                Only::Failed => operation.state == OperationState::Failed,
            };
            let profile = operation.profile.as_ref().map_or("", |choice| &choice.name);
            let text = || {
                format!(
                    "{} {} {} {profile} {}",
                    operation.id,
                    operation.kind,
                    operation.state,
                    names(&operation.machine)
                )
                .to_lowercase()
            };
            listed && (words.is_empty() || words.iter().all(|word| text().contains(word)))
        };
        let (running, ended): (Vec<&Operation>, Vec<&Operation>) =
            self.all.values().rev().filter(fits).partition(|operation| !operation.state.has_ended());
        let chosen = self.shown.get(self.list.cursor).cloned();
        self.shown = running.into_iter().chain(ended).map(|operation| operation.id.clone()).collect();
        if let Some(place) = chosen.and_then(|id| self.shown.iter().position(|other| *other == id))
            && self.list.cursor > 0
        {
            self.list.cursor = place;
        }
        self.list.cursor = self.list.cursor.min(self.shown.len().saturating_sub(1));
    }
}
