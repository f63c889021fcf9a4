//! Every machine, sorted and filtered: ten thousand rows of which a screenful is drawn.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use ironwake_api::{
    Attempt, AttemptOutcome, Event, EventKind, Failure, Machine, Millis, Operation, OperationState, Page,
    Stage,
};

use super::condition::Condition;
use super::hardware::Parts;
use super::order::{self, SortBy};
use super::row::{Boot, Row, haystack, name_key};
use crate::input::Input;
use crate::list::{List, Step};

/// More machines than this that changed are asked for all together.
const STALE_SINGLE_MAX: usize = 24;
/// An attempt of which nothing was heard for so long is not shown as running; the daemon ends it about then.
const BOOT_SILENCE_MAX: Millis = 15 * 60 * 1000;

/// Machines of which disks and NICs are kept: two screens of a large terminal. Of ten thousand they would take tens of megabytes.
const PARTS_KEPT_MAX: usize = 128;

/// Disks and NICs of a machine, and the time of the inventory that they are of.
#[derive(Debug)]
struct Kept {
    id: String,
    at: Option<Millis>,
    parts: Parts,
}

/// Every machine.
#[derive(Debug)]
pub struct Fleet {
    /// In no order.
    pub rows: Vec<Row>,
    index: HashMap<String, usize>,
    /// What is listed, in order, as places in `rows`.
    pub shown: Vec<usize>,
    /// Where the cursor is in `shown`.
    pub list: List,
    /// Ids of marked machines.
    pub marked: BTreeSet<String>,
    /// Text that is searched for.
    pub search: Input,
    /// The one condition that is listed.
    pub only: Option<Condition>,
    /// Tags that every listed machine has.
    pub tagged: BTreeSet<String>,
    /// By what it is sorted.
    pub sort: SortBy,
    /// Whether the other way round.
    pub reverse: bool,
    /// Whether all were loaded once.
    pub loaded: bool,
    /// Ids whose records changed.
    stale: HashSet<String>,
    asked: HashSet<String>,
    all_asked: bool,
    again: bool,
    arrived: HashSet<String>,
    unsorted: bool,
    /// The machine that the cursor stays on.
    anchor: Option<String>,
    /// Disks and NICs of machines that were looked at, the last one at the end.
    parts: VecDeque<Kept>,
    /// The inventory that was asked for last: whose, and its time.
    parts_asked: Option<(String, Option<Millis>)>,
}

impl Default for Fleet {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            index: HashMap::new(),
            shown: Vec::new(),
            list: List::default(),
            marked: BTreeSet::new(),
            search: Input::default(),
            only: None,
            tagged: BTreeSet::new(),
            sort: SortBy::Name,
            reverse: false,
            loaded: false,
            stale: HashSet::new(),
            asked: HashSet::new(),
            all_asked: false,
            again: false,
            arrived: HashSet::new(),
            unsorted: false,
            anchor: None,
            parts: VecDeque::new(),
            parts_asked: None,
        }
    }
}

/// What of the fleet is to be asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Everything.
    All,
    /// These machines.
    Some(Vec<String>),
}

impl Fleet {
    /// A machine by its id.
    pub fn get(&self, id: &str) -> Option<&Row> {
        self.index.get(id).map(|place| &self.rows[*place])
    }

    fn get_mut(&mut self, id: &str) -> Option<&mut Row> {
        self.index.get(id).map(|place| &mut self.rows[*place])
    }

    /// What people call a machine.
    pub fn name(&self, id: &str) -> String {
        self.get(id).map_or_else(|| crate::human::short(id).to_owned(), |row| row.machine.called())
    }

    /// The machine under the cursor.
    pub fn chosen(&self) -> Option<&Row> {
        self.shown.get(self.list.cursor).map(|place| &self.rows[*place])
    }

    /// Moves the cursor.
    pub fn step(&mut self, step: Step, height: usize) {
        self.list.step(step, self.shown.len(), height);
        self.hold();
    }

    /// The cursor stays on the machine that it is on.
    pub fn hold(&mut self) {
        self.anchor = self.chosen().map(|row| row.machine.id.clone());
    }

    /// What an action concerns: the marked machines, else the one under the cursor.
    pub fn concerned(&self) -> Vec<String> {
        if self.marked.is_empty() {
            return self.chosen().map(|row| row.machine.id.clone()).into_iter().collect();
        }
        self.marked.iter().cloned().collect()
    }

    /// The machine that has a hardware address.
    pub fn with_mac(&self, mac: ironwake_api::MacAddr) -> Option<&Row> {
        self.rows.iter().find(|row| row.machine.macs.contains(&mac))
    }

    /// How many machines are in each condition.
    pub fn counts(&self) -> Vec<(Condition, usize)> {
        let mut counts = [0; Condition::ALL.len()];
        for row in &self.rows {
            counts[row.condition as usize] += 1;
        }
        Condition::ALL.into_iter().zip(counts).filter(|(_, count)| *count > 0).collect()
    }

    /// Every tag that a machine has, and how many have it.
    pub fn tags(&self) -> BTreeMap<&String, usize> {
        let mut tags = BTreeMap::new();
        for tag in self.rows.iter().flat_map(|row| &row.machine.tags) {
            *tags.entry(tag).or_default() += 1;
        }
        tags
    }

    /// Disks and NICs of a machine, if it was looked at lately.
    pub fn parts(&self, id: &str) -> Option<&Parts> {
        self.parts.iter().find(|kept| kept.id == id).map(|kept| &kept.parts)
    }

    /// Takes a page of all machines.
    pub fn page(&mut self, page: Page<Machine>) {
        if page.offset == 0 {
            self.arrived.clear();
        }
        let last = page.items.is_empty() || u64::from(page.offset) + page.items.len() as u64 >= page.total;
        for machine in page.items {
            self.arrived.insert(machine.id.clone());
            self.put(machine);
        }
        if last {
            let arrived = std::mem::take(&mut self.arrived);
            self.rows.retain(|row| arrived.contains(&row.machine.id));
            self.reindex();
            self.marked.retain(|id| arrived.contains(id));
            (self.loaded, self.all_asked) = (true, false);
        }
    }

    /// Takes one record.
    pub fn put(&mut self, mut machine: Machine) {
        if let Some(inventory) = machine.inventory.take() {
            self.parts.retain(|kept| kept.id != machine.id);
            let (id, at) = (machine.id.clone(), machine.inventory_at);
            self.parts.push_back(Kept { id, at, parts: Parts::of(&inventory) });
            if self.parts.len() > PARTS_KEPT_MAX {
                self.parts.pop_front();
            }
        }
        let boot = machine.last_attempt.take().map(|brief| Boot::of(&brief));
        let told = machine
            .operation
            .as_ref()
            .and_then(|operation| Some((operation.progress?, operation.step.clone().unwrap_or_default())));
        self.asked.remove(&machine.id);
        self.unsorted = true;
        let haystack = haystack(&machine);
        let name_key = name_key(&machine);
        if let Some(row) = self.get_mut(&machine.id) {
            // What it is at is told by events alone.
            let said = row.progress.take().filter(|_| machine.operation.is_some());
            row.progress = match (told, said) {
                (Some((progress, step)), Some((_, said))) if step.is_empty() => Some((progress, said)),
                (told, said) => told.or(said),
            };
            (row.machine, row.haystack, row.name_key) = (machine, haystack, name_key);
            row.boot = newer(row.boot.take(), boot);
            row.condition = Condition::of(row);
            return;
        }
        self.index.insert(machine.id.clone(), self.rows.len());
        let mut row = Row {
            machine,
            condition: Condition::Unknown,
            boot,
            progress: told,
            failure: None,
            haystack,
            name_key,
        };
        row.condition = Condition::of(&row);
        self.rows.push(row);
    }

    /// Forgets a machine.
    pub fn remove(&mut self, id: &str) {
        self.asked.remove(id);
        self.marked.remove(id);
        if let Some(place) = self.index.get(id) {
            self.rows.swap_remove(*place);
            self.reindex();
        }
    }

    fn reindex(&mut self) {
        self.index =
            self.rows.iter().enumerate().map(|(place, row)| (row.machine.id.clone(), place)).collect();
        // Places have changed, and what is shown is made of them.
        self.unsorted = true;
        self.arrange();
    }

    /// Takes one operation, which progress and failure come from, that is the newest of its machine as far as is known.
    pub fn operation(&mut self, operation: &Operation) {
        let Some(row) = self.get_mut(&operation.machine) else { return };
        if operation.state.has_ended() {
            row.failure = operation.failure.clone();
        } else {
            row.failure = None;
            row.progress = operation.progress.map(|progress| (progress, String::new()));
        }
        row.condition = Condition::of(row);
        self.unsorted = true;
    }

    /// Takes boot attempts of a machine, newest first.
    pub fn attempts(&mut self, id: &str, attempts: &[Attempt]) {
        let (Some(row), Some(attempt)) = (self.get_mut(id), attempts.first()) else { return };
        row.boot = newer(row.boot.take(), Some(told(attempt)));
        row.condition = Condition::of(row);
        self.unsorted = true;
    }

    /// Takes an event: what it tells is shown at once, and what it does not tell is asked for.
    pub fn event(&mut self, event: &Event) {
        let Some(id) = &event.machine else { return };
        use EventKind as E;
        match &event.kind {
            E::MachineDeleted => return self.remove(id),
            E::MachineAbsorbed { other } => self.remove(other),
            _ => {}
        }
        if let Some(row) = self.get_mut(id) {
            row.machine.seen_at = row.machine.seen_at.max(Some(event.at));
            match &event.kind {
                E::AttemptStarted { attempt, .. } => row.boot = Some(running(*attempt, None, event.at)),
                E::AttemptStage { attempt, stage, .. } => {
                    row.boot = Some(running(*attempt, Some(stage.clone()), event.at));
                }
                E::AttemptEnded { attempt } => row.boot = newer(row.boot.take(), Some(told(attempt))),
                E::OperationProgress { progress, what, .. } => row.progress = Some((*progress, what.clone())),
                E::OperationChanged { from, to, cause, .. } => {
                    row.progress = None;
                    let failure = Failure { stage: *from, reason: cause.clone() };
                    row.failure = (*to == OperationState::Failed).then_some(failure);
                    if to.has_ended() {
                        row.machine.operation = None;
                    } else if let Some(operation) = &mut row.machine.operation {
                        operation.state = *to;
                    }
                }
                _ => {}
            }
            row.condition = Condition::of(row);
            self.unsorted = true;
        }
        // What an attempt or its progress says is said in full by the event.
        let told = matches!(
            event.kind,
            E::AttemptStarted { .. } | E::AttemptStage { .. } | E::OperationProgress { .. }
        );
        if !told || self.get(id).is_none() {
            self.stale.insert(id.clone());
        }
    }

    /// Ends attempts that have fallen silent.
    pub fn tick(&mut self, now: Millis) {
        for row in &mut self.rows {
            if let Some(boot) =
                row.boot.as_mut().filter(|boot| !boot.ended && boot.at + BOOT_SILENCE_MAX < now)
            {
                boot.ended = true;
                row.condition = Condition::of(row);
                self.unsorted = true;
            }
        }
    }

    /// Whether something moves.
    pub fn is_busy(&self) -> bool {
        let moves = |row: &Row| matches!(row.condition, Condition::Working | Condition::Booting);
        self.rows.iter().any(moves)
    }

    /// Everything is to be asked for again.
    pub fn forget(&mut self) {
        (self.all_asked, self.again) = (false, true);
        self.asked.clear();
    }

    /// What is to be asked for; nothing is asked for twice at a time.
    pub fn wanted(&mut self) -> Option<Wanted> {
        if (self.again || self.stale.len() > STALE_SINGLE_MAX) && !self.all_asked {
            (self.again, self.all_asked) = (false, true);
            self.stale.clear();
            return Some(Wanted::All);
        }
        let wanted: Vec<String> = self
            .stale
            .iter()
            .filter(|id| !self.asked.contains(*id))
            .take(STALE_SINGLE_MAX)
            .cloned()
            .collect();
        for id in &wanted {
            self.stale.remove(id);
            self.asked.insert(id.clone());
        }
        (!wanted.is_empty()).then_some(Wanted::Some(wanted))
    }

    /// A machine could not be had.
    pub fn unanswered(&mut self, id: &str) {
        self.asked.remove(id);
    }

    /// The machine under the cursor, noted as asked for, if its disks and NICs are not kept as they are.
    pub fn unread(&mut self) -> Option<String> {
        let machine = &self.chosen()?.machine;
        let wanted = (machine.id.clone(), Some(machine.inventory_at?));
        let is_kept = |kept: &Kept| kept.id == wanted.0 && kept.at == wanted.1;
        let unread = self.parts_asked.as_ref() != Some(&wanted) && !self.parts.iter().any(is_kept);
        let id = wanted.0.clone();
        self.parts_asked = Some(wanted);
        unread.then_some(id)
    }

    /// The list is to be made again: search, filter or order have changed.
    pub fn rearrange(&mut self) {
        self.unsorted = true;
    }

    /// Makes the list, if anything has changed. The cursor stays on its machine, and its machine where it is on the screen.
    pub fn arrange(&mut self) {
        if !std::mem::take(&mut self.unsorted) {
            return;
        }
        let words: Vec<String> =
            self.search.text().to_lowercase().split_whitespace().map(str::to_owned).collect();
        let fits = |row: &Row| {
            self.only.is_none_or(|only| row.condition == only)
                && self.tagged.iter().all(|tag| row.machine.tags.contains(tag))
                && words.iter().all(|word| row.haystack.contains(word) || row.condition.is_called(word))
        };
        let mut shown: Vec<usize> = (0..self.rows.len()).filter(|place| fits(&self.rows[*place])).collect();
        order::sort(&self.rows, &mut shown, self.sort);
        if self.reverse {
            shown.reverse();
        }
        let on_screen = self.list.cursor.saturating_sub(self.list.top);
        let anchor = self.anchor.as_ref().filter(|_| self.list.cursor > 0);
        let place = anchor.and_then(|id| shown.iter().position(|place| self.rows[*place].machine.id == *id));
        if let Some(place) = place {
            self.list.cursor = place;
            self.list.top = place.saturating_sub(on_screen);
        }
        self.shown = shown;
        self.list.cursor = self.list.cursor.min(self.shown.len().saturating_sub(1));
    }
}

/// A boot that goes on.
fn running(attempt: i64, stage: Option<Stage>, at: Millis) -> Boot {
    Boot { attempt, stage, at, failed: None, diagnosis: None, ended: false }
}

/// A boot as it was told in full.
fn told(attempt: &Attempt) -> Boot {
    let diagnosis = attempt.diagnosis.clone().filter(|_| attempt.outcome == AttemptOutcome::Failed);
    Boot {
        attempt: attempt.id,
        stage: None,
        at: attempt.last_at,
        failed: diagnosis.as_ref().map(|found| found.code.clone()),
        diagnosis,
        ended: attempt.outcome != AttemptOutcome::Running,
    }
}

/// The newer one of two boots; of the same one what is told later, with what was known of it.
fn newer(known: Option<Boot>, told: Option<Boot>) -> Option<Boot> {
    let (Some(known), Some(told)) = (&known, &told) else { return told.or(known) };
    if told.attempt != known.attempt {
        return Some(if told.attempt > known.attempt { told } else { known }.clone());
    }
    let diagnosis = told.diagnosis.clone().or(known.diagnosis.clone());
    Some(Boot { stage: told.stage.clone().or(known.stage.clone()), diagnosis, ..told.clone() })
}
