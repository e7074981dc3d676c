//! Bodies for what GameStream clients send: RTSP, SDP, the control stream past its encryption, input. Their seeds are the
//! recordings of `planes/gamestream/tests/vectors`.

use std::collections::HashSet;

use punktfunk_core::datagram::RichInput;
use punktfunk_core::input::{InputEvent, MAX_PADS};
use punktfunk_gamestream::input::{Decoded, InputDecoder};
use punktfunk_gamestream::wire::Side;
use punktfunk_gamestream::wire::control::{ClientMessage, ControlCipher, MAX_TEXT_BYTES};
use punktfunk_gamestream::wire::feedback::HostMessage;
use punktfunk_gamestream::wire::rtsp::{Arrived, Inbox, Request, RtspCipher};
use punktfunk_gamestream::wire::sdp;

/// An RTSP connection: however it is cut, the same request arrives.
pub fn fuzz_gs_rtsp(data: &[u8]) {
    let whole = arrived(data, data.len().max(1));
    for piece in [1, 7] {
        // In pieces, what follows a request is never read; whole, it may make the message too large.
        let cut = arrived(data, piece);
        assert!(cut == whole || matches!(whole, Some(Err(()))), "in pieces of {piece}");
    }
    if let Some(Ok(message)) = whole {
        if let Ok(request) = Request::parse(&message) {
            assert!(message.ends_with(request.body) && !request.cseq.is_empty());
        }
        let _ = RtspCipher::new(&[7; 16]).open(Side::Client, &message);
    }
}

/// The message that arrived, or that none ever will.
fn arrived(data: &[u8], piece: usize) -> Option<Result<Vec<u8>, ()>> {
    let mut inbox = Inbox::default();
    for piece in data.chunks(piece) {
        if inbox.push(piece).is_err() {
            return Some(Err(()));
        }
        match inbox.arrived() {
            Ok(None) => {}
            Ok(Some(Arrived::Plain(message) | Arrived::Sealed(message))) => return Some(Ok(message.to_vec())),
            Err(_) => return Some(Err(())),
        }
    }
    None
}

/// The body of ANNOUNCE: what is accepted can be served.
pub fn fuzz_gs_sdp(data: &[u8]) {
    if let Ok(announce) = sdp::announce(data, true) {
        assert!((16..=8192).contains(&announce.width) && (16..=8192).contains(&announce.height));
        assert!(announce.fps > 0 && announce.packet_size.is_multiple_of(16) && announce.packet_size >= 128);
        assert!(matches!((announce.channels, announce.channel_mask), (2, 3) | (6, 0x3f) | (8, 0x63f)));
        assert!(announce.maximum_kbps > 0 || announce.configured_kbps > 0);
    }
    if let Ok(text) = std::str::from_utf8(data)
        && sdp::is_layout(text)
    {
        assert!(matches!(text.len(), 9 | 11));
    }
}

/// Control messages of both sides, sealed and open.
pub fn fuzz_gs_control(data: &[u8]) {
    let mut coded = Vec::new();
    if let Ok(message) = ClientMessage::decode(data) {
        message.encode(&mut coded);
        assert_eq!(ClientMessage::decode(&coded), Ok(message));
    }
    if let Ok(Some(message)) = HostMessage::decode(data) {
        coded.clear();
        message.encode(&mut coded);
        assert_eq!(HostMessage::decode(&coded), Ok(Some(message)));
    }
    for v2 in [true, false] {
        let cipher = ControlCipher::new(&[7; 16], v2);
        let (mut packet, mut scratch) = (Vec::new(), Vec::new());
        assert!(cipher.open(Side::Client, data, &mut scratch).is_err(), "a forgery");
        let text = &data[..data.len().min(MAX_TEXT_BYTES)];
        cipher.seal(Side::Client, 3, text, &mut packet);
        assert_eq!(cipher.open(Side::Client, &packet, &mut scratch), Ok((3, text)));
    }
}

/// Input packets of one session, each after a byte with its length.
pub fn fuzz_gs_input(data: &[u8]) {
    let mut decoder = InputDecoder::new();
    let (mut keys, mut fingers, mut pads) = (HashSet::new(), HashSet::new(), HashSet::new());
    let mut rest = data;
    while let Some((len, after)) = rest.split_first() {
        let (packet, after) = after.split_at(after.len().min((*len).into()));
        rest = after;
        let mut out = Vec::new();
        let taken = decoder.packet(packet, |decoded| out.push(decoded));
        assert!(taken.is_ok() || out.is_empty());
        for decoded in out {
            match decoded {
                Decoded::Event(InputEvent::Key { vk, down }) => {
                    assert!(if down { keys.insert(vk) } else { keys.remove(&vk) }, "only changes come out");
                }
                Decoded::Event(InputEvent::TouchDown(contact)) => assert!(fingers.insert(contact.id)),
                Decoded::Event(InputEvent::TouchMove(contact)) => assert!(fingers.contains(&contact.id)),
                Decoded::Event(InputEvent::TouchUp { id }) => assert!(fingers.remove(&id)),
                Decoded::Event(InputEvent::GamepadArrival { pad, .. }) => assert!(pad < MAX_PADS && pads.insert(pad)),
                Decoded::Event(InputEvent::GamepadState(state)) => assert!(pads.contains(&state.pad)),
                Decoded::Event(InputEvent::GamepadRemove { pad, .. }) => assert!(pads.remove(&pad)),
                Decoded::Event(InputEvent::MouseMoveAbs { x, y, ref_width, ref_height }) => {
                    assert!((0..ref_width.into()).contains(&x) && (0..ref_height.into()).contains(&y));
                }
                Decoded::Event(event) => {
                    let mut coded = Vec::new();
                    event.encode(&mut coded);
                    assert_eq!(InputEvent::decode(&coded), Ok(event));
                }
                Decoded::Rich(RichInput::Touchpad { pad, .. } | RichInput::Motion { pad, .. }) => {
                    assert!(pads.contains(&pad));
                }
                Decoded::Rich(_) | Decoded::PadArrival(_) | Decoded::Battery(_) | Decoded::Haptics { .. } => {}
            }
        }
        assert!(fingers.len() <= 16);
    }
}
