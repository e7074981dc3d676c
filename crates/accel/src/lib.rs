//! Fast implementations of the core's [`Aead`] and [`Fec`] traits.
//!
//! Sealing goes through aws-lc; FEC through kernels chosen once per process by what the processor can do, beside the
//! library whose bytes they reproduce. Each has a portable twin in `punktfunk-core` that tests compare it with.

mod aead;
#[cfg(target_arch = "x86_64")]
mod codes;
mod gf;

pub use gf::Level;
use punktfunk_core::fec::{Fec, FecScheme, Gf8Cauchy, Gf16Leopard};
use punktfunk_core::seal::Aead;

/// AES-128-GCM with the session's key.
#[must_use]
pub fn aes128_gcm(key: &[u8; 16]) -> Box<dyn Aead> {
    Box::new(aead::AwsLc::aes128_gcm(key))
}

/// ChaCha20-Poly1305 with the session's key.
#[must_use]
pub fn chacha20_poly1305(key: &[u8; 32]) -> Box<dyn Aead> {
    Box::new(aead::AwsLc::chacha20_poly1305(key))
}

/// The session's code, with the fastest kernels that this processor has.
#[must_use]
pub fn fec(scheme: FecScheme) -> Box<dyn Fec> {
    fec_at(scheme, Level::best()).unwrap_or_else(|| portable(scheme))
}

/// The code with the kernels of one level, for comparisons; `None` where the processor lacks them.
#[must_use]
pub fn fec_at(scheme: FecScheme, level: Level) -> Option<Box<dyn Fec>> {
    if level == Level::Portable {
        return Some(portable(scheme));
    }
    #[cfg(target_arch = "x86_64")]
    return codes::accelerated(scheme, level);
    #[cfg(not(target_arch = "x86_64"))]
    None
}

/// The library (which has its own vector code) and the scalar twin.
fn portable(scheme: FecScheme) -> Box<dyn Fec> {
    match scheme {
        FecScheme::Gf8 => Box::new(Gf8Cauchy::new()),
        FecScheme::Gf16 => Box::new(Gf16Leopard::new()),
    }
}
