//! Which attempts to connect reach ENet, which has a place for each and keeps it for seconds.

use std::net::IpAddr;

use rusty_enet::{Host, PeerID, PeerState};

use super::wire::{Link, Route};
use crate::rtsp::source;

/// What to do with a datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Judgement {
    Pass,
    Drop,
    /// Pass it, but first give up this place, whose owner has not answered yet.
    Replace(PeerID),
}

/// Judges CONNECT attempts; everything else passes.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// Where the search for a place to give up goes on.
    cursor: usize,
}

impl Gate {
    /// `expects` tells whether a session waits for a client with this connect data at this address.
    pub fn judge(
        &mut self,
        host: &mut Host<Link>,
        route: &Route,
        datagram: &[u8],
        expects: impl FnOnce(u32, IpAddr) -> bool,
    ) -> Judgement {
        let Some(data) = connect_data(datagram) else { return Judgement::Pass };
        let from = source(route.peer.ip());
        let (mut used, mut own) = (0, 0);
        for peer in host.peers().filter(|peer| peer.state() != PeerState::Disconnected) {
            used += 1;
            let Some(other) = peer.address() else { continue };
            if other.peer == route.peer && peer.state() == PeerState::AcknowledgingConnect {
                // It repeats itself; ENet knows it.
                return Judgement::Pass;
            }
            own += usize::from(source(other.peer.ip()) == from);
        }
        if own >= MAX_PER_SOURCE || used >= host.peer_limit() / 2 && !expects(data, route.peer.ip().to_canonical()) {
            return Judgement::Drop;
        }
        if used < host.peer_limit() {
            return Judgement::Pass;
        }
        self.unanswered(host).map_or(Judgement::Drop, Judgement::Replace)
    }

    /// A place whose owner has not shown yet that it receives what we send: who forges addresses never does.
    fn unanswered(&mut self, host: &mut Host<Link>) -> Option<PeerID> {
        let limit = host.peer_limit();
        let found = (0..limit)
            .map(|n| PeerID((self.cursor + n) % limit))
            .find(|id| host.get_peer(*id).is_some_and(|peer| peer.state() == PeerState::AcknowledgingConnect))?;
        self.cursor = (found.0 + 1) % limit;
        Some(found)
    }
}

/// The connect data, if this is an attempt to connect: peer id 0xFFF, then command CONNECT of 48 bytes, whose last field
/// it is (gamestream.md §6.1).
fn connect_data(datagram: &[u8]) -> Option<u32> {
    let (id, rest) = datagram.split_first_chunk()?;
    let id = u16::from_be_bytes(*id);
    if id & 0x0fff != 0x0fff {
        return None;
    }
    let command = if id & SENT_TIME != 0 { rest.get(2..)? } else { rest };
    let data = command.get(..CONNECT_BYTES)?.last_chunk()?;
    Some(u32::from_be_bytes(*data))
}

/// Clients behind one address: more than anybody plays at once, and far less than there are places.
const MAX_PER_SOURCE: usize = 16;
/// The datagram's header goes on with the time when it was sent.
const SENT_TIME: u16 = 0x8000;
const CONNECT_BYTES: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connect_data_is_read_where_the_stock_client_writes_it() {
        let hex = "8fff414d82ff00010000ffff000003840001000000000030000000000000000000001388000000020000000\
                   2b205554389abcdef";
        let bytes: Vec<u8> =
            (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect();
        assert_eq!(connect_data(&bytes), Some(0x89ab_cdef));
        for len in 0..bytes.len() {
            assert_eq!(connect_data(&bytes[..len]), None);
        }
        let mut known = bytes;
        known[0] = 0x80;
        known[1] = 0;
        assert_eq!(connect_data(&known), None, "a datagram of a peer that has a place");
    }
}
