//! Operations: what runs first, then what ended, the newest first.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ironwake_api::{Event, EventKind, Failure, Operation, OperationState};

use crate::input::Input;
use crate::list::List;

/// Operations of one page, the most that the daemon gives at once.
pub const PAGE_OPERATIONS: usize = 1000;
/// Operations that are kept, some two kilobytes each; older ones are asked for with their machine.
pub const KEPT_MAX: usize = 10_000;

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
    /// From this id on all operations are here; from an empty one, every one that is stored.
    from: Option<String>,
    /// The page of older ones that is awaited, by the id that it begins before.
    asking: Option<String>,
    /// Machines that were asked for their own operations.
    asked: BTreeSet<String>,
    /// Machines of which all operations are here, or the newest page where there are more.
    told: BTreeSet<String>,
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

    /// Whether every operation that is stored is here.
    pub fn is_whole(&self) -> bool {
        self.from.as_deref() == Some("")
    }

    /// Whether all operations of a machine are here.
    pub fn knows(&self, machine: &str) -> bool {
        self.is_whole() || self.told.contains(machine)
    }

    /// Whether a machine is to be asked for its own operations, which is noted: it is asked once.
    pub fn wants(&mut self, machine: &str) -> bool {
        // Until the newest have come nobody knows whether there are older ones.
        self.from.is_some() && !self.is_whole() && self.asked.insert(machine.to_owned())
    }

    /// Those that are listed where nothing narrows the list: what runs, and what ended since the oldest of which no gap is known.
    pub fn listed(&self) -> impl DoubleEndedIterator<Item = &Operation> {
        let from = self.from.as_deref().unwrap_or_default();
        self.all.values().filter(move |operation| !operation.state.has_ended() || *operation.id >= *from)
    }

    /// The operation that the next page of older ones begins before, noted as asked for, if there is one, the end of the list is
    /// shown on `height` rows, and no page is awaited.
    pub fn older(&mut self, height: usize) -> Option<String> {
        let at_end = self.list.top + height >= self.shown.len();
        if !at_end || self.is_whole() || self.asking.is_some() || self.all.len() >= KEPT_MAX {
            return None;
        }
        self.asking.clone_from(&self.from);
        self.asking.clone()
    }

    /// Takes the newest operations, newest first, and behind them what runs and is older than those.
    pub fn newest(&mut self, operations: Vec<Operation>) {
        let oldest = operations.get(PAGE_OPERATIONS - 1).map_or(String::new(), |last| last.id.clone());
        // What was made since is told by events, so nothing is missing in between.
        self.from = Some(self.from.take().map_or(oldest.clone(), |from| from.min(oldest)));
        self.put(operations);
        self.loaded = true;
    }

    /// Takes the page of those older than an operation, newest first.
    pub fn page(&mut self, before: &str, operations: Vec<Operation>) {
        // What was asked before the connection was lost says nothing of what happened since.
        if self.asking.take_if(|asking| asking == before).is_none() {
            return;
        }
        let last = operations.get(PAGE_OPERATIONS - 1);
        self.from = Some(last.map_or(String::new(), |last| last.id.clone()));
        self.put(operations);
    }

    /// Takes all operations of a machine.
    pub fn of(&mut self, machine: String, operations: Vec<Operation>) {
        self.asked.insert(machine.clone());
        self.told.insert(machine);
        self.put(operations);
    }

    /// Nobody knows what happened meanwhile.
    pub fn forget(&mut self) {
        (self.from, self.asking) = (None, None);
        self.asked.clear();
        self.told.clear();
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
            // What runs stays, and what a machine was asked for: all of it would be the oldest.
            let goes = |operation: &&Operation| {
                operation.state.has_ended() && !self.told.contains(&operation.machine)
            };
            let oldest = self.all.values().find(goes).or(self.all.values().next());
            let Some(id) = oldest.map(|operation| operation.id.clone()) else { break };
            if let Some(operation) = self.all.remove(&id) {
                self.told.remove(&operation.machine);
                self.asked.remove(&operation.machine);
            }
            self.from = self.from.take().map(|from| if from <= id { format!("{id}~") } else { from });
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
            self.listed().rev().filter(fits).partition(|operation| !operation.state.has_ended());
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ended(number: usize, machine: &str) -> Operation {
        let operation = json!({
            "id": format!("{number:06}"), "machine": machine, "kind": "wipe", "state": "ready", "state_since": 0,
            "may_have_written": true, "created_at": 0, "created_by": "daemon",
        });
        serde_json::from_value(operation).expect("an operation")
    }

    fn page(first: usize) -> Vec<Operation> {
        (first..first + PAGE_OPERATIONS).rev().map(|number| ended(number, "m")).collect()
    }

    #[test]
    fn no_more_are_kept_than_the_limit_and_those_of_an_open_machine_stay() {
        let mut works = Works::default();
        let mut first = 50_000;
        works.newest(page(first));
        works.of("other".into(), vec![ended(7, "other")]);
        while let Some(before) = works.older(1) {
            assert_eq!(before, format!("{first:06}"));
            first -= PAGE_OPERATIONS;
            works.page(&before, page(first));
        }
        assert_eq!(works.all.len(), KEPT_MAX);
        assert!(!works.is_whole() && works.knows("other"));
        assert_eq!(works.of_machine("other").count(), 1);
        // Nothing is listed behind the gap that the limit makes.
        assert_eq!(works.listed().count(), KEPT_MAX - 1);
    }
}
