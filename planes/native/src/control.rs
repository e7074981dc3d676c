//! The control stream after `Start`, sans-IO: what each message of the client means, and what may be told it when.
//!
//! ```text
//! message ──► ControlState::on_message ──► Answer { reply?, order?, input? }
//! session news ──► on_mode / on_bitrate / … ──► at most one message each
//! ```
//!
//! Clients of the v0.23 era lose whatever unasked message arrives before their eight clock rounds are over, so those are
//! held back until then ([`ControlState::may_speak`]).

use std::time::{Duration, Instant};

use punktfunk_core::control::{BitrateReason, ControlMessage};
use punktfunk_core::handshake::{Hello, Start, VideoCaps};
use punktfunk_core::input::InputEvent;
use punktfunk_core::probe::ProbeOutcome;
use punktfunk_core::{Codec, Mode};
use punktfunk_engine::plan::{HostOffer, SessionPlan, plan_mode};
use punktfunk_engine::session::SessionCommand;

use crate::negotiate::check_mode;

/// What a message leads to.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Answer {
    /// To the client, at once.
    pub reply: Option<ControlMessage>,
    /// To the session.
    pub order: Option<SessionCommand>,
    /// To the session's inject thread.
    pub input: Option<InputEvent>,
}

/// One client's conversation.
pub(crate) struct ControlState {
    offer: HostOffer,
    codec: Codec,
    started: Instant,
    clock_echoes: u32,
    /// The mode the client believes in.
    announced: Mode,
    /// The mode the session really has.
    active: Mode,
    last_switch: Option<Instant>,
    kbps: u32,
    /// What the client asked for last and has no answer to.
    asked_kbps: Option<u32>,
    probes: bool,
    reads_bitrate_reason: bool,
    /// Whether the session runs: before that, its threads take no orders.
    live: bool,
    /// Warned already that video does not arrive.
    blocked_told: bool,
}

impl ControlState {
    pub fn new(hello: &Hello, start: &Start, plan: &SessionPlan, mode: Mode, offer: HostOffer, now: Instant) -> Self {
        Self {
            offer,
            codec: plan.codec,
            started: now,
            clock_echoes: 0,
            announced: mode,
            active: mode,
            last_switch: None,
            kbps: plan.wire_kbps,
            asked_kbps: None,
            probes: hello.video_caps.contains(VideoCaps::PROBE_SEQ),
            reads_bitrate_reason: start.extensions.as_ref().is_some_and(|e| e.reads_bitrate_reason()),
            live: false,
            blocked_told: false,
        }
    }

    /// The session takes orders from now on.
    pub fn session_runs(&mut self) {
        self.live = true;
    }

    /// A clock probe was answered (by the connection's task itself, which has the clock).
    pub fn clock_answered(&mut self) {
        self.clock_echoes = self.clock_echoes.saturating_add(1);
    }

    /// Whether unasked messages may be sent.
    pub fn may_speak(&self, now: Instant) -> bool {
        self.clock_echoes >= CLOCK_ROUNDS || now.saturating_duration_since(self.started) >= CLOCK_PATIENCE
    }

    /// Judges a message. `frames_sent`: what the session sent so far.
    pub fn on_message(&mut self, message: &ControlMessage, now: Instant, frames_sent: u64) -> Answer {
        match *message {
            ControlMessage::Reconfigure { mode } => self.on_reconfigure(mode, now),
            ControlMessage::RequestKeyframe => self.order(SessionCommand::Keyframe),
            ControlMessage::RfiRequest { first_frame: first, last_frame: last } => {
                self.order(SessionCommand::Invalidate { first, last })
            }
            ControlMessage::LossReport { loss_ppm } => {
                self.order(SessionCommand::LossReport { ppm: loss_ppm.min(1_000_000) })
            }
            ControlMessage::SetBitrate { kbps } => {
                if !self.live {
                    return reply(self.bitrate_message(kbps));
                }
                self.asked_kbps = Some(kbps);
                self.order(SessionCommand::SetBitrate { kbps })
            }
            ControlMessage::ProbeRequest { target_kbps, duration_ms }
            | ControlMessage::ProbeShaped { target_kbps, duration_ms, .. } => self.on_probe(target_kbps, duration_ms),
            ControlMessage::DeliveryReport { packets_received } => {
                self.on_delivery(packets_received, now, frames_sent);
                Answer::default()
            }
            ControlMessage::InputEdge(event) => Answer { input: Some(event), ..Answer::default() },
            // The rest is optional, and ignoring it is always legal.
            _ => Answer::default(),
        }
    }

    /// The session's mode is this now. A message if the client believes otherwise.
    pub fn on_mode(&mut self, mode: Mode) -> Option<ControlMessage> {
        self.active = mode;
        (self.announced != mode).then(|| {
            self.announced = mode;
            ControlMessage::Reconfigured { accepted: true, mode }
        })
    }

    /// The session runs this wire budget now: the answer to a `SetBitrate`, or news.
    pub fn on_bitrate(&mut self, kbps: u32) -> ControlMessage {
        self.kbps = kbps;
        let asked = self.asked_kbps.take().unwrap_or(kbps);
        self.bitrate_message(asked)
    }

    /// A speed test is over.
    pub fn on_probe_done(&self, outcome: &ProbeOutcome) -> ControlMessage {
        ControlMessage::ProbeResult {
            bytes_sent: outcome.bytes_sent,
            packets_sent: outcome.units_sent,
            duration_ms: outcome.duration_ms,
            wire_packets_sent: outcome.wire_packets_sent,
            send_dropped: outcome.send_dropped,
        }
    }

    fn on_reconfigure(&mut self, asked: Mode, now: Instant) -> Answer {
        let too_soon = self.last_switch.is_some_and(|last| now.saturating_duration_since(last) < SWITCH_SPACING);
        let planned = check_mode(asked).ok().and_then(|()| plan_mode(&self.offer, self.codec, asked).ok());
        let Some((mode, downgrades)) = planned.filter(|_| self.live && !too_soon) else {
            tracing::info!(%asked, too_soon, running = self.live, "mode change rejected");
            return reply(ControlMessage::Reconfigured { accepted: false, mode: self.announced });
        };
        for downgrade in downgrades {
            tracing::info!(%downgrade, "the mode change is not granted as asked");
        }
        self.last_switch = Some(now);
        self.announced = mode;
        Answer {
            reply: Some(ControlMessage::Reconfigured { accepted: true, mode }),
            order: (mode != self.active).then_some(SessionCommand::SetMode(mode)),
            input: None,
        }
    }

    fn on_probe(&self, target_kbps: u32, duration_ms: u32) -> Answer {
        if !self.probes || !self.live || target_kbps == 0 || duration_ms == 0 {
            return reply(self.on_probe_done(&ProbeOutcome::default()));
        }
        self.order(SessionCommand::Probe {
            target_kbps: target_kbps.min(MAX_PROBE_KBPS),
            duration_ms: duration_ms.min(MAX_PROBE_MS),
        })
    }

    /// Zero packets although frames left a while ago: something on the way drops the video's UDP port.
    fn on_delivery(&mut self, packets_received: u64, now: Instant, frames_sent: u64) {
        let late = now.saturating_duration_since(self.started) > BLOCKED_AFTER;
        if packets_received == 0 && frames_sent > 0 && late && !self.blocked_told {
            self.blocked_told = true;
            let reason = &punktfunk_media::reason::NATIVE_VIDEO_BLOCKED;
            tracing::warn!(code = reason.code, fix = reason.fix, "{}", reason.sentence);
        }
    }

    fn order(&self, command: SessionCommand) -> Answer {
        Answer { order: self.live.then_some(command), ..Answer::default() }
    }

    fn bitrate_message(&self, asked: u32) -> ControlMessage {
        let reason = self.reads_bitrate_reason.then_some(match self.kbps {
            kbps if asked == 0 || kbps == asked => BitrateReason::Granted,
            kbps if self.offer.max_kbps != 0 && kbps == self.offer.max_kbps => BitrateReason::Pinned,
            _ => BitrateReason::EncoderLimit,
        });
        ControlMessage::BitrateChanged { kbps: self.kbps, reason }
    }
}

fn reply(message: ControlMessage) -> Answer {
    Answer { reply: Some(message), ..Answer::default() }
}

/// §7.4.
const CLOCK_ROUNDS: u32 = 8;
/// §7.4: when a client that asks for no clock may be spoken to.
const CLOCK_PATIENCE: Duration = Duration::from_millis(2500);
/// §3.9.2.
const SWITCH_SPACING: Duration = Duration::from_millis(500);
/// §3.9.2.
const MAX_PROBE_KBPS: u32 = 10_000_000;
/// §3.9.2.
const MAX_PROBE_MS: u32 = 5000;
/// The first report may come before the first frame; the punch wait alone is 2.5 s.
const BLOCKED_AFTER: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use punktfunk_core::handshake::ExtensionBlock;
    use punktfunk_engine::plan::EncoderOffer;

    const HD: Mode = Mode { width: 1280, height: 720, refresh_hz: 60 };
    const FULL: Mode = Mode { width: 1920, height: 1080, refresh_hz: 60 };

    struct Client {
        state: ControlState,
        now: Instant,
    }

    impl Client {
        fn new(video_caps: VideoCaps, reads_reason: bool) -> Self {
            let mut hello = Hello::new(HD);
            hello.video_caps = video_caps;
            hello.video_codecs = punktfunk_core::CodecSet::only(Codec::H264);
            let mut start = Start::default();
            if reads_reason {
                let mut extensions = ExtensionBlock::new();
                extensions.push_reads_bitrate_reason().unwrap();
                start.extensions = Some(extensions);
            }
            let encoder = EncoderOffer { name: "test", codec: Some(Codec::H264), max_size: (4096, 4096) };
            let offer = HostOffer { encoders: vec![encoder], max_kbps: 50_000, ..HostOffer::default() };
            let plan = crate::negotiate::plan_session(&hello, &offer).unwrap();
            let now = Instant::now();
            let mut state = ControlState::new(&hello, &start, &plan, HD, offer, now);
            state.session_runs();
            Self { state, now }
        }

        fn say(&mut self, message: ControlMessage) -> Answer {
            self.state.on_message(&message, self.now, 0)
        }
    }

    #[test]
    fn a_mode_change_is_answered_before_the_work_and_corrected_after_it() {
        let mut client = Client::new(VideoCaps::NONE, false);
        let answer = client.say(ControlMessage::Reconfigure { mode: FULL });
        assert_eq!(answer.reply, Some(ControlMessage::Reconfigured { accepted: true, mode: FULL }));
        assert_eq!(answer.order, Some(SessionCommand::SetMode(FULL)));
        assert_eq!(client.state.on_mode(FULL), None, "as announced: nothing more to say");
        assert_eq!(client.state.on_mode(HD), Some(ControlMessage::Reconfigured { accepted: true, mode: HD }));
        // Too soon after an accepted one, then in time.
        let rejected = Some(ControlMessage::Reconfigured { accepted: false, mode: HD });
        client.now += Duration::from_millis(499);
        assert_eq!(client.say(ControlMessage::Reconfigure { mode: FULL }).reply, rejected);
        client.now += Duration::from_millis(1);
        assert!(client.say(ControlMessage::Reconfigure { mode: FULL }).order.is_some());
    }

    #[test]
    fn absurd_modes_are_rejected_and_the_old_one_stays() {
        let mut client = Client::new(VideoCaps::NONE, false);
        for (width, height, refresh_hz) in [(0, 720, 60), (1281, 720, 60), (20_000, 20_000, 60), (1280, 720, 0)] {
            let answer = client.say(ControlMessage::Reconfigure { mode: Mode { width, height, refresh_hz } });
            let rejected = ControlMessage::Reconfigured { accepted: false, mode: HD };
            assert_eq!(answer, Answer { reply: Some(rejected), ..Answer::default() });
        }
    }

    #[test]
    fn every_bitrate_wish_gets_an_answer_with_the_reason_only_for_those_who_read_it() {
        let mut plain = Client::new(VideoCaps::NONE, false);
        assert_eq!(
            plain.say(ControlMessage::SetBitrate { kbps: 90_000 }).order,
            Some(SessionCommand::SetBitrate { kbps: 90_000 })
        );
        assert_eq!(plain.state.on_bitrate(50_000), ControlMessage::BitrateChanged { kbps: 50_000, reason: None });
        let mut reader = Client::new(VideoCaps::NONE, true);
        for (asked, given, why) in [
            (90_000, 50_000, BitrateReason::Pinned),
            (30_000, 30_000, BitrateReason::Granted),
            (0, 20_000, BitrateReason::Granted),
            (400, 500, BitrateReason::EncoderLimit),
        ] {
            reader.say(ControlMessage::SetBitrate { kbps: asked });
            let expected = ControlMessage::BitrateChanged { kbps: given, reason: Some(why) };
            assert_eq!(reader.state.on_bitrate(given), expected);
        }
        // Before the session runs the wish is answered all the same.
        reader.state.live = false;
        let answer = reader.say(ControlMessage::SetBitrate { kbps: 1 });
        assert!(matches!(answer.reply, Some(ControlMessage::BitrateChanged { kbps: 500, .. })));
    }

    #[test]
    fn speed_tests_are_bounded_and_declined_where_filler_would_reach_the_decoder() {
        let request = ControlMessage::ProbeRequest { target_kbps: u32::MAX, duration_ms: u32::MAX };
        let declined = ControlMessage::ProbeResult {
            bytes_sent: 0,
            packets_sent: 0,
            duration_ms: 0,
            wire_packets_sent: 0,
            send_dropped: 0,
        };
        let mut old = Client::new(VideoCaps::NONE, false);
        assert_eq!(old.say(request.clone()), Answer { reply: Some(declined), ..Answer::default() });
        let mut new = Client::new(VideoCaps::PROBE_SEQ, false);
        let order = SessionCommand::Probe { target_kbps: 10_000_000, duration_ms: 5000 };
        assert_eq!(new.say(request), Answer { order: Some(order), ..Answer::default() });
    }

    #[test]
    fn nothing_unasked_is_said_before_the_clock_rounds_are_over() {
        let mut client = Client::new(VideoCaps::NONE, false);
        for _ in 0..7 {
            client.state.clock_answered();
            assert!(!client.state.may_speak(client.now));
        }
        assert!(client.state.may_speak(client.now + CLOCK_PATIENCE), "a client may ask for no clock at all");
        client.state.clock_answered();
        assert!(client.state.may_speak(client.now));
    }

    #[test]
    fn what_is_not_for_us_changes_nothing() {
        let mut client = Client::new(VideoCaps::NONE, false);
        for message in [
            ControlMessage::LinkReport { proven_kbps: 7 },
            ControlMessage::ShardPayloadAck { shard_payload: 9000 },
            ControlMessage::Reconfigured { accepted: true, mode: FULL },
            ControlMessage::CursorRenderMode { client_draws: true },
            ControlMessage::DeliveryReport { packets_received: 0 },
        ] {
            assert_eq!(client.say(message), Answer::default());
        }
    }
}
