//! One machine that is open: its record, its boots, and which tab of it is shown.

use ironwake_api::{Attempt, Event, EventKind, Machine};

use crate::list::List;

/// A tab of a machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tab {
    /// What it is and how it stands.
    #[default]
    Overview,
    /// Its hardware as a tree.
    Hardware,
    /// Its boot attempts.
    Boots,
    /// What was done with it.
    Operations,
    /// What runs on it.
    Host,
    /// What people wrote of it.
    Notes,
}

impl Tab {
    /// Every tab, from the left.
    pub const ALL: [Self; 6] =
        [Self::Overview, Self::Hardware, Self::Boots, Self::Operations, Self::Host, Self::Notes];

    /// Its title.
    pub fn title(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Hardware => "Hardware",
            Self::Boots => "Boots",
            Self::Operations => "Operations",
            Self::Host => "Host",
            Self::Notes => "Notes",
        }
    }

    /// The tab beside it; `step` is 1 or -1.
    pub fn beside(self, step: isize) -> Self {
        let count = Self::ALL.len() as isize;
        let place = Self::ALL.iter().position(|tab| *tab == self).unwrap_or(0) as isize;
        Self::ALL[(place + step).rem_euclid(count) as usize]
    }
}

/// A machine that is open.
#[derive(Debug, Default)]
pub struct Opened {
    /// Its id.
    pub id: String,
    /// Its record with the inventory.
    pub machine: Option<Machine>,
    /// Which tab is shown.
    pub tab: Tab,
    /// Its boots, the newest first, without stages.
    pub attempts: Vec<Attempt>,
    /// Whether they were loaded.
    pub attempts_loaded: bool,
    /// The boot under the cursor.
    pub attempt_list: List,
    /// The boot that is shown, with its stages.
    pub attempt: Option<Attempt>,
    /// Lines of the shown boot above the screen; its end is followed, where nobody has moved in it.
    pub stages_top: Option<usize>,
    /// The operation under the cursor.
    pub operation_list: List,
    /// Lines above the screen, of tabs that scroll.
    pub scroll: usize,
    /// Its record is to be asked for again.
    pub stale: bool,
    /// Its boots are to be asked for again.
    pub attempts_stale: bool,
}

impl Opened {
    /// A machine that is to be shown.
    pub fn new(id: String) -> Self {
        Self { id, stale: true, attempts_stale: true, ..Self::default() }
    }

    /// The boot whose stages are to be shown, if they are not.
    pub fn attempt_wanted(&self) -> Option<i64> {
        let chosen = self.attempts.get(self.attempt_list.cursor)?;
        self.attempt.as_ref().is_none_or(|attempt| attempt.id != chosen.id).then_some(chosen.id)
    }

    /// Takes an event of this machine: stages are shown as they come.
    pub fn event(&mut self, event: &Event) {
        match &event.kind {
            EventKind::AttemptStage { attempt: id, stage, .. } => {
                let shown = self.attempt.as_mut().filter(|attempt| attempt.id == *id);
                match shown {
                    Some(attempt) if attempt.stages.last() != Some(stage) => {
                        attempt.stages.push(stage.clone());
                        attempt.last_at = stage.at;
                    }
                    Some(_) => {}
                    None => self.attempts_stale |= !self.attempts.iter().any(|attempt| attempt.id == *id),
                }
            }
            EventKind::AttemptStarted { .. } | EventKind::AttemptEnded { .. } => {
                self.attempts_stale = true;
                self.attempt = None;
            }
            EventKind::OperationProgress { .. } => {}
            _ => self.stale = true,
        }
    }
}
