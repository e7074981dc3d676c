//! For every message of the wire: it survives the round trip; damaged bytes never panic; and whatever a decoder accepts,
//! the encoder writes in a form that decodes to the same value (the canonical one).

#[path = "support/strategies.rs"]
mod strategies;

use proptest::collection::vec;
use proptest::prelude::*;
use punktfunk_core::control::ControlMessage;
use punktfunk_core::datagram::{ClientDatagram, HostDatagram};
use punktfunk_core::framing::{FrameReader, control_type, write_frame};
use punktfunk_core::handshake::{Hello, Start, Welcome};
use punktfunk_core::input::InputEvent;
use punktfunk_core::pairing::PairMessage;
use strategies::Damage;

/// The three properties of one decoder, checked for one value and one damage.
macro_rules! check {
    ($value:expr, $damage:expr, $t:ty) => {{
        let (value, damage): ($t, &Damage) = ($value, $damage);
        let bytes = encoded!(value);
        prop_assert_eq!(&<$t>::decode(&bytes), &Ok(value));
        canonical!(&damage.apply(bytes), $t);
    }};
}

macro_rules! encoded {
    ($value:expr) => {{
        let mut bytes = vec![0xee];
        $value.encode(&mut bytes);
        prop_assert_eq!(bytes.remove(0), 0xee, "encode appends");
        bytes
    }};
}

macro_rules! canonical {
    ($bytes:expr, $t:ty) => {{
        let bytes: &[u8] = $bytes;
        if let Ok(value) = <$t>::decode(bytes) {
            let canonical = encoded!(value);
            let again = <$t>::decode(&canonical);
            prop_assert_eq!(again.as_ref(), Ok(&value), "from {:02x?}", bytes);
        }
    }};
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn hello(value in strategies::hello(), damage in strategies::damage()) {
        check!(value, &damage, Hello);
    }

    #[test]
    fn welcome(value in strategies::welcome(), damage in strategies::damage()) {
        check!(value, &damage, Welcome);
    }

    #[test]
    fn start(value in strategies::start(), damage in strategies::damage()) {
        check!(value, &damage, Start);
    }

    #[test]
    fn control(value in strategies::control(), damage in strategies::damage()) {
        let bytes = encoded!(value);
        prop_assert_eq!(control_type(&bytes), Some(value.message_type()));
        prop_assert!(bytes.len() <= punktfunk_core::framing::MAX_PAYLOAD);
        check!(value, &damage, ControlMessage);
    }

    #[test]
    fn pairing(value in strategies::pair(), damage in strategies::damage()) {
        check!(value, &damage, PairMessage);
    }

    #[test]
    fn input(value in strategies::input(), damage in strategies::damage()) {
        check!(value, &damage, InputEvent);
        check!(ClientDatagram::Input(value), &damage, ClientDatagram<'_>);
    }

    #[test]
    fn rich_input(value in strategies::rich(), damage in strategies::damage()) {
        check!(ClientDatagram::Rich(value), &damage, ClientDatagram<'_>);
    }

    #[test]
    fn sound(
        (seq, pts_ns) in any::<(u32, u64)>(),
        a in vec(any::<u8>(), 0..200),
        b in vec(any::<u8>(), 0..200),
        (pad, kind) in strategies::pad_audio(),
        damage in strategies::damage(),
    ) {
        check!(ClientDatagram::Mic { seq, pts_ns, opus: &a }, &damage, ClientDatagram<'_>);
        check!(HostDatagram::Audio { seq, pts_ns, opus: &a }, &damage, HostDatagram<'_>);
        check!(HostDatagram::AudioRed { seq, pts_ns, primary: &a, previous: &b }, &damage, HostDatagram<'_>);
        check!(HostDatagram::Pcm { seq, pts_ns, samples: &a }, &damage, HostDatagram<'_>);
        check!(HostDatagram::PadAudio { pad, kind, seq, pts_ns, opus: &a }, &damage, HostDatagram<'_>);
    }

    #[test]
    fn feedback(
        rumble in strategies::rumble(),
        hid in strategies::hid_output(),
        hdr in strategies::hdr(),
        timing in strategies::host_timing(),
        (serial, visible, grabbed, x, y) in any::<(u32, bool, bool, i32, i32)>(),
        damage in strategies::damage(),
    ) {
        check!(HostDatagram::Rumble(rumble), &damage, HostDatagram<'_>);
        check!(HostDatagram::HidOutput(hid), &damage, HostDatagram<'_>);
        check!(HostDatagram::HdrMeta(hdr), &damage, HostDatagram<'_>);
        check!(HostDatagram::HostTiming(timing), &damage, HostDatagram<'_>);
        check!(HostDatagram::CursorPosition { serial, visible, grabbed, x, y }, &damage, HostDatagram<'_>);
    }

    /// Bytes that no encoder wrote, with the first bytes a decoder looks for.
    #[test]
    fn noise(head in prop_oneof![Just(b"PKF1".to_vec()), Just(b"PKFc".to_vec()), Just(vec![])],
             kind in any::<u8>(), tail in vec(any::<u8>(), 0..160)) {
        let bytes = [head, vec![kind], tail].concat();
        canonical!(&bytes, Hello);
        canonical!(&bytes, Welcome);
        canonical!(&bytes, Start);
        canonical!(&bytes, ControlMessage);
        canonical!(&bytes, PairMessage);
        canonical!(&bytes, InputEvent);
        canonical!(&bytes, ClientDatagram<'_>);
        canonical!(&bytes, HostDatagram<'_>);
    }

    /// A stream cut anywhere yields the same frames.
    #[test]
    fn framing(payloads in vec(vec(any::<u8>(), 0..300), 0..8), cuts in vec(1usize..40, 1..40)) {
        let mut stream = Vec::new();
        payloads.iter().for_each(|p| write_frame(p, &mut stream).unwrap());
        let (mut reader, mut rest, mut got) = (FrameReader::new(), stream.as_slice(), Vec::new());
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            reader.push(piece);
            rest = after;
            while let Some(frame) = reader.next() {
                got.push(frame.to_vec());
            }
        }
        prop_assert_eq!(got, payloads);
        prop_assert_eq!(reader.pending(), 0);
    }
}
