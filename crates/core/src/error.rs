//! What can be wrong with bytes that a peer sent.

/// Why a message, datagram or packet was not understood. Always the peer's doing: the caller drops the message, or ends
/// the handshake where the protocol says so (punktfunk1.md §3.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end before the field does.
    #[error("truncated: {needed} bytes needed, {got} there")]
    Truncated {
        /// Bytes that the field needs.
        needed: usize,
        /// Bytes that are left.
        got: usize,
    },
    /// The first four bytes name another family of messages.
    #[error("wrong magic")]
    BadMagic,
    /// The message has a fixed length and this is not it.
    #[error("wrong length: {expected} bytes expected, {got} there")]
    WrongLength {
        /// The length that the layout prescribes.
        expected: usize,
        /// The length of what came.
        got: usize,
    },
    /// A type, tag or kind byte that this decoder has no layout for. Ignoring it is the forward-compatibility rule.
    #[error("unknown type {0:#04x}")]
    UnknownType(u8),
    /// A field holds a value that its layout does not allow; the text names field and rule.
    #[error("invalid {0}")]
    Invalid(&'static str),
}
