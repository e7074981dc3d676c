//! libFuzzer's door to [`punktfunk_fuzz::fuzz_gs_pings`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| punktfunk_fuzz::fuzz_gs_pings(data));
