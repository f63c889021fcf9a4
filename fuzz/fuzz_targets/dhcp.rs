//! In `fuzz/`: `cargo +nightly fuzz run --sanitizer none dhcp corpus/dhcp ../tests/data/fuzz/dhcp`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ironwake_fuzz::dhcp(bytes));
