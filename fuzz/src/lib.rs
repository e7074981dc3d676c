//! Fuzz bodies: one ordinary function per decoder, compiled with every build.
//!
//! Three things call them: libFuzzer (`fuzz_targets/`, nightly, feature `libfuzzer`), the tests (a seeded [`Mutator`]
//! over the files of `corpus/`, a bounded number of rounds on stable), and anybody who has an input that once broke
//! something. A body panics if a decoder does, or if one of its promises is broken:
//!
//! - what a decoder accepts, the encoder writes, and that decodes to the same value;
//! - a stream cut anywhere yields the same frames;
//! - a reassembler delivers what was packetized or nothing, in order, within its limits.

mod gamestream;
mod gamestream_http;
mod library;
mod microphone;
mod mutate;
mod video;

use punktfunk_core::control::ControlMessage;
use punktfunk_core::datagram::{ClientDatagram, HostDatagram};
use punktfunk_core::framing::{FrameReader, control_type};
use punktfunk_core::handshake::{Hello, Start, Welcome};
use punktfunk_core::input::InputEvent;
use punktfunk_core::pairing::{ClientCeremony, HostCeremony, PairMessage};
use punktfunk_core::{Fingerprint, keys};

pub use gamestream::{fuzz_gs_control, fuzz_gs_input, fuzz_gs_rtsp, fuzz_gs_sdp};
pub use gamestream_http::{fuzz_gs_certificate, fuzz_gs_pairing, fuzz_gs_query};
pub use library::fuzz_library;
pub use microphone::fuzz_microphone;
pub use mutate::Mutator;
pub use punktfunk_gamestream::media_ports::fuzz_pings as fuzz_gs_pings;
pub use video::fuzz_video_packets;

/// A fuzz body.
pub type Body = fn(&[u8]);

/// Every body under the name of its corpus folder and of its file in `fuzz_targets/`.
pub const BODIES: &[(&str, Body)] = &[
    ("control", fuzz_control),
    ("handshake", fuzz_handshake),
    ("datagrams", fuzz_datagrams),
    ("microphone", fuzz_microphone),
    ("video_packets", fuzz_video_packets),
    ("pairing", fuzz_pairing),
    ("framing", fuzz_framing),
    ("gs_query", fuzz_gs_query),
    ("gs_certificate", fuzz_gs_certificate),
    ("gs_pairing", fuzz_gs_pairing),
    ("gs_control", fuzz_gs_control),
    ("gs_input", fuzz_gs_input),
    ("gs_rtsp", fuzz_gs_rtsp),
    ("gs_sdp", fuzz_gs_sdp),
    ("gs_pings", fuzz_gs_pings),
    ("library", fuzz_library),
];

/// Checks the promise of every decoder: what it accepts has a canonical form that says the same.
macro_rules! canonical {
    ($t:ty, $bytes:expr) => {{
        let value = <$t>::decode($bytes);
        if let Ok(value) = &value {
            let mut canonical = Vec::new();
            value.encode(&mut canonical);
            assert_eq!(<$t>::decode(&canonical).as_ref(), Ok(value), "canonical form of {:02x?}", $bytes);
        }
        value
    }};
}

/// Control messages after the handshake.
pub fn fuzz_control(data: &[u8]) {
    if let Ok(message) = canonical!(ControlMessage, data) {
        assert_eq!(control_type(data), Some(message.message_type()));
    }
}

/// `Hello`, `Welcome` and `Start`; they are told apart by position, so each decoder sees every input.
pub fn fuzz_handshake(data: &[u8]) {
    let _ = canonical!(Hello, data);
    if let Ok(welcome) = canonical!(Welcome, data) {
        let shown = format!("{welcome:?}");
        assert!(!shown.contains("aes_key") && !shown.contains("salt"), "keys are never shown");
        if welcome.validate().is_ok() {
            assert!(welcome.encrypt && welcome.max_data_per_block > 0 && welcome.shard_payload.is_multiple_of(2));
        }
    }
    if let Ok(start) = canonical!(Start, data)
        && let Some(block) = start.extensions
    {
        let _ = (block.client_label(), block.settings_preset(), block.reads_bitrate_reason(), block.stage_timing());
    }
}

/// QUIC datagrams of both directions.
pub fn fuzz_datagrams(data: &[u8]) {
    if let Ok(datagram) = canonical!(ClientDatagram<'_>, data) {
        let _ = datagram.required_grant();
        if let ClientDatagram::Input(InputEvent::Key { vk, .. }) = datagram
            && let Some(code) = keys::vk_to_evdev(vk)
        {
            assert!(keys::evdev_to_vk(code).is_some());
        }
    }
    let _ = canonical!(HostDatagram<'_>, data);
    let _ = canonical!(InputEvent, data);
}

/// Pairing messages, and a ceremony on either side with whatever they carry. Nobody pairs without the PIN.
pub fn fuzz_pairing(data: &[u8]) {
    let (client, host) = (Fingerprint([0x11; 32]), Fingerprint([0x22; 32]));
    match canonical!(PairMessage, data) {
        Ok(PairMessage::Request { spake_a, .. }) => {
            if let Ok(ceremony) = HostCeremony::respond("4321", &client, &host, &spake_a, [0x64; 64]) {
                assert!(ceremony.verify(&[0; 32]).is_err());
            }
        }
        Ok(PairMessage::Challenge { spake_b, confirm }) => {
            let ceremony = ClientCeremony::start("4321", &client, &host, [0x65; 64]);
            assert!(ceremony.confirm(&spake_b, &confirm).is_err(), "a challenge made without the PIN");
        }
        Ok(PairMessage::Proof { .. } | PairMessage::Result { .. }) | Err(_) => {}
    }
}

/// Control framing: the first byte chooses how the rest is cut.
pub fn fuzz_framing(data: &[u8]) {
    let Some((cut, stream)) = data.split_first() else { return };
    let mut expected = Vec::new();
    let mut rest = stream;
    while let Some((len, after)) = rest.split_first_chunk() {
        let Some((payload, after)) = after.split_at_checked(u16::from_le_bytes(*len).into()) else { break };
        expected.push(payload);
        rest = after;
    }
    let mut reader = FrameReader::new();
    let mut got = 0;
    for piece in stream.chunks(usize::from(*cut).max(1)) {
        reader.push(piece);
        while let Some(frame) = reader.next() {
            assert_eq!(Some(&frame), expected.get(got), "frame {got}");
            got += 1;
        }
    }
    assert_eq!((got, reader.pending()), (expected.len(), rest.len()));
}
