//! The watch for another DHCP server: server mode listens before it answers, falls silent beside
//! another server, and asks again until that one is gone.

use std::net::Ipv4Addr;

use ironwake_api::{MacAddr, Millis};

use super::packet::{BOOT_REPLY, Packet};
use super::{MessageKind, code};

/// How long offers are waited for.
const LISTEN_MILLIS: Millis = 1_000;
/// While silent, the network is asked this often; and hints lead to a question at most this often.
pub const REPROBE_MILLIS: Millis = 30_000;
/// Questions without an answer after which the other server counts as gone.
const MISSED_MAX: u8 = 3;

/// How the watch is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchMode {
    /// Another server is expected: it is only remembered (proxy mode).
    Beside,
    /// Another server is reported, and answered beside (`allow_rogue`).
    Tolerate,
    /// Another server silences this one.
    Yield,
}

/// Another DHCP server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OtherServer {
    /// Its address, as option 54 says it.
    pub address: Ipv4Addr,
    /// Link address of its messages.
    pub mac: MacAddr,
}

impl OtherServer {
    /// The server that sent `packet`, if it is one that gives addresses. Another proxy's offer carries none.
    pub fn of(packet: &Packet<'_>, mac: MacAddr) -> Option<Self> {
        let kind = packet.options.get(code::MESSAGE_KIND).and_then(|value| value.first().copied())?;
        let gives = matches!(MessageKind::by_number(kind), Some(MessageKind::Offer | MessageKind::Ack));
        let address = packet.options.address(code::SERVER_ID)?;
        (packet.op == BOOT_REPLY && gives && !packet.yiaddr.is_unspecified()).then_some(Self { address, mac })
    }
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchAction {
    /// Broadcast a DISCOVER and see who answers.
    Ask,
    /// Nobody else answers: requests are answered from here on.
    Serve,
    /// Another server was heard for the first time; whether answers stop.
    Appeared {
        /// Which.
        other: OtherServer,
        /// Requests are not answered from here on.
        silenced: bool,
    },
    /// The other server is gone: requests are answered again.
    Gone(OtherServer),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Serving,
    Listening { until: Millis },
    Silent { next: Millis, heard: bool, missed: u8 },
}

/// The watch on one network.
#[derive(Debug)]
pub struct Watch {
    mode: WatchMode,
    state: State,
    other: Option<OtherServer>,
    asked: Option<Millis>,
    hinted: bool,
}

impl Watch {
    /// Begins a watch; the action, if any, is due at once.
    pub fn start(mode: WatchMode, now: Millis) -> (Self, Option<WatchAction>) {
        let yields = mode == WatchMode::Yield;
        let state = if yields { State::Listening { until: now + LISTEN_MILLIS } } else { State::Serving };
        let watch = Self { mode, state, other: None, asked: yields.then_some(now), hinted: false };
        (watch, Some(if yields { WatchAction::Ask } else { WatchAction::Serve }))
    }

    /// Whether requests are answered.
    pub fn answers(&self) -> bool {
        self.state == State::Serving
    }

    /// Why requests are not answered.
    pub fn silence(&self) -> Option<String> {
        match (self.state, self.other) {
            (State::Serving, _) => None,
            (State::Listening { .. }, _) => Some("listening for another DHCP server first".into()),
            (State::Silent { .. }, Some(other)) => Some(format!(
                "another DHCP server, {} ({}), answers on this network",
                other.address, other.mac
            )),
            (State::Silent { .. }, None) => Some("another DHCP server answers on this network".into()),
        }
    }

    /// The other server, if one is about.
    pub fn other(&self) -> Option<OtherServer> {
        self.other
    }

    /// Another server's message was seen.
    pub fn heard(&mut self, other: OtherServer, now: Millis) -> Option<WatchAction> {
        let first = self.other.is_none_or(|known| known.address != other.address);
        self.other = Some(other);
        if let State::Silent { heard, .. } = &mut self.state {
            *heard = true;
        }
        let silenced = self.mode == WatchMode::Yield;
        if silenced && !matches!(self.state, State::Silent { .. }) {
            self.state = State::Silent { next: now + REPROBE_MILLIS, heard: false, missed: 0 };
        }
        (first && self.mode != WatchMode::Beside).then_some(WatchAction::Appeared { other, silenced })
    }

    /// A client chose another server: worth a question, no more, since anybody can say so.
    pub fn hinted(&mut self, server: Ipv4Addr, mac: MacAddr) {
        match self.mode {
            WatchMode::Beside => self.other = self.other.or(Some(OtherServer { address: server, mac })),
            WatchMode::Tolerate => {}
            WatchMode::Yield => self.hinted = self.hinted || self.state == State::Serving,
        }
    }

    /// When [`tick`](Self::tick) is due.
    pub fn deadline(&self) -> Option<Millis> {
        match self.state {
            State::Listening { until } => Some(until),
            State::Silent { next, .. } => Some(next),
            State::Serving if self.hinted => Some(self.asked.map_or(0, |asked| asked + REPROBE_MILLIS)),
            State::Serving => None,
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Millis) -> Option<WatchAction> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return None;
        }
        match self.state {
            State::Listening { .. } => {
                self.state = State::Serving;
                Some(WatchAction::Serve)
            }
            State::Serving => {
                self.hinted = false;
                self.asked = Some(now);
                Some(WatchAction::Ask)
            }
            State::Silent { heard, missed, .. } => {
                // Counts the question that is about to be asked, since none precedes the first turn.
                let missed = if heard { 1 } else { missed + 1 };
                if missed > MISSED_MAX {
                    self.state = State::Serving;
                    return self.other.take().map(WatchAction::Gone);
                }
                self.state = State::Silent { next: now + REPROBE_MILLIS, heard: false, missed };
                self.asked = Some(now);
                Some(WatchAction::Ask)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHER: OtherServer =
        OtherServer { address: Ipv4Addr::new(10, 0, 0, 2), mac: MacAddr([2, 0, 0, 0, 0, 2]) };

    #[test]
    fn it_listens_then_serves() {
        let (mut watch, action) = Watch::start(WatchMode::Yield, 0);
        assert_eq!((action, watch.answers()), (Some(WatchAction::Ask), false));
        assert_eq!(watch.tick(999), None);
        assert_eq!((watch.tick(1_000), watch.answers()), (Some(WatchAction::Serve), true));
    }

    #[test]
    fn another_server_silences_it_until_three_questions_stay_unanswered() {
        let (mut watch, _) = Watch::start(WatchMode::Yield, 0);
        assert_eq!(watch.heard(OTHER, 10), Some(WatchAction::Appeared { other: OTHER, silenced: true }));
        assert_eq!((watch.heard(OTHER, 20), watch.answers()), (None, false));
        let mut now = 10;
        for turn in 1..=4 {
            now += REPROBE_MILLIS;
            assert_eq!(watch.tick(now), Some(WatchAction::Ask), "turn {turn}");
            if turn == 1 {
                watch.heard(OTHER, now + 5);
            }
        }
        now += REPROBE_MILLIS;
        assert_eq!((watch.tick(now), watch.answers()), (Some(WatchAction::Gone(OTHER)), true));
    }

    #[test]
    fn a_hint_leads_to_a_question_at_most_every_half_minute() {
        let (mut watch, _) = Watch::start(WatchMode::Yield, 0);
        watch.tick(1_000);
        watch.hinted(OTHER.address, OTHER.mac);
        assert_eq!(watch.tick(2_000), None);
        assert_eq!(watch.tick(REPROBE_MILLIS), Some(WatchAction::Ask));
        assert_eq!(watch.deadline(), None);
        assert!(watch.answers());
    }

    #[test]
    fn a_proxy_expects_another_server() {
        let (mut watch, action) = Watch::start(WatchMode::Beside, 0);
        assert_eq!(action, Some(WatchAction::Serve));
        assert_eq!(watch.heard(OTHER, 1), None);
        assert_eq!((watch.other(), watch.answers()), (Some(OTHER), true));
        let (mut watch, _) = Watch::start(WatchMode::Tolerate, 0);
        assert_eq!(watch.heard(OTHER, 1), Some(WatchAction::Appeared { other: OTHER, silenced: false }));
        assert!(watch.answers());
    }
}
