//! SPAKE2 over Ed25519 and the two confirmations. Each side uses its own view of both fingerprints, so a man in the
//! middle ends up with different keys. Randomness comes in: [`RANDOM_BYTES`] bytes from a cryptographic generator, fresh
//! for every attempt.

use alloc::vec::Vec;

use hmac::{Hmac, Mac};
use rand_core::{CryptoRng, RngCore};
use sha2::Sha256;
use spake2::{Ed25519Group, Identity, Password, Spake2};
use zeroize::{Zeroize, Zeroizing};

use crate::Fingerprint;

/// Random bytes that a ceremony uses up: one scalar by wide reduction.
pub const RANDOM_BYTES: usize = 64;

/// Why a ceremony ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CeremonyError {
    /// The peer's SPAKE2 message has the wrong length or side, or is no point. On the host this does not use up the PIN
    /// window.
    #[error("malformed SPAKE2 message")]
    Malformed,
    /// The confirmation does not match: wrong PIN, or somebody in the middle.
    #[error("wrong PIN, or the connection is intercepted")]
    WrongPin,
}

/// The client's half, before the host answered.
pub struct ClientCeremony {
    spake: Spake2<Ed25519Group>,
    message: Vec<u8>,
    transcript: Transcript,
}

/// The client's half after the host proved that it knows the PIN.
#[derive(Debug)]
pub struct ClientPending {
    confirm: [u8; 32],
}

impl ClientCeremony {
    /// Begins a ceremony. `pin` is the text the person typed, `client` our own certificate, `host` the certificate seen
    /// in this connection's TLS handshake.
    #[must_use]
    pub fn start(pin: &str, client: &Fingerprint, host: &Fingerprint, random: [u8; RANDOM_BYTES]) -> Self {
        let (a, b) = (Identity::new(&client.0), Identity::new(&host.0));
        let (spake, message) = Spake2::start_a_with_rng(&Password::new(pin), &a, &b, Given::new(random));
        Self { spake, message, transcript: Transcript::new(client, host) }
    }

    /// The bytes for `PairRequest.spake_a`.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// Judges the host's challenge. `Ok` holds the bytes for `PairProof`.
    ///
    /// # Errors
    /// [`CeremonyError`]: close the connection with code 1.
    pub fn confirm(self, spake_b: &[u8], host_confirm: &[u8; 32]) -> Result<ClientPending, CeremonyError> {
        let key = Key::new(self.spake, spake_b)?;
        if !key.matches(HOST_LABEL, &self.transcript, host_confirm) {
            return Err(CeremonyError::WrongPin);
        }
        Ok(ClientPending { confirm: key.confirm(CLIENT_LABEL, &self.transcript) })
    }
}

impl ClientPending {
    /// The bytes for `PairProof.confirm`.
    #[must_use]
    pub const fn proof(&self) -> [u8; 32] {
        self.confirm
    }
}

/// The host's half, after it answered the client's first message.
pub struct HostCeremony {
    key: Key,
    message: Vec<u8>,
    transcript: Transcript,
}

impl HostCeremony {
    /// Answers a `PairRequest`. `pin` is the PIN of the window, `client` the certificate received in this connection,
    /// `host` our own.
    ///
    /// # Errors
    /// [`CeremonyError::Malformed`]; the window stays as it was.
    pub fn respond(
        pin: &str,
        client: &Fingerprint,
        host: &Fingerprint,
        spake_a: &[u8],
        random: [u8; RANDOM_BYTES],
    ) -> Result<Self, CeremonyError> {
        let (a, b) = (Identity::new(&client.0), Identity::new(&host.0));
        let (spake, message) = Spake2::start_b_with_rng(&Password::new(pin), &a, &b, Given::new(random));
        Ok(Self { key: Key::new(spake, spake_a)?, message, transcript: Transcript::new(client, host) })
    }

    /// The bytes for `PairChallenge.spake_b`.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// The bytes for `PairChallenge.confirm`.
    #[must_use]
    pub fn confirm(&self) -> [u8; 32] {
        self.key.confirm(HOST_LABEL, &self.transcript)
    }

    /// Judges the client's proof, in constant time.
    ///
    /// # Errors
    /// [`CeremonyError::WrongPin`].
    pub fn verify(&self, client_confirm: &[u8; 32]) -> Result<(), CeremonyError> {
        if self.key.matches(CLIENT_LABEL, &self.transcript, client_confirm) {
            Ok(())
        } else {
            Err(CeremonyError::WrongPin)
        }
    }
}

/// The shared key, wiped when dropped.
struct Key(Zeroizing<[u8; 32]>);

impl Key {
    fn new(spake: Spake2<Ed25519Group>, peer: &[u8]) -> Result<Self, CeremonyError> {
        let mut bytes = spake.finish(peer).map_err(|_| CeremonyError::Malformed)?;
        let key = bytes.as_slice().try_into().map(|key| Self(Zeroizing::new(key)));
        bytes.as_mut_slice().zeroize();
        key.map_err(|_| CeremonyError::Malformed)
    }

    fn mac(&self, label: &[u8], transcript: &Transcript) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&*self.0).expect("HMAC takes keys of any length");
        mac.update(label);
        mac.update(&transcript.0);
        mac
    }

    fn confirm(&self, label: &[u8], transcript: &Transcript) -> [u8; 32] {
        self.mac(label, transcript).finalize().into_bytes().into()
    }

    fn matches(&self, label: &[u8], transcript: &Transcript, confirm: &[u8; 32]) -> bool {
        self.mac(label, transcript).verify_slice(confirm).is_ok()
    }
}

/// `client_fp ‖ host_fp`.
struct Transcript([u8; 64]);

impl Transcript {
    fn new(client: &Fingerprint, host: &Fingerprint) -> Self {
        let mut both = [0; 64];
        both[..32].copy_from_slice(&client.0);
        both[32..].copy_from_slice(&host.0);
        Self(both)
    }
}

const HOST_LABEL: &[u8] = b"punktfunk-pair-host";
const CLIENT_LABEL: &[u8] = b"punktfunk-pair-client";

/// A generator that hands out the caller's random bytes, once.
struct Given {
    bytes: [u8; RANDOM_BYTES],
    used: usize,
}

impl Given {
    const fn new(bytes: [u8; RANDOM_BYTES]) -> Self {
        Self { bytes, used: 0 }
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl RngCore for Given {
    fn next_u32(&mut self) -> u32 {
        rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        rand_core::impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        self.try_fill_bytes(dest).expect("spake2 0.4 draws exactly one scalar of 64 bytes");
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rand_core::Error> {
        let end = self.used + dest.len();
        // Repeating bytes would be a weak scalar, so running dry is an error and never wraps around.
        let bytes = self.bytes.get(self.used..end).ok_or(EXHAUSTED)?;
        dest.copy_from_slice(bytes);
        self.used = end;
        Ok(())
    }
}

const EXHAUSTED: core::num::NonZeroU32 =
    core::num::NonZeroU32::new(rand_core::Error::CUSTOM_START).expect("CUSTOM_START is not zero");

/// The bytes are random because the caller of the ceremony says so.
impl CryptoRng for Given {}
