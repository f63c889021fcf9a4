//! In `fuzz/`: `cargo +nightly fuzz run --sanitizer none config corpus/config ../tests/data/fuzz/config`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ironwake_fuzz::config(bytes));
