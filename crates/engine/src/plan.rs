//! The session plan: a pure decision from what the host has and what the client wishes.
//!
//! Everything that the client does not get as it asked is a [`Downgrade`] with a reason; what cannot be served at all is
//! a [`PlanError`]. No clock, no system call, no state: the same offer and wish give the same plan.

use std::sync::Arc;

use punktfunk_media::{Codec, CodecSet, Colour, EncoderChoice, EncoderFactory, Mode, Reason, reason};

/// What the host has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostOffer {
    /// Encoders that passed their test, best first.
    pub encoders: Vec<EncoderOffer>,
    /// Which of them the operator allows.
    pub choice: EncoderChoice,
    /// Codecs to leave out, because every encoder of theirs failed this client.
    pub left_out: CodecSet,
    /// The operator's cap on the wire budget in kbit/s; 0 = none.
    pub max_kbps: u32,
    /// The wire budget of a client that leaves it to us, in kbit/s.
    pub default_kbps: u32,
    /// The fastest refresh in Hz that the host serves.
    pub max_refresh_hz: u32,
    /// Recovery packets per 100 data packets at the start.
    pub fec_percent: u8,
}

impl Default for HostOffer {
    fn default() -> Self {
        Self {
            encoders: Vec::new(),
            choice: EncoderChoice::Auto,
            left_out: CodecSet::default(),
            max_kbps: 0,
            default_kbps: DEFAULT_KBPS,
            max_refresh_hz: MAX_REFRESH_HZ,
            fec_percent: DEFAULT_FEC_PERCENT,
        }
    }
}

impl HostOffer {
    /// An offer of these encoders, best first, with defaults for the rest.
    #[must_use]
    pub fn of(factories: &[Arc<dyn EncoderFactory>]) -> Self {
        Self { encoders: factories.iter().map(|f| EncoderOffer::of(&**f)).collect(), ..Self::default() }
    }
}

/// One encoder of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncoderOffer {
    /// Its factory's name.
    pub name: &'static str,
    /// What it encodes; `None` = access units that go under any codec (transport test).
    pub codec: Option<Codec>,
    /// Widest and highest picture.
    pub max_size: (u32, u32),
}

impl EncoderOffer {
    /// What this factory offers.
    #[must_use]
    pub fn of(factory: &dyn EncoderFactory) -> Self {
        let codec = (!factory.carries_any_codec()).then(|| factory.codec());
        Self { name: factory.name(), codec, max_size: factory.max_size() }
    }

    fn encodes(&self, codec: Codec) -> bool {
        self.codec.is_none_or(|own| own == codec)
    }

    const fn takes(&self, mode: Mode) -> bool {
        mode.width <= self.max_size.0 && mode.height <= self.max_size.1
    }
}

/// What the client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientWish {
    /// The display mode.
    pub mode: Mode,
    /// Codecs that it decodes.
    pub codecs: CodecSet,
    /// The one it likes best.
    pub preferred: Option<Codec>,
    /// Its wire budget in kbit/s; 0 = the host decides.
    pub bitrate_kbps: u32,
    /// Its decoder takes several slices per picture.
    pub multi_slice: bool,
    /// Slices per picture that it asks for; 0 = the host decides.
    pub slices: u8,
    /// The largest access unit that its protocol carries; `None` = none that matters here.
    pub max_frame_bytes: Option<usize>,
    /// The colour that its decoder expects.
    pub colour: Colour,
}

/// What the session will do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionPlan {
    /// The mode to open the stage with.
    pub mode: Mode,
    /// The codec on the wire.
    pub codec: Codec,
    /// Names of the encoders to try, in this order.
    pub encoders: Vec<&'static str>,
    /// The wire budget in kbit/s.
    pub wire_kbps: u32,
    /// The cap for later changes of the budget, in kbit/s; 0 = none.
    pub max_kbps: u32,
    /// The budget when a later change asks for 0, in kbit/s.
    pub default_kbps: u32,
    /// Recovery packets per 100 data packets at the start.
    pub fec_percent: u8,
    /// Whether pictures may come in several slices.
    pub multi_slice: bool,
    /// Slices per picture; 0 = the encoder decides.
    pub slices: u8,
    /// The largest access unit that the encoder may make.
    pub max_frame_bytes: Option<usize>,
    /// What pictures are converted to, through every mode and encoder of the session.
    pub colour: Colour,
    /// What the client does not get as it asked.
    pub downgrades: Vec<Downgrade>,
}

/// One wish that was not granted as asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downgrade {
    /// What was asked for.
    pub asked: String,
    /// What it becomes.
    pub given: String,
    /// Why.
    pub reason: &'static Reason,
}

impl std::fmt::Display for Downgrade {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} → {} ({})", self.asked, self.given, self.reason.code)
    }
}

/// The wish cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct PlanError {
    /// Stable reason.
    pub reason: &'static Reason,
    /// What was asked for, for the log.
    pub detail: String,
}

/// Decides what a session does.
///
/// # Errors
/// [`PlanError`] if there is no common codec, the pinned encoder does not fit, or the mode is none.
pub fn plan(offer: &HostOffer, wish: &ClientWish) -> Result<SessionPlan, PlanError> {
    let mut downgrades = Vec::new();
    let mode = settle_mode(offer, wish.mode, &mut downgrades)?;
    let codec = choose_codec(offer, wish, mode, &mut downgrades)?;
    let encoders = ladder(offer, codec, mode).map(|e| e.name).collect();
    let wire_kbps = settle_bitrate(offer, wish.bitrate_kbps, &mut downgrades);
    let (wire_kbps, max_kbps) = fit_frames(wish, mode, wire_kbps, offer.max_kbps, &mut downgrades);
    Ok(SessionPlan {
        mode,
        codec,
        encoders,
        wire_kbps,
        max_kbps,
        default_kbps: offer.default_kbps,
        fec_percent: offer.fec_percent,
        multi_slice: wish.multi_slice,
        slices: wish.slices,
        max_frame_bytes: wish.max_frame_bytes,
        colour: wish.colour,
        downgrades,
    })
}

/// Decides about a mode change of a running session: the mode to switch to, with what was changed about it.
///
/// # Errors
/// [`PlanError`] if it is no mode, or no encoder of the session's codec takes it; the old mode stays.
pub fn plan_mode(offer: &HostOffer, codec: Codec, asked: Mode) -> Result<(Mode, Vec<Downgrade>), PlanError> {
    let mut downgrades = Vec::new();
    let mode = settle_mode(offer, asked, &mut downgrades)?;
    if ladder(offer, codec, mode).next().is_none() {
        return Err(too_large(asked));
    }
    Ok((mode, downgrades))
}

/// The wire budget for a later wish of `asked` kbit/s (0 = the host decides) under `cap` (0 = none).
#[must_use]
pub fn clamp_kbps(asked: u32, default: u32, cap: u32) -> u32 {
    let wanted = if asked == 0 { default } else { asked };
    let ceiling = if cap == 0 { MAX_KBPS } else { cap.clamp(MIN_KBPS, MAX_KBPS) };
    wanted.clamp(MIN_KBPS, ceiling)
}

fn settle_mode(offer: &HostOffer, asked: Mode, downgrades: &mut Vec<Downgrade>) -> Result<Mode, PlanError> {
    if asked.width < MIN_SIDE || asked.height < MIN_SIDE || asked.refresh_hz == 0 {
        return Err(PlanError {
            reason: &reason::SESSION_MODE_INVALID,
            detail: format!("the client asked for {asked}"),
        });
    }
    if asked.width > MAX_SIDE || asked.height > MAX_SIDE {
        return Err(too_large(asked));
    }
    // 4:2:0 halves both sides.
    let even = Mode { width: asked.width & !1, height: asked.height & !1, ..asked };
    note(downgrades, asked, even, &reason::SESSION_MODE_ROUNDED);
    let mode = Mode { refresh_hz: even.refresh_hz.min(offer.max_refresh_hz), ..even };
    note(downgrades, even, mode, &reason::SESSION_REFRESH_CAPPED);
    Ok(mode)
}

fn choose_codec(
    offer: &HostOffer,
    wish: &ClientWish,
    mode: Mode,
    downgrades: &mut Vec<Downgrade>,
) -> Result<Codec, PlanError> {
    let usable = |codec: Codec| {
        wish.codecs.contains(codec) && codec != Codec::PyroWave && allowed(offer).any(|e| e.encodes(codec))
    };
    let fits = |codec: Codec| usable(codec) && ladder(offer, codec, mode).next().is_some();
    // The order of encoders decides, not that of codecs: a slow encoder of a better codec never wins by the codec.
    let by_encoder = allowed(offer)
        .filter(|e| e.takes(mode))
        .flat_map(|e| Codec::ALL.into_iter().filter(|c| e.encodes(*c)))
        .find(|c| fits(*c) && !offer.left_out.contains(*c));
    let encoded = |codec: Codec| allowed(offer).any(|e| e.codec == Some(codec));
    let preferred = wish.preferred.filter(|c| encoded(*c) && fits(*c) && !offer.left_out.contains(*c));
    let last_resort = || Codec::ALL.into_iter().find(|c| fits(*c));
    let Some(codec) = preferred.or(by_encoder).or_else(last_resort) else {
        let detail = format!("the client decodes {}", names(wish.codecs));
        return Err(match &offer.choice {
            _ if Codec::ALL.into_iter().any(usable) => too_large(mode),
            EncoderChoice::Pinned(name) => {
                PlanError { reason: &reason::ENCODE_PINNED_MISSING, detail: format!("pinned: {name}; {detail}") }
            }
            EncoderChoice::Auto => PlanError { reason: &reason::ENCODE_NO_CODEC, detail },
        });
    };
    // Access units of the transport test are no codec's: which name they carry is no loss to anyone.
    if let Some(asked) = wish.preferred.filter(|p| *p != codec && encoded(codec)) {
        let reason =
            if offer.left_out.contains(asked) { &reason::ENCODE_CODEC_LEFT_OUT } else { &reason::ENCODE_CODEC_OTHER };
        note(downgrades, asked, codec, reason);
    }
    Ok(codec)
}

fn settle_bitrate(offer: &HostOffer, asked: u32, downgrades: &mut Vec<Downgrade>) -> u32 {
    let given = clamp_kbps(asked, offer.default_kbps, offer.max_kbps);
    if asked != 0 && given != asked {
        let reason = if given < asked { &reason::SESSION_BITRATE_CAPPED } else { &reason::SESSION_BITRATE_RAISED };
        note(downgrades, format!("{asked} kbit/s"), format!("{given} kbit/s"), reason);
    }
    given
}

/// Where access units are limited, an average picture takes at most half of that, so that the encoder has room for hard
/// ones. Returns the wire budget and the cap for later changes.
fn fit_frames(wish: &ClientWish, mode: Mode, kbps: u32, cap: u32, downgrades: &mut Vec<Downgrade>) -> (u32, u32) {
    let Some(bytes) = wish.max_frame_bytes else { return (kbps, cap) };
    let most = bytes as u64 * 8 * u64::from(mode.refresh_hz) / 1000 / 2;
    let most = u32::try_from(most).unwrap_or(MAX_KBPS).clamp(MIN_KBPS, MAX_KBPS);
    let given = kbps.min(most);
    let reason = &reason::SESSION_BITRATE_FRAME_LIMIT;
    note(downgrades, format!("{kbps} kbit/s"), format!("{given} kbit/s"), reason);
    (given, if cap == 0 { most } else { cap.min(most) })
}

fn allowed(offer: &HostOffer) -> impl Iterator<Item = &EncoderOffer> {
    offer.encoders.iter().filter(|e| match &offer.choice {
        EncoderChoice::Auto => true,
        EncoderChoice::Pinned(name) => e.name == name,
    })
}

fn ladder(offer: &HostOffer, codec: Codec, mode: Mode) -> impl Iterator<Item = &EncoderOffer> {
    allowed(offer).filter(move |e| e.encodes(codec) && e.takes(mode))
}

fn note<T: PartialEq + ToString>(downgrades: &mut Vec<Downgrade>, asked: T, given: T, reason: &'static Reason) {
    if asked != given {
        downgrades.push(Downgrade { asked: asked.to_string(), given: given.to_string(), reason });
    }
}

fn too_large(mode: Mode) -> PlanError {
    PlanError { reason: &reason::ENCODE_MODE_TOO_LARGE, detail: format!("the client asked for {mode}") }
}

fn names(codecs: CodecSet) -> String {
    let names: Vec<_> = Codec::ALL.into_iter().filter(|c| codecs.contains(*c)).map(Codec::name).collect();
    if names.is_empty() { "none that we know".into() } else { names.join(", ") }
}

/// What punktfunk1.md §3.9.2 says for a budget of 0.
const DEFAULT_KBPS: u32 = 20_000;
/// The bounds of punktfunk1.md §3.9.2.
const MIN_KBPS: u32 = 500;
const MAX_KBPS: u32 = 8_000_000;
/// One macroblock; below that no encoder opens.
const MIN_SIDE: u32 = 16;
/// The largest picture of H.264 level 6.2 is 8192 wide or high.
const MAX_SIDE: u32 = 8192;
/// Faster than any display that exists; keeps a wrong number from becoming a busy loop.
const MAX_REFRESH_HZ: u32 = 1000;
/// The start of the adaptive percentage of punktfunk1.md §5.5.
const DEFAULT_FEC_PERCENT: u8 = 10;

#[cfg(test)]
mod tests;
