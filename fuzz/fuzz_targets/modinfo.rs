//! In `fuzz/`: `cargo +nightly fuzz run --sanitizer none modinfo corpus/modinfo ../tests/data/fuzz/modinfo`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ironwake_fuzz::modinfo(bytes));
