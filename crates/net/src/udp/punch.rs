//! Hole punching (punktfunk1.md §5.9): eight plaintext bytes from the client open the NAT and show its address.

/// What a client sends to the host's data port, every 200 ms at first and every 2 s for the whole session.
pub const PUNCH: &[u8; 8] = b"PFpunch1";

/// Whether a datagram is a punch: it starts with the eight bytes.
#[must_use]
pub fn is_punch(datagram: &[u8]) -> bool {
    datagram.starts_with(PUNCH)
}
