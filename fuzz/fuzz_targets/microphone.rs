//! libFuzzer's door to [`punktfunk_fuzz::fuzz_microphone`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| punktfunk_fuzz::fuzz_microphone(data));
