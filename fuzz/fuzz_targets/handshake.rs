//! libFuzzer's door to [`punktfunk_fuzz::fuzz_handshake`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| punktfunk_fuzz::fuzz_handshake(data));
