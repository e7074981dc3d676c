//! Random secrets, and the form in which they are kept.

use punktfunk_media::reason;
use sha2::{Digest as _, Sha256};

use crate::Problem;

/// `N` random bytes as hexadecimal digits.
///
/// # Errors
/// `host.no_randomness`.
pub(crate) fn random<const N: usize>() -> Result<String, Problem> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|e| Problem::new(&reason::HOST_NO_RANDOMNESS).with_detail(e.to_string()))?;
    Ok(hex(&bytes))
}

/// What is kept of a secret with 128 bits of randomness or more. Looking one up by its hash tells nothing about others.
pub(crate) fn digest(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, b| {
        // Writing to a string does not fail.
        let _ = write!(text, "{b:02x}");
        text
    })
}
