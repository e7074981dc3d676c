//! What clients send to the ports of video and sound (gamestream.md §8.1): where their streams shall go.

/// A client's ping.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ping {
    /// The session's sixteen characters.
    Tagged {
        /// What `X-SS-Ping-Payload` told.
        payload: [u8; 16],
        /// Counts up from 1.
        counter: u32,
    },
    /// `PING` of clients that know no payload; the sender's address must do.
    Legacy,
}

impl Ping {
    /// Reads a datagram; `None` for everything that is no ping.
    #[must_use]
    pub fn decode(datagram: &[u8]) -> Option<Self> {
        if datagram == LEGACY {
            return Some(Self::Legacy);
        }
        let (payload, rest) = datagram.split_first_chunk()?;
        let counter = rest.try_into().map(u32::from_be_bytes).ok()?;
        Some(Self::Tagged { payload: *payload, counter })
    }

    /// Appends it as a client sends it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Tagged { payload, counter } => {
                out.extend_from_slice(payload);
                out.extend_from_slice(&counter.to_be_bytes());
            }
            Self::Legacy => out.extend_from_slice(LEGACY),
        }
    }
}

/// The longest ping.
pub const MAX_PING_BYTES: usize = 20;
const LEGACY: &[u8] = b"PING";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_pings_are_pings() {
        assert_eq!(Ping::decode(b"PING"), Some(Ping::Legacy));
        let tagged = Ping::Tagged { payload: *b"0123456789ABCDEF", counter: 0x0102 };
        assert_eq!(Ping::decode(b"0123456789ABCDEF\0\0\x01\x02"), Some(tagged));
        for junk in [&b""[..], b"PIN", b"PINGS", b"0123456789ABCDEF", b"0123456789ABCDEF\0\0\x01\x02\0", &[0; 1500]] {
            assert_eq!(Ping::decode(junk), None);
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_the_same(datagram in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Some(ping) = Ping::decode(&datagram) {
                let mut written = Vec::new();
                ping.encode(&mut written);
                prop_assert_eq!(written, datagram);
            }
        }
    }
}
