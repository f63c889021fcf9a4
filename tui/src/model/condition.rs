//! In which condition a machine is, in one word: what the table shows, sorts and filters by.

use ironwake_api::{Enrolment, OperationState, Reachability};

use super::row::Row;
use crate::look::{Symbols, Tone};

/// A machine's condition, the one that wants attention most first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// What was written to it last failed, or its last operation did.
    Failed,
    /// Its last boot failed.
    BootFailed,
    /// Its host has stopped calling.
    Silent,
    /// An operation writes to it or runs on it.
    Working,
    /// Its next boot begins an operation.
    Armed,
    /// An operation is recorded, and waits.
    Waiting,
    /// It boots.
    Booting,
    /// Seen, not enrolled.
    Unknown,
    /// Registered, not yet seen.
    Awaited,
    /// Enrolled, with nothing of ours on it.
    Known,
    /// What was installed runs.
    Ready,
}

impl Condition {
    /// Every condition, in the order in which the filter goes through them.
    pub const ALL: [Self; 11] = [
        Self::Failed,
        Self::BootFailed,
        Self::Silent,
        Self::Working,
        Self::Armed,
        Self::Waiting,
        Self::Booting,
        Self::Unknown,
        Self::Awaited,
        Self::Known,
        Self::Ready,
    ];

    /// The condition of a machine.
    pub fn of(row: &Row) -> Self {
        let machine = &row.machine;
        if let Some(operation) = &machine.operation {
            return match operation.state {
                OperationState::Registered => Self::Waiting,
                OperationState::PxeReady => Self::Armed,
                _ => Self::Working,
            };
        }
        if row.boot.as_ref().is_some_and(|boot| boot.is_running()) {
            return Self::Booting;
        }
        if row.has_failed() {
            return Self::Failed;
        }
        if row.boot.as_ref().is_some_and(|boot| boot.failed.is_some()) {
            return Self::BootFailed;
        }
        match machine.host.as_ref().map(|host| host.reachability) {
            Some(Reachability::Silent) => return Self::Silent,
            Some(Reachability::Calling | Reachability::Unwatched) => return Self::Ready,
            None => {}
        }
        match machine.enrolment {
            Enrolment::Enrolled => Self::Known,
            Enrolment::Unenrolled => Self::Unknown,
            Enrolment::Registered => Self::Awaited,
        }
    }

    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::BootFailed => "boot failed",
            Self::Silent => "silent",
            Self::Working => "working",
            Self::Armed => "armed",
            Self::Waiting => "recorded",
            Self::Booting => "booting",
            Self::Unknown => "unknown",
            Self::Awaited => "awaited",
            Self::Known => "known",
            Self::Ready => "ready",
        }
    }

    /// Whether a word is its name, or a whole word of it: one that is known is not unknown.
    pub fn is_called(self, word: &str) -> bool {
        self.word().split(' ').any(|own| own == word)
    }

    /// How it is to be seen.
    pub fn tone(self) -> Tone {
        match self {
            Self::Failed | Self::BootFailed => Tone::Bad,
            Self::Silent | Self::Armed => Tone::Warn,
            Self::Working | Self::Booting => Tone::Busy,
            Self::Unknown => Tone::Accent,
            Self::Waiting | Self::Awaited | Self::Known => Tone::Dim,
            Self::Ready => Tone::Ok,
        }
    }

    /// Its symbol; `beat` is which picture of what is being worked on.
    pub fn symbol(self, symbols: &'static Symbols, beat: u64) -> &'static str {
        match self {
            Self::Failed | Self::BootFailed => symbols.bad,
            Self::Silent | Self::Armed => symbols.warn,
            Self::Working | Self::Booting => busy(symbols, beat),
            Self::Unknown | Self::Known => symbols.unknown,
            Self::Waiting | Self::Awaited => symbols.idle,
            Self::Ready => symbols.ok,
        }
    }
}

/// The picture of what is being worked on at a beat.
pub fn busy(symbols: &'static Symbols, beat: u64) -> &'static str {
    symbols.busy[(beat % symbols.busy.len() as u64) as usize]
}
