//! Whose ping is it?

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use punktfunk_net::udp::Path;

use super::SessionTag;
use super::seat::Seat;
use crate::wire::ping::Ping;

/// A port, and what flows from it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Stream {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
}

impl Stream {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Audio => "audio",
        }
    }
}

/// What a datagram turned out to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Heard {
    /// Nothing of ours, or a repetition of an older ping from elsewhere.
    Junk,
    /// The first ping of a session at this port.
    First,
    /// Another one from where the last one came from.
    Again,
    /// One from elsewhere: the stream goes there from now on.
    Moved,
}

/// The sessions that expect pings.
#[derive(Debug, Default)]
pub(super) struct PingTable {
    seats: Mutex<HashMap<[u8; 16], Arc<Seat>>>,
}

impl PingTable {
    pub fn add(&self, seat: &Arc<Seat>) {
        self.lock().insert(seat.tag.ping, Arc::clone(seat));
    }

    /// Forgets this seat; another one under the same payload stays.
    pub fn remove(&self, seat: &Arc<Seat>) {
        let mut seats = self.lock();
        if seats.get(&seat.tag.ping).is_some_and(|known| Arc::ptr_eq(known, seat)) {
            seats.remove(&seat.tag.ping);
        }
    }

    /// Takes what arrived at the port of `stream`.
    pub fn hear(&self, stream: Stream, datagram: &[u8], path: Path) -> Heard {
        match Ping::decode(datagram) {
            Some(Ping::Tagged { payload, counter }) => {
                let seat = self.lock().get(&payload).map(Arc::clone);
                seat.map_or(Heard::Junk, |seat| seat.hear_tagged(stream, counter, path))
            }
            Some(Ping::Legacy) => {
                let seat = self.legacy_seat(stream, path);
                seat.map_or(Heard::Junk, |seat| seat.hear_legacy(stream, path))
            }
            None => Heard::Junk,
        }
    }

    /// The session of a client that only its address tells: the one that lives there already; else one that still waits
    /// for its first ping; else the one that moved, if there is no doubt which.
    fn legacy_seat(&self, stream: Stream, path: Path) -> Option<Arc<Seat>> {
        let seats = self.lock();
        let here = || seats.values().filter(|s| s.tag.legacy && s.tag.peer.to_canonical() == path.peer.ip());
        let at = |seat: &Seat| seat.path(stream).map(|known| known.peer);
        let known = here().find(|seat| at(seat) == Some(path.peer));
        let known = known.or_else(|| here().find(|seat| at(seat).is_none()));
        known.or_else(|| here().next().filter(|_| here().count() == 1)).map(Arc::clone)
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 16], Arc<Seat>>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Fuzz body: whatever strangers send to the ports, a stream goes only where a ping with its session's own payload and
/// a new counter came from, or, of a client that knows no payload, a bare ping from its own address.
pub fn fuzz_pings(data: &[u8]) {
    let table = PingTable::default();
    let seats = [(*b"AAAAAAAAAAAAAAAA", false), (*b"BBBBBBBBBBBBBBBB", true), (*b"CCCCCCCCCCCCCCCC", true)];
    let seats = seats.map(|(ping, legacy)| {
        let tag = SessionTag { ping, legacy, peer: FUZZ_CLIENT.into(), mark_video: false, mark_audio: false };
        let seat = Arc::new(Seat::new(&tag));
        table.add(&seat);
        seat
    });
    let mut rest = data;
    // Records: port and source in one byte, the length in the next, then the datagram.
    while let Some(([place, len], after)) = rest.split_first_chunk() {
        let (datagram, after) = after.split_at(usize::from(*len).min(after.len()));
        rest = after;
        let stream = if place & 1 == 0 { Stream::Video } else { Stream::Audio };
        let ip = if place & 2 == 0 { FUZZ_CLIENT } else { [10, 0, 0, 6] };
        let path = Path { peer: (ip, u16::from(place >> 2)).into(), local: None };
        let before = seats.each_ref().map(|seat| seat.path(stream));
        let heard = table.hear(stream, datagram, path);
        let after = seats.each_ref().map(|seat| seat.path(stream));
        let changed = (0..seats.len()).filter(|i| before[*i] != after[*i]).collect::<Vec<_>>();
        assert_eq!(changed.len(), usize::from(matches!(heard, Heard::First | Heard::Moved)));
        for i in changed {
            assert_eq!(after[i], Some(path));
            match Ping::decode(datagram) {
                Some(Ping::Tagged { payload, .. }) => assert_eq!(payload, seats[i].tag.ping),
                Some(Ping::Legacy) => assert!(seats[i].tag.legacy && ip == FUZZ_CLIENT),
                None => panic!("{datagram:02x?} moved a stream"),
            }
        }
    }
}

const FUZZ_CLIENT: [u8; 4] = [10, 0, 0, 5];

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::*;

    fn seat(table: &PingTable, ping: &[u8; 16], legacy: bool, peer: &str) -> Arc<Seat> {
        let peer = peer.parse().expect("an address");
        let tag = SessionTag { ping: *ping, legacy, peer, mark_video: false, mark_audio: false };
        let seat = Arc::new(Seat::new(&tag));
        table.add(&seat);
        seat
    }

    fn path(peer: &str) -> Path {
        Path { peer: peer.parse().expect("an address"), local: Some(IpAddr::from([10, 0, 0, 1])) }
    }

    fn tagged(payload: &[u8; 16], counter: u32) -> Vec<u8> {
        let mut out = Vec::new();
        Ping::Tagged { payload: *payload, counter }.encode(&mut out);
        out
    }

    const A: &[u8; 16] = b"AAAAAAAAAAAAAAAA";
    const B: &[u8; 16] = b"BBBBBBBBBBBBBBBB";

    #[test]
    fn a_payload_finds_its_session_wherever_it_comes_from() {
        let table = PingTable::default();
        let (a, b) = (seat(&table, A, false, "10.0.0.5"), seat(&table, B, false, "10.0.0.5"));
        let hear = |payload, counter, from: &str| table.hear(Stream::Video, &tagged(payload, counter), path(from));
        assert_eq!(hear(A, 1, "10.0.0.5:1000"), Heard::First);
        assert_eq!(hear(A, 2, "10.0.0.5:1000"), Heard::Again);
        assert_eq!(hear(B, 1, "10.9.9.9:1000"), Heard::First);
        assert_eq!(hear(b"CCCCCCCCCCCCCCCC", 1, "10.0.0.5:1000"), Heard::Junk);
        assert_eq!(a.path(Stream::Video), Some(path("10.0.0.5:1000")));
        assert_eq!(a.path(Stream::Audio), None, "each port on its own");
        // The NAT chose another port; a recording of older pings does not steal the stream.
        assert_eq!(hear(A, 3, "10.0.0.5:2000"), Heard::Moved);
        assert_eq!(hear(A, 3, "10.6.6.6:666"), Heard::Junk);
        assert_eq!(hear(A, 1, "10.6.6.6:666"), Heard::Junk);
        assert_eq!(a.path(Stream::Video), Some(path("10.0.0.5:2000")));
        assert_eq!(b.path(Stream::Video), Some(path("10.9.9.9:1000")));
        table.remove(&a);
        assert_eq!(hear(A, 9, "10.0.0.5:2000"), Heard::Junk);
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn a_bare_ping_counts_only_for_clients_that_know_no_better() {
        let table = PingTable::default();
        let hear = |from: &str| table.hear(Stream::Audio, b"PING", path(from));
        let _modern = seat(&table, A, false, "10.0.0.5");
        assert_eq!(hear("10.0.0.5:1"), Heard::Junk);
        let old = seat(&table, B, true, "::ffff:10.0.0.5");
        assert_eq!(hear("10.0.0.6:1"), Heard::Junk);
        assert_eq!(hear("10.0.0.5:1"), Heard::First);
        assert_eq!(hear("10.0.0.5:1"), Heard::Again);
        assert_eq!(hear("10.0.0.5:2"), Heard::Moved);
        // A second one behind the same address: the newcomer takes the ping that nobody else knows, then both are known.
        let second = seat(&table, b"CCCCCCCCCCCCCCCC", true, "10.0.0.5");
        assert_eq!(hear("10.0.0.5:3"), Heard::First);
        assert_eq!(hear("10.0.0.5:2"), Heard::Again);
        assert_eq!(hear("10.0.0.5:4"), Heard::Junk, "whose?");
        assert_eq!(old.path(Stream::Audio), Some(path("10.0.0.5:2")));
        assert_eq!(second.path(Stream::Audio), Some(path("10.0.0.5:3")));
    }

    proptest! {
        #[test]
        fn no_stranger_moves_a_stream(
            records in proptest::collection::vec((any::<u8>(), 0_usize..4, any::<u32>(), any::<Vec<u8>>()), 0..40),
        ) {
            let mut data = Vec::new();
            for (place, kind, counter, junk) in records {
                let mut datagram = Vec::new();
                match kind {
                    0 => Ping::Legacy.encode(&mut datagram),
                    1 => Ping::Tagged { payload: *A, counter: counter % 8 }.encode(&mut datagram),
                    2 => Ping::Tagged { payload: *B, counter: counter % 8 }.encode(&mut datagram),
                    _ => datagram.extend(junk.iter().take(255)),
                }
                data.extend([place, datagram.len() as u8]);
                data.extend(datagram);
            }
            fuzz_pings(&data);
        }
    }
}
