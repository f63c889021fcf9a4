//! The client's side of getting and keeping a lease, in virtual time.

use std::{net::Ipv4Addr, time::Duration};

use super::{
    Identity, Reply,
    message::{Kind, Lease, encode_request},
};
use crate::backoff::Backoff;

/// A REQUEST without an answer is sent again this often before the search starts afresh.
const REQUEST_TRIES_MAX: u32 = 4;
/// A renewal without an answer is repeated no more often than this (RFC 2131, 4.4.5).
const RENEW_WAIT_MIN: Duration = Duration::from_secs(10);

/// What the socket's owner has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Broadcast this message, from this address.
    Send {
        /// The DHCP message.
        message: Vec<u8>,
        /// The address held, or 0.0.0.0.
        from: Ipv4Addr,
    },
    /// The lease is granted, or granted anew.
    Bound(Lease),
    /// The address may not be used any more; the search starts again by itself.
    Lost,
}

#[derive(Debug, Clone)]
enum State {
    Selecting,
    Requesting { offer: Lease, tries: u32 },
    Bound { lease: Lease, since: Duration },
    Renewing { lease: Lease, expires: Duration },
}

/// One NIC's exchange with DHCP servers. Times are since any fixed moment.
#[derive(Debug, Clone)]
pub struct Exchange {
    identity: Identity,
    xid: u32,
    state: State,
    backoff: Backoff,
    due: Duration,
}

impl Exchange {
    /// Starts at once: the first `tick` sends a DISCOVER.
    pub fn new(identity: Identity, xid: u32, now: Duration) -> Self {
        Self { identity, xid, state: State::Selecting, backoff: Backoff::default(), due: now }
    }

    /// When `tick` is due.
    pub fn due(&self) -> Duration {
        self.due
    }

    /// How many DISCOVERs went without a usable answer.
    pub fn unanswered(&self) -> u32 {
        self.backoff.failures()
    }

    /// Time has passed: sends, repeats or gives up what is due.
    pub fn tick(&mut self, now: Duration, random: u16) -> Vec<Effect> {
        if now < self.due {
            return Vec::new();
        }
        match std::mem::replace(&mut self.state, State::Selecting) {
            State::Requesting { offer, tries } if tries < REQUEST_TRIES_MAX => {
                self.request(offer, tries + 1, now)
            }
            State::Selecting | State::Requesting { .. } => self.discover(now, random),
            State::Bound { lease, since } => {
                let expires = since + Duration::from_secs(lease.lease_secs.into());
                self.renew(lease, expires, now)
            }
            State::Renewing { lease, expires } if now < expires => self.renew(lease, expires, now),
            State::Renewing { .. } => {
                let mut effects = vec![Effect::Lost];
                effects.extend(self.discover(now, random));
                effects
            }
        }
    }

    /// A server's message came.
    pub fn receive(&mut self, reply: &Reply, now: Duration) -> Vec<Effect> {
        if reply.xid != self.xid {
            return Vec::new();
        }
        match (&self.state, reply.kind) {
            (State::Selecting, Kind::Offer) => self.request(reply.lease.clone(), 1, now),
            (State::Requesting { offer, .. }, Kind::Ack) if offer.address == reply.lease.address => {
                self.bind(reply.lease.clone(), now)
            }
            (State::Renewing { lease, .. }, Kind::Ack) if lease.address == reply.lease.address => {
                self.bind(reply.lease.clone(), now)
            }
            (State::Requesting { offer, .. }, Kind::Nak) if is_from(offer, reply) => {
                self.restart(now);
                Vec::new()
            }
            (State::Renewing { lease, .. }, Kind::Nak) if is_from(lease, reply) => {
                self.restart(now);
                vec![Effect::Lost]
            }
            _ => Vec::new(),
        }
    }

    fn discover(&mut self, now: Duration, random: u16) -> Vec<Effect> {
        self.due = now + self.backoff.next(random);
        self.send(Kind::Discover, None, None, None)
    }

    fn request(&mut self, offer: Lease, tries: u32, now: Duration) -> Vec<Effect> {
        self.due = now + Duration::from_secs(1 << tries.min(REQUEST_TRIES_MAX));
        let effects = self.send(Kind::Request, Some(offer.address), Some(offer.server), None);
        self.state = State::Requesting { offer, tries };
        effects
    }

    /// Renews as a rebinding client does, by broadcast: any server that knows the lease may answer, and no
    /// ARP is needed.
    fn renew(&mut self, lease: Lease, expires: Duration, now: Duration) -> Vec<Effect> {
        let left = expires.saturating_sub(now);
        self.due = now + (left / 2).max(RENEW_WAIT_MIN).min(left.max(Duration::from_secs(1)));
        let effects = self.send(Kind::Request, None, None, Some(lease.address));
        self.state = State::Renewing { lease, expires };
        effects
    }

    fn bind(&mut self, lease: Lease, now: Duration) -> Vec<Effect> {
        self.backoff.reset();
        self.due = now + Duration::from_secs(lease.renew_secs.into());
        self.state = State::Bound { lease: lease.clone(), since: now };
        vec![Effect::Bound(lease)]
    }

    fn restart(&mut self, now: Duration) {
        self.state = State::Selecting;
        self.due = now + Duration::from_secs(1);
    }

    fn send(
        &self,
        kind: Kind,
        requested: Option<Ipv4Addr>,
        server: Option<Ipv4Addr>,
        in_use: Option<Ipv4Addr>,
    ) -> Vec<Effect> {
        let message = encode_request(kind, &self.identity, self.xid, requested, server, in_use);
        vec![Effect::Send { message, from: in_use.unwrap_or(Ipv4Addr::UNSPECIFIED) }]
    }
}

/// A server that was not chosen may refuse the REQUEST too; only the chosen one's refusal counts.
fn is_from(lease: &Lease, reply: &Reply) -> bool {
    reply.lease.server.is_unspecified() || reply.lease.server == lease.server
}

#[cfg(test)]
mod tests {
    use super::{
        super::message::tests::{MAC, reply},
        *,
    };

    struct Virtual {
        exchange: Exchange,
        now: Duration,
    }

    impl Virtual {
        fn new() -> Self {
            let exchange = Exchange::new(Identity { mac: MAC, uuid: None }, 7, Duration::ZERO);
            Self { exchange, now: Duration::ZERO }
        }

        /// Waits until something is due and says what was done.
        fn due(&mut self, expected: &str) -> &mut Self {
            self.now = self.now.max(self.exchange.due());
            let effects = self.exchange.tick(self.now, 0);
            self.expect(&effects, expected)
        }

        fn gets(&mut self, kind: u8, address: [u8; 4], expected: &str) -> &mut Self {
            let options: [(u8, &[u8]); 2] = [(51, &600u32.to_be_bytes()), (54, &[10, 0, 0, 3])];
            let reply = Reply::parse(&reply(kind, 7, address, &options), MAC).expect("a reply");
            let effects = self.exchange.receive(&reply, self.now);
            self.expect(&effects, expected)
        }

        fn expect(&mut self, effects: &[Effect], expected: &str) -> &mut Self {
            let words: Vec<String> = effects
                .iter()
                .map(|effect| match effect {
                    Effect::Send { message, from } => format!("{}@{from}", message[242]),
                    Effect::Bound(lease) => format!("bound {}", lease.address),
                    Effect::Lost => "lost".into(),
                })
                .collect();
            assert_eq!(words.join(" "), expected, "at {:?}", self.now);
            self
        }
    }

    const A: [u8; 4] = [10, 0, 0, 50];
    const B: [u8; 4] = [10, 0, 0, 51];

    #[test]
    fn a_lease_is_found_kept_and_lost() {
        let mut client = Virtual::new();
        client.due("1@0.0.0.0").due("1@0.0.0.0");
        client.gets(2, A, "3@0.0.0.0").gets(2, B, "").gets(5, B, "").gets(5, A, "bound 10.0.0.50");
        let bound = client.now;
        client.due("3@10.0.0.50");
        assert_eq!(client.now - bound, Duration::from_secs(300));
        client.gets(5, A, "bound 10.0.0.50");
        for _ in 0..20 {
            client.now = client.exchange.due();
            if client.exchange.tick(client.now, 0).contains(&Effect::Lost) {
                return;
            }
        }
        panic!("the lease never ran out");
    }

    #[test]
    fn refusals_start_again() {
        let mut client = Virtual::new();
        client.due("1@0.0.0.0").gets(2, A, "3@0.0.0.0").gets(6, [0; 4], "").due("1@0.0.0.0");
        client
            .gets(2, B, "3@0.0.0.0")
            .gets(5, B, "bound 10.0.0.51")
            .due("3@10.0.0.51")
            .gets(6, [0; 4], "lost");
    }

    #[test]
    fn an_offer_that_is_never_granted_is_given_up() {
        let mut client = Virtual::new();
        client.due("1@0.0.0.0").gets(2, A, "3@0.0.0.0");
        client.due("3@0.0.0.0").due("3@0.0.0.0").due("3@0.0.0.0").due("1@0.0.0.0");
    }
}
