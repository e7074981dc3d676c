//! Names that nobody else has.

use std::fs::File;
use std::io::Read;

/// Twelve random hex digits.
///
/// # Errors
/// What the system said.
pub fn random_id() -> std::io::Result<String> {
    let mut bytes = [0u8; 6];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}
