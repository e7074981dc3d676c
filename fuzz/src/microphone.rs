//! A client's microphone: from the datagram through the jitter buffer to libopus.

use punktfunk_audio::OpusCodec;
use punktfunk_core::Timestamp;
use punktfunk_core::datagram::ClientDatagram;
use punktfunk_core::voice::{Play, VoiceBuffer};
use punktfunk_media::AudioCodec;

/// `(length u16 LE ‖ after_ms u8 ‖ datagram)…`: what is no microphone's datagram is skipped as the host does. Between
/// datagrams a loudspeaker asks every 5 ms, urgently every other time.
pub fn fuzz_microphone(data: &[u8]) {
    let mut decoder = OpusCodec.voice_decoder().expect("libopus gives a decoder");
    let (mut buffer, mut now, mut out, mut block) = (VoiceBuffer::new(), 0u64, Vec::new(), vec![0.0; 5760]);
    let mut rest = data;
    while let Some(([low, high, after_ms], more)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(more.len());
        let (datagram, following) = more.split_at(length);
        rest = following;
        if let Ok(ClientDatagram::Mic { seq, pts_ns, opus }) = ClientDatagram::decode(datagram) {
            buffer.push(Timestamp(now), seq, pts_ns, opus);
        }
        for step in 0..u64::from(*after_ms) / 5 + 1 {
            let at = Timestamp(now + step * 5_000_000);
            let decoded = match buffer.pull(at, step % 2 == 0, &mut out) {
                Play::Packet { .. } => decoder.decode(Some(&out), &mut block),
                Play::Recover { samples } => decoder.recover(&out, &mut block[..samples as usize]),
                Play::Conceal { samples } => decoder.decode(None, &mut block[..samples as usize]),
                Play::Silence { samples } => Ok(samples as usize),
                Play::Wait(until) => {
                    assert!(until.is_none_or(|until| until > at), "waiting for the past");
                    break;
                }
            };
            if let Ok(samples) = decoded {
                assert!(samples <= block.len() && block[..samples].iter().all(|s| !s.is_nan()));
            }
        }
        now += u64::from(*after_ms) * 1_000_000;
    }
    let counts = buffer.counts();
    let ended = counts.played + counts.late + counts.repeated + counts.invalid + counts.skipped;
    assert!(ended <= counts.packets && counts.packets - ended <= 64, "{counts:?}");
}
