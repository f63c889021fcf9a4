//! The fuzz targets on any toolchain: each with its seeds, and with many mutations of them that are the
//! same in every run. `cargo fuzz` explores further.

#[path = "../fuzz/src/lib.rs"]
mod targets;

use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Mutated seeds for each target: a few seconds for all.
const CASES: u32 = 20_000;
/// Where a DHCP message's options begin, with a cookie (RFC 2131 section 3).
const DHCP_COOKIE_AT: usize = 236;
/// Changes of one seed at once; more of them leave nothing that a parser would look into.
const CHANGES_MAX: usize = 6;

/// One change of some bytes.
#[derive(Debug, Clone)]
enum Change {
    Set(Index, u8),
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, usize),
    Truncate(Index),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let length = bytes.len();
        match self {
            Self::Insert(at, piece) => {
                let at = at.index(length + 1);
                bytes.splice(at..at, piece.iter().copied());
            }
            _ if length == 0 => {}
            Self::Set(at, value) => bytes[at.index(length)] = *value,
            Self::Flip(at, bit) => bytes[at.index(length)] ^= 1 << (bit % 8),
            Self::Remove(at, count) => {
                let at = at.index(length);
                bytes.drain(at..(at + count).min(length));
            }
            Self::Repeat(at, count) => {
                let at = at.index(length);
                bytes.extend_from_within(at..(at + count).min(length));
            }
            Self::Truncate(at) => bytes.truncate(at.index(length)),
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    // Lengths, counts and terminators break parsers more often than other values do.
    let value = prop_oneof![Just(0), Just(1), Just(0x7f), Just(0xff), any::<u8>()];
    prop_oneof![
        4 => (at(), value).prop_map(|(at, value)| Change::Set(at, value)),
        4 => (at(), any::<u8>()).prop_map(|(at, bit)| Change::Flip(at, bit)),
        2 => (at(), vec(any::<u8>(), 1..8)).prop_map(|(at, piece)| Change::Insert(at, piece)),
        2 => (at(), 1..32_usize).prop_map(|(at, count)| Change::Remove(at, count)),
        2 => (at(), 1..64_usize).prop_map(|(at, count)| Change::Repeat(at, count)),
        1 => at().prop_map(Change::Truncate),
    ]
}

/// Bytes with DHCP's cookie in its place.
fn dhcp_like() -> impl Strategy<Value = Vec<u8>> {
    (vec(any::<u8>(), DHCP_COOKIE_AT), vec(any::<u8>(), 0..1200), any::<bool>()).prop_map(
        |(mut bytes, options, tame)| {
            if tame {
                bytes[..3].copy_from_slice(&[1, 1, 6]);
                bytes[28..34].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
            }
            bytes.extend_from_slice(&[99, 130, 83, 99]);
            if tame {
                bytes.extend_from_slice(&[53, 1, 1 + options.len() as u8 % 8]);
            }
            bytes.extend_from_slice(&options);
            bytes
        },
    )
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/fuzz").join(target);
    let mut paths: Vec<_> =
        fs::read_dir(&dir).expect("a folder of seeds").map(|entry| entry.unwrap().path()).collect();
    // Directory order differs from machine to machine; the mutations must not.
    paths.sort();
    assert!(!paths.is_empty(), "no seeds in {}", dir.display());
    paths.iter().map(|path| fs::read(path).expect("a seed")).collect()
}

fn check(target: &str, body: fn(&[u8])) {
    let seeds = seeds(target);
    for seed in &seeds {
        body(seed);
    }
    let mutated = (select(seeds), vec(change(), 1..=CHANGES_MAX)).prop_map(|(mut bytes, changes)| {
        changes.iter().for_each(|change| change.apply(&mut bytes));
        bytes
    });
    check_all(target, mutated, body);
}

fn check_all(target: &str, inputs: impl Strategy<Value = Vec<u8>>, body: fn(&[u8])) {
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let outcome = TestRunner::new_with_rng(config, rng).run(&inputs, |bytes| {
        body(&bytes);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{target}: {failure}");
    }
}

#[test]
fn dhcp_messages() {
    check("dhcp", targets::dhcp);
    check_all("dhcp", vec(any::<u8>(), 0..1500), targets::dhcp);
    check_all("dhcp", dhcp_like(), targets::dhcp);
}

#[test]
fn tftp_packets() {
    check("tftp", targets::tftp);
}

#[test]
fn smbios_tables() {
    check("smbios", targets::smbios);
}

#[test]
fn module_info() {
    check("modinfo", targets::modinfo);
}

#[test]
fn updates() {
    check("update", targets::update);
}

#[test]
fn images_of_qemu() {
    check("qcow2", targets::qcow2);
}

#[test]
fn settings() {
    check("config", targets::config);
}
