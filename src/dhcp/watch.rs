//! The watch for other DHCP servers: server mode listens before it answers, falls silent beside
//! another server, and asks again until the last of them is gone.

use std::net::Ipv4Addr;

use ironwake_api::{MacAddr, Millis};

use super::packet::{BOOT_REPLY, Packet};
use super::{MessageKind, code};

/// How long offers are waited for: dnsmasq pings an address for three seconds before it offers it, ISC's
/// server for one.
const LISTEN_MILLIS: Millis = 4_000;
/// While silent, the network is asked this often; and hints lead to a question at most this often.
pub const REPROBE_MILLIS: Millis = 30_000;
/// While serving, the network is asked this often: a server that only ever unicasts is not overheard.
pub const PATROL_MILLIS: Millis = 600_000;
/// Questions without an answer after which another server counts as gone.
const MISSED_MAX: u8 = 3;
/// Other servers that are told apart: more than any failover set has. Those beyond it silence this server
/// all the same, but are neither named nor remembered, or forged offers would be an event each.
pub const OTHERS_MAX: usize = 8;

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
    /// Another server is gone. Requests are answered again once the last one is.
    Gone(OtherServer),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Serving,
    Listening {
        until: Millis,
    },
    /// `missed`: questions that none of the servers answered.
    Silent {
        next: Millis,
        missed: u8,
    },
}

/// A server that was heard.
#[derive(Debug, Clone, Copy)]
struct Heard {
    other: OtherServer,
    at: Millis,
    /// Questions since that it did not answer.
    missed: u8,
}

/// The watch on one network.
#[derive(Debug)]
pub struct Watch {
    mode: WatchMode,
    state: State,
    /// Each server once, at most [`OTHERS_MAX`].
    others: Vec<Heard>,
    asked: Millis,
    hinted: bool,
}

impl Watch {
    /// Begins a watch; the action, if any, is due at once.
    pub fn start(mode: WatchMode, now: Millis) -> (Self, Option<WatchAction>) {
        let yields = mode == WatchMode::Yield;
        let state = if yields { State::Listening { until: now + LISTEN_MILLIS } } else { State::Serving };
        let watch = Self { mode, state, others: Vec::new(), asked: now, hinted: false };
        (watch, Some(if yields { WatchAction::Ask } else { WatchAction::Serve }))
    }

    /// Whether requests are answered.
    pub fn answers(&self) -> bool {
        self.state == State::Serving
    }

    /// Why requests are not answered.
    pub fn silence(&self) -> Option<String> {
        match (self.state, self.other()) {
            (State::Serving, _) => None,
            (State::Listening { .. }, _) => Some("listening for another DHCP server first".into()),
            (State::Silent { .. }, Some(other)) => Some(format!(
                "another DHCP server, {} ({}), answers on this network",
                other.address, other.mac
            )),
            (State::Silent { .. }, None) => Some("another DHCP server answers on this network".into()),
        }
    }

    /// The other server that was heard last, if one is about.
    pub fn other(&self) -> Option<OtherServer> {
        self.others.iter().max_by_key(|heard| heard.at).map(|heard| heard.other)
    }

    /// The other servers that are about, the one heard last first, each with when that was.
    pub fn others(&self) -> Vec<(OtherServer, Millis)> {
        let mut others: Vec<_> = self.others.iter().map(|heard| (heard.other, heard.at)).collect();
        others.sort_by_key(|(_, at)| std::cmp::Reverse(*at));
        others
    }

    /// Whether requests are not answered because another server is about.
    pub fn yields(&self) -> bool {
        matches!(self.state, State::Silent { .. })
    }

    /// Another server's message was seen.
    pub fn heard(&mut self, other: OtherServer, now: Millis) -> Option<WatchAction> {
        let first = self.remember(other, now);
        let silenced = self.mode == WatchMode::Yield;
        match &mut self.state {
            State::Silent { missed, .. } => *missed = 0,
            state if silenced => *state = State::Silent { next: now + REPROBE_MILLIS, missed: 0 },
            _ => {}
        }
        (first && self.mode != WatchMode::Beside).then_some(WatchAction::Appeared { other, silenced })
    }

    /// Notes when a server was heard; whether for the first time.
    fn remember(&mut self, other: OtherServer, now: Millis) -> bool {
        let heard = Heard { other, at: now, missed: 0 };
        if let Some(known) = self.others.iter_mut().find(|known| known.other.address == other.address) {
            *known = heard;
            return false;
        }
        let room = self.others.len() < OTHERS_MAX;
        if room {
            self.others.push(heard);
        }
        room
    }

    /// A client chose another server: worth a question, no more, since anybody can say so.
    pub fn hinted(&mut self, server: Ipv4Addr, mac: MacAddr, now: Millis) {
        match self.mode {
            WatchMode::Beside if self.others.is_empty() => {
                self.remember(OtherServer { address: server, mac }, now);
            }
            WatchMode::Beside | WatchMode::Tolerate => {}
            WatchMode::Yield => self.hinted = self.hinted || self.state == State::Serving,
        }
    }

    /// When [`tick`](Self::tick) is due.
    pub fn deadline(&self) -> Option<Millis> {
        match self.state {
            State::Listening { until } => Some(until),
            State::Silent { next, .. } => Some(next),
            State::Serving if self.mode != WatchMode::Yield => None,
            State::Serving if self.hinted => Some(self.asked + REPROBE_MILLIS),
            State::Serving => Some(self.asked + PATROL_MILLIS),
        }
    }

    /// Time has passed. Each call yields one action, and the next may be due at once.
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
                self.asked = now;
                Some(WatchAction::Ask)
            }
            State::Silent { missed, .. } => Some(self.ask_in_silence(missed, now)),
        }
    }

    /// Forgets one server that stayed silent, else asks again.
    fn ask_in_silence(&mut self, missed: u8, now: Millis) -> WatchAction {
        if let Some(at) = self.others.iter().position(|heard| heard.missed >= MISSED_MAX) {
            let gone = self.others.remove(at).other;
            // While a server beyond the limit is heard, there is silence without a name.
            if self.others.is_empty() && missed >= MISSED_MAX {
                self.serve(now);
            }
            return WatchAction::Gone(gone);
        }
        if self.others.is_empty() && missed >= MISSED_MAX {
            self.serve(now);
            return WatchAction::Serve;
        }
        for heard in &mut self.others {
            heard.missed += 1;
        }
        self.state = State::Silent { next: now + REPROBE_MILLIS, missed: missed.saturating_add(1) };
        self.asked = now;
        WatchAction::Ask
    }

    /// Answers from here on.
    fn serve(&mut self, now: Millis) {
        self.state = State::Serving;
        self.asked = now;
        self.hinted = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHER: OtherServer = other(2);

    const fn other(number: u8) -> OtherServer {
        OtherServer { address: Ipv4Addr::new(10, 0, 0, number), mac: MacAddr([2, 0, 0, 0, 0, number]) }
    }

    /// A watch that has listened, and serves.
    fn serving() -> Watch {
        let (mut watch, _) = Watch::start(WatchMode::Yield, 0);
        assert_eq!(watch.tick(LISTEN_MILLIS), Some(WatchAction::Serve));
        watch
    }

    #[test]
    fn it_listens_then_serves() {
        let (mut watch, action) = Watch::start(WatchMode::Yield, 0);
        assert_eq!((action, watch.answers()), (Some(WatchAction::Ask), false));
        assert_eq!(watch.tick(LISTEN_MILLIS - 1), None);
        assert_eq!((watch.tick(LISTEN_MILLIS), watch.answers()), (Some(WatchAction::Serve), true));
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
    fn a_failover_pair_is_two_servers_that_appear_once_and_go_once() {
        let (primary, secondary) = (other(2), other(3));
        let (mut watch, _) = Watch::start(WatchMode::Yield, 0);
        let appeared = |other| Some(WatchAction::Appeared { other, silenced: true });
        assert_eq!(watch.heard(primary, 10), appeared(primary));
        assert_eq!(watch.heard(secondary, 11), appeared(secondary));
        for turn in 0..10 {
            assert_eq!((watch.heard(primary, 20 + turn), watch.heard(secondary, 20 + turn)), (None, None));
        }
        // One of them is switched off; the other goes on answering and so keeps the silence.
        let mut now = 10;
        let mut gone = Vec::new();
        for _ in 0..6 {
            now += REPROBE_MILLIS;
            while let Some(action) = watch.tick(now) {
                if action != WatchAction::Ask {
                    gone.push(action);
                }
            }
            assert_eq!(watch.heard(secondary, now + 1), None);
        }
        assert_eq!((gone.as_slice(), watch.answers()), (&[WatchAction::Gone(primary)][..], false));
        assert_eq!(watch.other(), Some(secondary));
        assert_eq!(watch.others(), [(secondary, now + 1)]);
        assert!(watch.yields());
        for _ in 0..3 {
            now += REPROBE_MILLIS;
            assert_eq!(watch.tick(now), Some(WatchAction::Ask));
        }
        now += REPROBE_MILLIS;
        assert_eq!((watch.tick(now), watch.answers()), (Some(WatchAction::Gone(secondary)), true));
        assert_eq!(watch.heard(primary, now), appeared(primary), "who is gone may appear again");
    }

    #[test]
    fn forged_servers_are_bounded_and_silence_it_until_all_are_gone() {
        let mut watch = serving();
        let events = (2..=200).filter(|number| watch.heard(other(*number), 5_000).is_some()).count();
        assert_eq!((events, watch.answers()), (OTHERS_MAX, false));
        let mut now = 5_000;
        let (mut gone, mut turns) = (0, 0);
        while !watch.answers() {
            now += REPROBE_MILLIS;
            turns += 1;
            while let Some(action) = watch.tick(now) {
                gone += usize::from(matches!(action, WatchAction::Gone(_)));
            }
            if turns < 4 {
                assert_eq!(watch.heard(other(100), now), None, "a server beyond the limit has no event");
            }
        }
        assert_eq!((gone, turns), (OTHERS_MAX, 7));
    }

    #[test]
    fn a_hint_leads_to_a_question_at_most_every_half_minute() {
        let mut watch = serving();
        watch.hinted(OTHER.address, OTHER.mac, 5_000);
        assert_eq!(watch.tick(6_000), None);
        assert_eq!(watch.tick(REPROBE_MILLIS), Some(WatchAction::Ask));
        assert_eq!(watch.deadline(), Some(REPROBE_MILLIS + PATROL_MILLIS));
        assert!(watch.answers());
    }

    #[test]
    fn while_serving_it_asks_every_ten_minutes() {
        let mut watch = serving();
        for turn in 1..=3 {
            assert_eq!(watch.tick(turn * PATROL_MILLIS - 1), None);
            assert_eq!(watch.tick(turn * PATROL_MILLIS), Some(WatchAction::Ask));
            assert!(watch.answers(), "a question is no silence");
        }
        let appeared = Some(WatchAction::Appeared { other: OTHER, silenced: true });
        assert_eq!(watch.heard(OTHER, 3 * PATROL_MILLIS + 1), appeared);
        assert!(!watch.answers());
    }

    #[test]
    fn a_proxy_expects_another_server() {
        let (mut watch, action) = Watch::start(WatchMode::Beside, 0);
        assert_eq!((action, watch.deadline()), (Some(WatchAction::Serve), None));
        assert_eq!(watch.heard(OTHER, 1), None);
        assert_eq!((watch.other(), watch.answers()), (Some(OTHER), true));
        let (mut watch, _) = Watch::start(WatchMode::Tolerate, 0);
        assert_eq!(watch.heard(OTHER, 1), Some(WatchAction::Appeared { other: OTHER, silenced: false }));
        assert!(watch.answers());
    }
}
