//! In `fuzz/`: `cargo +nightly fuzz run --sanitizer none update corpus/update ../tests/data/fuzz/update`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ironwake_fuzz::update(bytes));
