//! In `fuzz/`: `cargo +nightly fuzz run --sanitizer none qcow2 corpus/qcow2 ../tests/data/fuzz/qcow2`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ironwake_fuzz::qcow2(bytes));
