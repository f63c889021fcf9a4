//! Transfers as transcripts in virtual time, and over links that lose, double and reorder.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::tftp::Options;

fn accepted(size: u64, options: Options) -> Accepted {
    options.accept(size, 1468)
}

fn window(blksize: u16, windowsize: u16) -> Options {
    Options { blksize: Some(blksize), windowsize: Some(windowsize), ..Options::default() }
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[test]
fn without_options_blocks_go_one_by_one_and_the_last_is_short() {
    let now = Instant::now();
    let (mut transfer, step) = Transfer::start(accepted(1000, Options::default()), now);
    assert_eq!(step, Step::SendBlocks(1..=1));
    assert_eq!(transfer.block(1), (1, 0..512));
    assert_eq!(transfer.receive(&Packet::Ack(1), now), Step::SendBlocks(2..=2));
    assert_eq!(transfer.block(2), (2, 512..1000));
    assert_eq!(transfer.receive(&Packet::Ack(2), now), Step::Ended);
    assert_eq!((transfer.ending(), transfer.bytes_acked()), (Some(&Ending::Complete), 1000));
}

#[test]
fn a_multiple_of_the_block_size_ends_with_an_empty_block() {
    for (size, last, range) in [(0, 1, 0..0), (512, 2, 512..512), (511, 1, 0..511)] {
        let now = Instant::now();
        let (mut transfer, _) = Transfer::start(accepted(size, Options::default()), now);
        for block in 1..last {
            assert_eq!(
                transfer.receive(&Packet::Ack(block as u16), now),
                Step::SendBlocks(block + 1..=block + 1)
            );
        }
        assert_eq!(transfer.block(last).1, range);
        assert_eq!(transfer.receive(&Packet::Ack(last as u16), now), Step::Ended);
    }
}

#[test]
fn a_duplicate_ack_sends_nothing() {
    let now = Instant::now();
    let (mut transfer, _) = Transfer::start(accepted(5000, Options::default()), now);
    assert_eq!(transfer.receive(&Packet::Ack(1), now), Step::SendBlocks(2..=2));
    for stale in [1, 0, 3, 65535] {
        assert_eq!(transfer.receive(&Packet::Ack(stale), now), Step::Wait, "ACK {stale}");
    }
}

#[test]
fn an_ack_inside_the_window_rewinds() {
    let now = Instant::now();
    let (mut transfer, step) = Transfer::start(accepted(100_000, window(1000, 16)), now);
    assert_eq!(step, Step::SendOack);
    assert_eq!(transfer.receive(&Packet::Ack(3), now), Step::Wait);
    assert_eq!(transfer.receive(&Packet::Ack(0), now), Step::SendBlocks(1..=16));
    assert_eq!(transfer.receive(&Packet::Ack(0), now), Step::Wait);
    assert_eq!(transfer.receive(&Packet::Ack(5), now), Step::SendBlocks(6..=21));
    assert_eq!(transfer.receive(&Packet::Ack(21), now), Step::SendBlocks(22..=37));
}

#[test]
fn silence_resends_after_waits_that_double_and_ends() {
    let start = Instant::now();
    let (mut transfer, _) = Transfer::start(accepted(5000, Options::default()), start);
    let mut waits = Vec::new();
    let mut now = start;
    loop {
        assert_eq!(transfer.tick(now), Step::Wait);
        waits.push((transfer.deadline() - now).as_secs());
        now = transfer.deadline();
        match transfer.tick(now) {
            Step::SendBlocks(blocks) => assert_eq!(blocks, 1..=1),
            step => break assert_eq!(step, Step::Ended),
        }
    }
    assert_eq!(waits, [1, 2, 4, 8, 8, 8]);
    assert_eq!((transfer.ending(), transfer.retries()), (Some(&Ending::Silent), RESENDS_MAX));
}

#[test]
fn the_option_acknowledgement_is_resent_and_the_clients_timeout_counts() {
    let now = Instant::now();
    let options = Options { timeout_secs: Some(20), ..Options::default() };
    let (mut transfer, step) = Transfer::start(accepted(10, options), now);
    assert_eq!(step, Step::SendOack);
    assert_eq!(transfer.tick(now + secs(19)), Step::Wait);
    assert_eq!(transfer.tick(now + secs(20)), Step::SendOack);
    assert_eq!(transfer.deadline(), now + secs(40));
}

#[test]
fn an_error_after_the_options_is_a_size_query_and_any_other_an_abort() {
    let now = Instant::now();
    let abort = Packet::error(ErrorCode::OptionsRefused, "User aborted the transfer");
    let (mut transfer, _) = Transfer::start(accepted(5000, window(1468, 4)), now);
    assert_eq!(transfer.receive(&abort, now), Step::Ended);
    assert_eq!(transfer.ending(), Some(&Ending::SizeOnly));
    let (mut transfer, _) = Transfer::start(accepted(5000, window(1468, 4)), now);
    transfer.receive(&Packet::Ack(0), now);
    assert_eq!(transfer.receive(&abort, now), Step::Ended);
    let reason = transfer.ending().and_then(Ending::aborted);
    assert_eq!(reason.as_deref(), Some(r#"the client ended it: error 8 "User aborted the transfer""#));
}

#[test]
fn block_numbers_roll_over() {
    let now = Instant::now();
    let (mut transfer, _) = Transfer::start(accepted(8 * 70_000, window(8, 64)), now);
    let mut step = transfer.receive(&Packet::Ack(0), now);
    let mut last = 0;
    while let Step::SendBlocks(blocks) = step {
        assert_eq!(*blocks.start(), last + 1);
        last = *blocks.end();
        step = transfer.receive(&Packet::Ack(transfer.block(last).0), now);
    }
    assert_eq!((last, transfer.block(last).0, transfer.ending()), (70_001, 4465, Some(&Ending::Complete)));
}

/// What a link does to one packet.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Deliver,
    Lose,
    Double,
    Delay,
}

/// A receiver as RFC 7440 §4 has it.
struct Receiver {
    got: Vec<u8>,
    last: u64,
    since_ack: u64,
    window: u64,
    block_bytes: usize,
    done: bool,
}

impl Receiver {
    fn take(&mut self, packet: &Packet<'_>) -> Option<Packet<'static>> {
        match packet {
            Packet::Oack(_) => Some(Packet::Ack(0)),
            Packet::Data { block, data } => {
                if *block != (self.last + 1) as u16 {
                    self.since_ack = 0;
                    return Some(Packet::Ack(self.last as u16));
                }
                self.got.extend_from_slice(data);
                self.last += 1;
                self.since_ack += 1;
                self.done = data.len() < self.block_bytes;
                if !self.done && self.since_ack < self.window {
                    return None;
                }
                self.since_ack = 0;
                Some(Packet::Ack(self.last as u16))
            }
            _ => None,
        }
    }
}

/// The two ends and the link between them, in virtual time.
struct Link {
    fates: std::vec::IntoIter<Fate>,
    /// Losses since the server last advanced: what is lost for ever is silence, not a lossy link.
    losses: u32,
    /// Packets under way, by arrival; true for those to the client.
    wire: BTreeMap<(Instant, u64), (bool, Vec<u8>)>,
    count: u64,
}

impl Link {
    fn send(&mut self, to_client: bool, packet: Vec<u8>, now: Instant) {
        let fate = match self.fates.next() {
            Some(Fate::Lose) if self.losses == RESENDS_MAX => Fate::Deliver,
            Some(fate) => fate,
            None => Fate::Deliver,
        };
        let arrivals: &[u64] = match fate {
            Fate::Deliver => &[1],
            Fate::Lose => &[],
            Fate::Double => &[1, 3],
            Fate::Delay => &[40],
        };
        self.losses += u32::from(arrivals.is_empty());
        for after in arrivals {
            self.count += 1;
            let at = now + Duration::from_millis(*after);
            self.wire.insert((at, self.count), (to_client, packet.clone()));
        }
    }

    fn perform(&mut self, transfer: &Transfer, file: &[u8], step: Step, now: Instant) {
        match step {
            Step::SendOack => self.send(true, Packet::Oack(transfer.accepted().answer).encode(), now),
            Step::SendBlocks(blocks) => {
                for block in blocks {
                    let (block, range) = transfer.block(block);
                    let data = &file[range.start as usize..range.end as usize];
                    self.send(true, Packet::Data { block, data }.encode(), now);
                }
            }
            Step::Wait | Step::Ended => {}
        }
    }
}

fn transfer_over(fates: Vec<Fate>, size: usize, options: Options) -> (Vec<u8>, Vec<u8>, Transfer) {
    let file: Vec<u8> = (0..size).map(|at| (at * 7 % 251) as u8).collect();
    let mut now = Instant::now();
    let (mut transfer, step) = Transfer::start(accepted(size as u64, options), now);
    let terms = *transfer.accepted();
    let block_bytes = terms.block_bytes().into();
    let window = terms.window_blocks().into();
    let mut receiver = Receiver { got: Vec::new(), last: 0, since_ack: 0, window, block_bytes, done: false };
    let mut link = Link { fates: fates.into_iter(), losses: 0, wire: BTreeMap::new(), count: 0 };
    link.perform(&transfer, &file, step, now);
    while transfer.ending().is_none() {
        let arrival = link.wire.first_key_value().map(|(key, _)| key.0);
        let step = match arrival.filter(|at| *at <= transfer.deadline()) {
            Some(at) => {
                now = at;
                let Some((_, (to_client, bytes))) = link.wire.pop_first() else { break };
                let Ok(packet) = Packet::parse(&bytes) else { panic!("unreadable packet on the wire") };
                if to_client {
                    if let Some(answer) = receiver.take(&packet) {
                        link.send(false, answer.encode(), now);
                    }
                    continue;
                }
                let before = transfer.bytes_acked();
                let step = transfer.receive(&packet, now);
                if transfer.bytes_acked() > before || step == Step::Ended {
                    link.losses = 0;
                }
                step
            }
            None => {
                now = transfer.deadline();
                transfer.tick(now)
            }
        };
        link.perform(&transfer, &file, step, now);
    }
    assert!(receiver.done || transfer.ending() != Some(&Ending::Complete));
    (file, receiver.got, transfer)
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => Just(Fate::Deliver),
        2 => Just(Fate::Lose),
        2 => Just(Fate::Double),
        2 => Just(Fate::Delay),
    ]
}

proptest! {
    #[test]
    fn any_loss_doubling_and_reordering_ends_in_the_exact_bytes(
        fates in prop::collection::vec(fate(), 0..400),
        size in 0..6000usize,
        blksize in prop::option::of(8..600u16),
        windowsize in prop::option::of(1..20u16),
    ) {
        let options = Options { blksize, windowsize, ..Options::default() };
        let (file, got, transfer) = transfer_over(fates, size, options);
        prop_assert_eq!(transfer.ending(), Some(&Ending::Complete));
        prop_assert_eq!(got, file);
    }

    #[test]
    fn packets_that_do_not_belong_never_panic(
        acks in prop::collection::vec((any::<u16>(), 0..5u64), 0..200), size in 0..100_000u64,
        windowsize in 1..=64u16,
    ) {
        let mut now = Instant::now();
        let (mut transfer, _) = Transfer::start(accepted(size, window(8, windowsize)), now);
        for (block, wait) in acks {
            now += secs(wait);
            for step in [transfer.receive(&Packet::Ack(block), now), transfer.tick(now)] {
                if let Step::SendBlocks(blocks) = step {
                    prop_assert!(blocks.clone().count() <= windowsize as usize);
                    prop_assert!(blocks.into_iter().all(|block| transfer.block(block).1.end <= size));
                }
            }
        }
    }

    #[test]
    fn on_a_perfect_link_nothing_is_sent_twice(size in 0..20_000usize, windowsize in 1..=64u16) {
        let (file, got, transfer) = transfer_over(Vec::new(), size, window(100, windowsize));
        prop_assert_eq!(transfer.retries(), 0);
        prop_assert_eq!(got, file);
    }
}
