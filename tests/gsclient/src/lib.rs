//! Our own Moonlight-side client: the other end of GameStream in tests.
#![forbid(unsafe_code)]
