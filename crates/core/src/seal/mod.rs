//! Sealing and opening of video packets (punktfunk1.md §5.1).
//!
//! One [`Sealer`] per session and direction owns the sequence: every packet of the session, video and probe alike, on
//! whatever thread, passes through it once, so a nonce cannot repeat. One [`Opener`] per direction checks the tag
//! first and the replay window second.

mod replay;
pub mod scalar;

use alloc::boxed::Box;

pub use replay::{REPLAY_WINDOW, ReplayWindow};

use crate::packet::{SEALED_OVERHEAD, SEQUENCE_BYTES, TAG_BYTES};

/// The 16-byte authentication tag.
pub type AeadTag = [u8; TAG_BYTES];

/// An AEAD with its key inside. Implementations neither allocate nor block in these calls.
pub trait Aead: Send {
    /// Encrypts `in_out` in place and returns the tag. The caller never repeats a nonce.
    fn seal(&self, nonce: &[u8; 12], aad: &[u8], in_out: &mut [u8]) -> AeadTag;

    /// Checks `tag` and decrypts `sealed` = ciphertext ‖ tag in place: afterwards everything but the last 16 bytes is
    /// plaintext, and those are unspecified.
    ///
    /// # Errors
    /// [`OpenError::TooShort`] where there is no room for a tag, [`OpenError::Forged`] where the tag does not match;
    /// `sealed` is then unspecified and must not be used.
    fn open(&self, nonce: &[u8; 12], aad: &[u8], sealed: &mut [u8]) -> Result<(), OpenError>;
}

/// Why a packet was not opened. All of them are dropped in silence: any stranger can send a datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OpenError {
    /// Shorter than sequence and tag.
    #[error("packet of {0} bytes is too short to be sealed")]
    TooShort(usize),
    /// The tag does not match: not ours, or damaged.
    #[error("packet does not authenticate")]
    Forged,
    /// Authentic, but seen before or older than the replay window.
    #[error("packet {0} is a replay or too old")]
    Replayed(u64),
}

/// Which way a packet travels. Both ways share one key; the top bit of the salt keeps their nonces apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// Top bit of the salt cleared.
    HostToClient,
    /// Top bit of the salt set.
    ClientToHost,
}

impl Direction {
    /// The session salt with this direction's bit.
    #[must_use]
    pub const fn salt(self, mut session: [u8; 4]) -> [u8; 4] {
        session[0] = match self {
            Self::HostToClient => session[0] & 0x7F,
            Self::ClientToHost => session[0] | 0x80,
        };
        session
    }
}

/// `dir_salt ‖ sequence`.
fn nonce(salt: [u8; 4], sequence: [u8; SEQUENCE_BYTES]) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[..4].copy_from_slice(&salt);
    nonce[4..].copy_from_slice(&sequence);
    nonce
}

/// Seals packets of one direction and owns their sequence.
pub struct Sealer {
    aead: Box<dyn Aead>,
    salt: [u8; 4],
    next: u64,
}

impl Sealer {
    /// A sealer whose first packet gets sequence 0. `salt` is the session's, without the direction bit.
    #[must_use]
    pub fn new(aead: Box<dyn Aead>, salt: [u8; 4], direction: Direction) -> Self {
        Self { aead, salt: direction.salt(salt), next: 0 }
    }

    /// Seals `packet` = 8 bytes for the sequence ‖ plaintext ‖ 16 bytes for the tag, in place, and returns the sequence.
    ///
    /// # Panics
    /// If `packet` is shorter than [`SEALED_OVERHEAD`], or after 2^64 packets: both are bugs of the caller.
    pub fn seal_packet(&mut self, packet: &mut [u8]) -> u64 {
        let sequence = self.next;
        // 2^64 packets do not happen (at a billion a second, 584 years); repeating a nonce would be worse than stopping.
        self.next = sequence.checked_add(1).expect("packet sequence exhausted");
        let prefix = sequence.to_be_bytes();
        let (head, rest) = packet.split_at_mut(SEQUENCE_BYTES);
        let (plaintext, tag) = rest.split_at_mut(rest.len() - TAG_BYTES);
        head.copy_from_slice(&prefix);
        tag.copy_from_slice(&self.aead.seal(&nonce(self.salt, prefix), &prefix, plaintext));
        sequence
    }

    /// Packets sealed so far, which is also the next sequence.
    #[must_use]
    pub const fn sealed(&self) -> u64 {
        self.next
    }
}

impl core::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Sealer").field("next", &self.next).finish_non_exhaustive()
    }
}

/// Opens packets of one direction.
pub struct Opener {
    aead: Box<dyn Aead>,
    salt: [u8; 4],
    window: ReplayWindow,
    accepted: u64,
}

impl Opener {
    /// An opener that takes any sequence first. `salt` is the session's, without the direction bit.
    #[must_use]
    pub fn new(aead: Box<dyn Aead>, salt: [u8; 4], direction: Direction) -> Self {
        Self { aead, salt: direction.salt(salt), window: ReplayWindow::new(), accepted: 0 }
    }

    /// Opens a wire packet in place and returns its plaintext (header and shard).
    ///
    /// # Errors
    /// See [`OpenError`]; the packet is to be dropped and its bytes are then unspecified.
    pub fn open<'p>(&mut self, packet: &'p mut [u8]) -> Result<&'p mut [u8], OpenError> {
        if packet.len() < SEALED_OVERHEAD {
            return Err(OpenError::TooShort(packet.len()));
        }
        let (head, sealed) = packet.split_at_mut(SEQUENCE_BYTES);
        let mut prefix = [0; SEQUENCE_BYTES];
        prefix.copy_from_slice(head);
        let sequence = u64::from_be_bytes(prefix);
        // A replay costs one lookup instead of a decryption. The window only moves for authentic packets, below.
        if !self.window.is_fresh(sequence) {
            return Err(OpenError::Replayed(sequence));
        }
        self.aead.open(&nonce(self.salt, prefix), &prefix, sealed)?;
        self.window.accept(sequence);
        self.accepted += 1;
        let plaintext = sealed.len() - TAG_BYTES;
        Ok(&mut sealed[..plaintext])
    }

    /// Packets accepted so far.
    #[must_use]
    pub const fn accepted(&self) -> u64 {
        self.accepted
    }

    /// The highest sequence accepted so far. As sequences have no holes at the sender, the growth of this minus the
    /// growth of [`Opener::accepted`] is the number of packets that the network still owes.
    #[must_use]
    pub const fn highest(&self) -> Option<u64> {
        self.window.highest()
    }
}

impl core::fmt::Debug for Opener {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Opener").field("accepted", &self.accepted).finish_non_exhaustive()
    }
}
