//! One read transfer: packets and time go in, what to send comes out.

use std::ops::{Range, RangeInclusive};
use std::time::{Duration, Instant};

use super::{Accepted, ErrorCode, Packet};

/// How often in a row the same window is sent again before the client is given up: with the first
/// wait of a second that is half a minute, longer than any switch port takes to come up again.
pub const RESENDS_MAX: u32 = 5;
/// The longest wait that doubling leads to, unless the client asked for a longer one from the start.
const WAIT_MAX: Duration = Duration::from_secs(8);

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing; wait for a packet or for [`Transfer::deadline`].
    Wait,
    /// Send the option acknowledgement.
    SendOack,
    /// Send these blocks, counted from 1 without rollover.
    SendBlocks(RangeInclusive<u64>),
    /// The transfer ended; [`Transfer::ending`] says how.
    Ended,
}

/// How a transfer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Every block was acknowledged.
    Complete,
    /// The client ended it right after the option acknowledgement, as firmware does that wanted to
    /// know the size only. Normal.
    SizeOnly,
    /// The client sent an error.
    Refused {
        /// Its code.
        code: u16,
        /// Its text.
        message: String,
    },
    /// The client fell silent.
    Silent,
    /// The client's port is closed.
    PortClosed,
    /// The server stops.
    Stopped,
}

impl Ending {
    /// Why the transfer ended before the last block, in words; `None` where it did not.
    pub fn aborted(&self) -> Option<String> {
        match self {
            Self::Complete => None,
            Self::SizeOnly => Some("the client wanted to know the size only".into()),
            Self::Refused { code, message } => Some(format!("the client ended it: error {code} {message:?}")),
            Self::Silent => Some("the client fell silent".into()),
            Self::PortClosed => Some("the client closed its port".into()),
            Self::Stopped => Some("the server stopped".into()),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// The option acknowledgement is out, block 0 is awaited.
    Offered,
    /// Blocks are out.
    Sending,
    Ended(Ending),
}

/// A read transfer as the server sees it.
#[derive(Debug, Clone)]
pub struct Transfer {
    accepted: Accepted,
    phase: Phase,
    /// The last block that the client has, all before it included.
    acked: u64,
    /// The last block that was sent.
    sent: u64,
    deadline: Instant,
    /// Resends since the last advance.
    resends: u32,
    /// Resends in all.
    retries: u32,
}

impl Transfer {
    /// Begins a transfer on agreed terms: with the option acknowledgement where options were agreed,
    /// with the first block otherwise.
    pub fn start(accepted: Accepted, now: Instant) -> (Self, Step) {
        let deadline = now + accepted.timeout();
        let phase = Phase::Offered;
        let mut transfer = Self { accepted, phase, acked: 0, sent: 0, deadline, resends: 0, retries: 0 };
        let step = match accepted.answer.is_empty() {
            true => transfer.advance(0, now),
            false => Step::SendOack,
        };
        (transfer, step)
    }

    /// Takes a packet that the client sent.
    pub fn receive(&mut self, packet: &Packet<'_>, now: Instant) -> Step {
        match (packet, &self.phase) {
            (_, Phase::Ended(_)) => Step::Ended,
            (Packet::Error { code, message }, phase) => {
                let size_only = *phase == Phase::Offered && *code == ErrorCode::OptionsRefused as u16;
                self.end(match size_only {
                    true => Ending::SizeOnly,
                    false => Ending::Refused { code: *code, message: message.to_string() },
                })
            }
            (Packet::Ack(0), Phase::Offered) => self.advance(0, now),
            (Packet::Ack(block), Phase::Sending) => {
                let ahead = u64::from(block.wrapping_sub(self.acked as u16));
                // Answering a duplicate ACK would double every later block (Sorcerer's Apprentice,
                // RFC 1123 §4.2.3.1), so only an acknowledgement of something more moves the window.
                // One inside the window tells of a gap: RFC 7440 §4 sends again from behind it.
                if ahead == 0 || self.acked + ahead > self.sent {
                    return Step::Wait;
                }
                self.advance(self.acked + ahead, now)
            }
            _ => Step::Wait,
        }
    }

    /// Looks at the time: the option acknowledgement or the window is sent again once it was not
    /// answered, after waits that double.
    pub fn tick(&mut self, now: Instant) -> Step {
        if matches!(self.phase, Phase::Ended(_)) {
            return Step::Ended;
        }
        if now < self.deadline {
            return Step::Wait;
        }
        if self.resends >= RESENDS_MAX {
            return self.end(Ending::Silent);
        }
        self.resends += 1;
        self.retries += 1;
        let first = self.accepted.timeout();
        self.deadline = now + (first * (1 << self.resends)).min(WAIT_MAX.max(first));
        match self.phase {
            Phase::Offered => Step::SendOack,
            _ => Step::SendBlocks(self.acked + 1..=self.sent),
        }
    }

    /// Ends the transfer for a reason that no packet tells.
    pub fn stop(&mut self, ending: Ending) -> Step {
        if self.ending().is_none() {
            self.end(ending);
        }
        Step::Ended
    }

    /// When to call [`Self::tick`] if nothing comes before.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The number of a block on the wire and the part of the file in it. Numbers roll over to 0.
    pub fn block(&self, block: u64) -> (u16, Range<u64>) {
        let bytes = u64::from(self.accepted.block_bytes());
        let from = (block - 1) * bytes;
        (block as u16, from..self.accepted.size.min(from + bytes))
    }

    /// The terms.
    pub fn accepted(&self) -> &Accepted {
        &self.accepted
    }

    /// Bytes that the client acknowledged.
    pub fn bytes_acked(&self) -> u64 {
        self.accepted.size.min(self.acked * u64::from(self.accepted.block_bytes()))
    }

    /// Windows and option acknowledgements that were sent again.
    pub fn retries(&self) -> u32 {
        self.retries
    }

    /// How it ended, once it has.
    pub fn ending(&self) -> Option<&Ending> {
        match &self.phase {
            Phase::Ended(ending) => Some(ending),
            _ => None,
        }
    }

    /// The number of the last block. It is shorter than the others, and empty where the size is a multiple.
    fn last_block(&self) -> u64 {
        self.accepted.size / u64::from(self.accepted.block_bytes()) + 1
    }

    /// The client has everything up to `acked`: the next window, or the end.
    fn advance(&mut self, acked: u64, now: Instant) -> Step {
        self.acked = acked;
        self.resends = 0;
        if acked == self.last_block() {
            return self.end(Ending::Complete);
        }
        self.phase = Phase::Sending;
        self.deadline = now + self.accepted.timeout();
        self.sent = self.last_block().min(acked + u64::from(self.accepted.window_blocks()));
        Step::SendBlocks(acked + 1..=self.sent)
    }

    fn end(&mut self, ending: Ending) -> Step {
        self.phase = Phase::Ended(ending);
        Step::Ended
    }
}

#[cfg(test)]
#[path = "transfer_tests.rs"]
mod tests;
