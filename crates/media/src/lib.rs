//! Shared vocabulary and the platform traits.
//!
//! A backend knows this crate and nothing above it; the engine knows these traits and no backend. GPU surfaces and OS
//! handles appear here only as opaque trait objects.
#![forbid(unsafe_code)]

mod app;
mod audio;
mod audio_policy;
mod capture;
mod clipboard;
mod colour;
mod cursor;
mod desktop;
mod encode;
mod ended;
pub mod fake;
mod frame;
mod gpu;
mod inject;
mod journal;
mod pad;
mod pcm;
pub mod reason;
mod thumbnail;
mod window;

pub use app::{AppSpec, LaunchError, RunningApp, StageEnvironment};
pub use audio::{
    AudioCodec, AudioCodecConfig, AudioDecoder, AudioEncoder, AudioError, AudioRead, AudioRequest, AudioSource,
    ChannelLayout, MicSink, MicWanted, SAMPLE_RATE, Sound,
};
pub use audio_policy::{AudioPolicy, AudioPolicyCell, SinkStanding, SinkState, SoundState};
pub use capture::{CaptureError, Captured, CapturedFrame, Capturer, Slot, SlotMemory, WakeCapturer};
pub use clipboard::{
    CLIPBOARD_KINDS, CLIPBOARD_SLICE, Clipboard, ClipboardError, ClipboardLink, ClipboardWatcher, Paste,
};
pub use colour::{Colour, Matrix};
pub use cursor::{CursorImage, CursorPlace, CursorUpdate};
pub use desktop::{
    Adopted, Desktop, DesktopInfo, Keep, LONGEST_LAYOUT, OpenError, Stage, StageError, StageRequest,
    is_keyboard_layout, is_scale_percent,
};
pub use encode::{
    EncodeError, EncodedFrame, Encoder, EncoderCaps, EncoderChoice, EncoderConfig, EncoderFactory, EncoderList,
    FrameOrder, InvalidateOutcome, Keyframe, OpenEncoderError,
};
pub use ended::{ENDED_FILE, EndedAtOnce, ErrorOutput, end_of_log};
pub use frame::{Damage, FrameLayout, PixelFormat, Rect, Steps, Transform};
pub use gpu::{Gpu, GpuChoice, GpuInUse, GpuTrouble};
pub use inject::{InjectError, Injector, InjectorCaps, InputAction, ScrollPhase, ScrollSource};
pub use journal::{Journal, JournalError, UndoGuard, UndoRecord};
pub use pad::{
    Pad, PadBattery, PadBatteryState, PadError, PadEvents, PadFactory, PadFeedback, PadKind, PadKinds, PadMotion,
    PadReport, PadSpec, PadTouch, RumbleLevels,
};
pub use pcm::Lossless;
pub use punktfunk_core::{Codec, CodecSet, Mode, Timestamp};
pub use reason::Reason;
pub use thumbnail::Thumbnail;
pub use window::{StageWindow, WindowError};
