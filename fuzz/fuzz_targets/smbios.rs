//! In `fuzz/`: `cargo +nightly fuzz run --sanitizer none smbios corpus/smbios ../tests/data/fuzz/smbios`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ironwake_fuzz::smbios(bytes));
