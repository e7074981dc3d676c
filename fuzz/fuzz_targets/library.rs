//! libFuzzer's door to [`punktfunk_fuzz::fuzz_library`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| punktfunk_fuzz::fuzz_library(data));
