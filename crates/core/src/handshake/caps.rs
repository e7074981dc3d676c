//! Capability bits (punktfunk1.md §3.8).

use crate::wire::bit_set;

bit_set! {
    /// `Hello.video_caps`.
    VideoCaps: u8 {
        /// The decoder handles Main10; alone it means 10-bit SDR.
        TEN_BIT = 0x01,
        /// The client presents BT.2020 PQ; sent together with [`Self::TEN_BIT`].
        HDR = 0x02,
        /// The decoder handles HEVC 4:4:4 and the user asked for it.
        YUV444 = 0x04,
        /// Send datagram 0xCF.
        HOST_TIMING = 0x08,
        /// Probe filler may use its own frame-index space; without it probes get an all-zero result.
        PROBE_SEQ = 0x10,
        /// The receiver accepts streamed access units.
        STREAMED_AU = 0x20,
        /// Prefers ChaCha20-Poly1305.
        CHACHA20 = 0x40,
        /// The decoder accepts several slices per picture.
        MULTI_SLICE = 0x80,
    }
}

bit_set! {
    /// `Hello.client_caps`.
    ClientCaps: u8 {
        /// The client draws the pointer.
        CURSOR = 0x01,
        /// The client will send `PhaseReport`.
        PHASE_LOCK = 0x02,
        /// The client decodes audio with redundancy (0xD2).
        AUDIO_RED = 0x04,
        /// The client understands 0xD1 and HID output kind 6.
        PAD_AUDIO = 0x08,
        /// The client asks for lossless PCM (0xD3).
        AUDIO_HIRES = 0x10,
        /// Leave the host's playback devices alone.
        KEEP_HOST_AUDIO = 0x20,
        /// The client accepts an extension block on `Welcome`.
        EXT = 0x40,
    }
}

bit_set! {
    /// `Welcome.host_caps`.
    HostCaps: u8 {
        /// Send pad snapshots (kinds 12–14) instead of per-transition events.
        GAMEPAD_STATE = 0x01,
        /// A clipboard backend is there.
        CLIPBOARD = 0x02,
        /// Input kind 15 is accepted.
        TEXT_INPUT = 0x04,
        /// The host forwards the cursor.
        CURSOR = 0x08,
        /// Rich input kind 5 is accepted.
        PEN = 0x10,
        /// Expect 0xD2.
        AUDIO_RED = 0x20,
        /// 0xD1 will be used.
        PAD_AUDIO = 0x40,
        /// The session is on the PCM plane.
        AUDIO_HIRES = 0x80,
    }
}

bit_set! {
    /// `Welcome.host_caps2`.
    HostCaps2: u8 {
        /// Idle re-encodes are flagged as repeats.
        REPEAT_MARK = 0x01,
        /// Touch kinds 9–11 reach the desktop.
        TOUCH = 0x02,
        /// The host reads the extension block of `Start`.
        EXT = 0x04,
        /// Input kind 16 is accepted.
        SCROLL = 0x08,
        /// Probes are served from the punched data plane until the first video frame, without the 10 s spacing.
        RAMP = 0x10,
        /// The host wants continued `DeliveryReport`s.
        DELIVERY = 0x20,
        /// The host reads control message 0x5C.
        INPUT_EDGES = 0x40,
    }
}
