//! In `fuzz/`: `cargo +nightly fuzz run --sanitizer none tftp corpus/tftp ../tests/data/fuzz/tftp`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ironwake_fuzz::tftp(bytes));
