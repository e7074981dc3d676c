//! Where a fake shall go wrong.

/// Faults of a [`super::SyntheticDesktop`]. Counts are per capturer or injector; `None` = never.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Opening a stage fails with `desktop.open_failed`.
    pub open_fails: bool,
    /// After this many pictures the capturer fails for good with `capture.lost`.
    pub capture_fatal_after: Option<u64>,
    /// How many capturers fail so; later ones are healthy. 0 = all of them.
    pub capture_fatal_times: u32,
    /// Every n-th wait fails in passing.
    pub capture_flaky_every: Option<u64>,
    /// After this many pictures the capturer panics.
    pub capture_panic_after: Option<u64>,
    /// After this many pictures of one size nothing changes any more.
    pub still_after: Option<u64>,
    /// What the stage says to a mode change.
    pub mode_answer: ModeAnswer,
    /// The stage has no injector (`inject.unsupported`).
    pub no_injector: bool,
    /// The pointer cannot be told of beside the pictures.
    pub no_cursor: bool,
    /// Injectors take fingers, but no pen.
    pub no_pen: bool,
    /// Injectors take neither fingers nor a pen.
    pub no_touch: bool,
    /// After this many actions the injector fails for good.
    pub inject_fatal_after: Option<u64>,
    /// After this many actions the injector panics, once.
    pub inject_panic_after: Option<u64>,
    /// The stage has no clipboard (`clipboard.unsupported`).
    pub no_clipboard: bool,
    /// The stage has no sound (`audio.unsupported`).
    pub no_sound: bool,
    /// The stage has no microphone (`audio.unsupported`).
    pub no_microphone: bool,
    /// Opening the source of sound fails in passing so many times.
    pub sound_opens_late: u32,
    /// After this many blocks the source of sound is silent.
    pub sound_silent_after: Option<u64>,
    /// Every n-th block is missing: the sound server was restarting.
    pub sound_gap_every: Option<u64>,
    /// After this many blocks the source of sound fails for good.
    pub sound_fatal_after: Option<u64>,
    /// After this many blocks the source of sound panics.
    pub sound_panic_after: Option<u64>,
}

/// What a stage says to a mode change.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ModeAnswer {
    /// Takes it.
    #[default]
    Take,
    /// Refuses; the old mode stays.
    Refuse,
    /// Takes the size, but stays at 60 Hz.
    Only60Hz,
    /// The compositor dies of it.
    Die,
}
