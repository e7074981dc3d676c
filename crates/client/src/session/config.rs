//! What a session asks for.

use punktfunk_core::handshake::{ClientCaps, Hello, MAX_SHARD_PAYLOAD, VideoCaps};
use punktfunk_core::{Codec, CodecSet, Mode};

/// What a session asks for. Start from [`Self::new`] and change what you need.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// The first message. `bitrate_kbps` 0 switches adaptive bitrate on.
    pub hello: Hello,
    /// A label for the host's log, with the extension block of `Start`.
    pub label: Option<String>,
    /// In automatic mode: fire one speed test two seconds into the session, whose result becomes the ceiling. Without
    /// it the host's start rate is the ceiling.
    pub probe_in_automatic: bool,
    /// The decoder goes on after a gap once a picture refers only to what it has (an anchor). False for decoders that
    /// insist on a keyframe after any gap, such as OpenH264's: then keyframes are asked for instead of invalidations.
    pub decoder_bridges_gaps: bool,
}

impl SessionConfig {
    /// Asks for `mode` with `codecs`, the preferred one among them if any, and everything this receiver can do.
    #[must_use]
    pub fn new(mode: Mode, codecs: CodecSet, preferred: Option<Codec>) -> Self {
        let mut hello = Hello::new(mode);
        hello.video_codecs = codecs;
        hello.preferred_codec = preferred.map_or(CodecSet::default(), CodecSet::only);
        hello.video_caps =
            VideoCaps::HOST_TIMING | VideoCaps::PROBE_SEQ | VideoCaps::STREAMED_AU | VideoCaps::MULTI_SLICE;
        hello.client_caps = ClientCaps::EXT | ClientCaps::AUDIO_RED;
        hello.max_shard_payload = MAX_SHARD_PAYLOAD;
        Self { hello, label: None, probe_in_automatic: true, decoder_bridges_gaps: true }
    }
}
