//! The send thread: access units become packets, packets leave when the pacer lets them.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use punktfunk_core::fec::Strength;
use punktfunk_core::pace::Pacer;
use punktfunk_core::packet::PacketBatch;
use punktfunk_core::probe::{ProbeGate, ProbePlan, ProbeStep};

use super::{Pipes, Unit};
use crate::link::{AccessUnitOut, DatagramSink, LinkError, Packetize, SentFrame};
use crate::session::{Ending, Mailboxes, Shared, StopReason};

pub(crate) struct SendLoop {
    shared: Arc<Shared>,
    mail: Arc<Mailboxes>,
    pipes: Arc<Pipes>,
    packetizer: Box<dyn Packetize>,
    sink: Box<dyn DatagramSink>,
    pacer: Pacer,
    batch: PacketBatch,
    /// Access units to send in all; 0 = no limit.
    limit: u32,
    handled: u32,
    shard_payload: usize,
    /// Recovery bytes per 1000 data bytes, averaged.
    overhead_permille: u32,
    probe: Option<Probe>,
    probe_gate: ProbeGate,
}

/// A running speed test.
struct Probe {
    plan: ProbePlan,
    batch: PacketBatch,
    filler: Vec<u8>,
    strength: Strength,
}

impl SendLoop {
    pub fn new(
        shared: &Arc<Shared>,
        mail: &Arc<Mailboxes>,
        pipes: &Arc<Pipes>,
        packetizer: Box<dyn Packetize>,
        sink: Box<dyn DatagramSink>,
        limit: u32,
        shard_payload: u16,
    ) -> Self {
        Self {
            shared: Arc::clone(shared),
            mail: Arc::clone(mail),
            pipes: Arc::clone(pipes),
            packetizer,
            sink,
            pacer: Pacer::new(),
            batch: PacketBatch::new(),
            limit,
            handled: 0,
            shard_payload: usize::from(shard_payload.max(1)),
            overhead_permille: 0,
            probe: None,
            probe_gate: ProbeGate::default(),
        }
    }

    /// Runs until the session stops or the link breaks.
    pub fn run(mut self) {
        if let Err(ending) = self.work() {
            self.shared.end(ending);
        }
    }

    fn work(&mut self) -> Result<(), Ending> {
        loop {
            let seen = self.mail.send_signal.epoch();
            if self.shared.stopping() {
                return Ok(());
            }
            self.obey();
            if let Some(unit) = self.pipes.units.pop() {
                self.send_unit(&unit)?;
                self.handled += 1;
                // Never full: it is as deep as there are units.
                drop(self.pipes.spare.push(unit));
                if self.limit != 0 && self.handled >= self.limit {
                    return Err(Ending::stopped(StopReason::FramesDone));
                }
                continue;
            }
            let next = self.advance_probe()?;
            self.mail.send_signal.wait(seen, next);
        }
    }

    fn obey(&mut self) {
        let orders = self.mail.take_send();
        if let Some(ppm) = orders.loss_ppm {
            self.pacer.on_loss(ppm);
        }
        let Some((target_kbps, duration_ms)) = orders.probe else { return };
        let now = self.shared.clock.at(Instant::now());
        if self.probe.is_some() || !self.probe_gate.admit(now) {
            self.shared.stats.counters.probes_refused.one();
            return;
        }
        self.shared.stats.counters.probes.one();
        self.probe = Some(Probe {
            plan: ProbePlan::new(target_kbps, duration_ms, now),
            batch: PacketBatch::new(),
            filler: vec![0; MAX_FILLER_BYTES],
            strength: Strength::Percent(0),
        });
    }

    fn send_unit(&mut self, unit: &Unit) -> Result<(), Ending> {
        let started = Instant::now();
        let out = AccessUnitOut {
            data: &unit.frame.data,
            pts_ns: unit.pts_ns,
            keyframe: unit.frame.keyframe,
            recovery_anchor: unit.frame.recovery_anchor,
            repeat: unit.repeat,
            strength: unit.strength,
            probe: false,
            host_time: started.saturating_duration_since(unit.drawn_at),
        };
        let index = match self.packetizer.packetize(&out, &mut self.batch) {
            Ok(index) => index,
            Err(error) => {
                self.pipes.unnumbered.fetch_add(1, Ordering::Relaxed);
                return self.lost(&error);
            }
        };
        let packetized = Instant::now();
        self.measure_overhead(unit.frame.data.len());
        let whole = self.release(unit, packetized)?;
        let done = Instant::now();
        let counters = &self.shared.stats.counters;
        if whole {
            counters.frames_sent.one();
        }
        counters.bytes_sent.add(unit.frame.data.len() as u64);
        let sent = SentFrame {
            pts_ns: unit.pts_ns,
            index,
            keyframe: unit.frame.keyframe,
            repeat: unit.repeat,
            bytes: unit.frame.data.len(),
            packets: self.batch.len(),
            host_us: micros(done - unit.drawn_at),
            capture_us: micros(unit.capture_time),
            queue_us: micros(unit.waited + (started - unit.encoded_at)),
            convert_us: micros(unit.frame.convert_time),
            encode_us: micros(unit.encode_time),
            packetize_us: micros(packetized - started),
            pace_us: micros(done - packetized),
        };
        self.shared.stats.record_frame(&sent);
        self.shared.events.frame_sent(&sent);
        Ok(())
    }

    /// Lets the packets of `self.batch` go, paced. Returns whether all of them went.
    fn release(&mut self, unit: &Unit, start: Instant) -> Result<bool, Ending> {
        let (packets, packet_bytes) = (self.batch.len(), self.batch.packet_bytes());
        let clock = self.shared.clock;
        self.pacer.plan(clock.at(start), packets, packet_bytes, unit.wire_bps, unit.frame_interval);
        let mut sent = 0;
        while sent < packets {
            let release = self.pacer.next(sent);
            if release.count == 0 {
                break;
            }
            self.wait_until(clock.instant(release.not_before))?;
            if self.shared.stopping() {
                return Ok(false);
            }
            let run = sent..sent + release.count;
            match send_run(&self.shared, &mut *self.sink, &self.batch, run.clone()) {
                Ok(taken) if taken == release.count => sent = run.end,
                Ok(taken) => {
                    // The socket stayed full for as long as the sink is willing to wait: the rest of this frame would
                    // only make the next one late.
                    self.shared.stats.counters.packets_dropped.add((packets - run.start - taken) as u64);
                    self.pacer.on_loss(SOCKET_FULL_PPM);
                    self.damaged();
                    return Ok(false);
                }
                Err(error) => {
                    self.shared.stats.counters.packets_dropped.add((packets - run.start) as u64);
                    self.lost(&error)?;
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Waits, and meanwhile goes on with a speed test.
    fn wait_until(&mut self, until: Instant) -> Result<(), Ending> {
        loop {
            let now = Instant::now();
            if now >= until || self.shared.stopping() {
                return Ok(());
            }
            let next = self.advance_probe()?.map_or(until, |next| next.min(until)).min(now + NAP);
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }

    /// Sends at most a few pieces of filler that are due. Returns when the next one is.
    fn advance_probe(&mut self) -> Result<Option<Instant>, Ending> {
        let Some(mut probe) = self.probe.take() else { return Ok(None) };
        for _ in 0..FILLER_RUN {
            let now = Instant::now();
            match probe.plan.poll(self.shared.clock.at(now)) {
                ProbeStep::Send { bytes } => self.send_filler(&mut probe, bytes)?,
                ProbeStep::Wait(until) => {
                    self.probe = Some(probe);
                    return Ok(Some(self.shared.clock.instant(until)));
                }
                ProbeStep::Done => {
                    self.shared.events.probe_done(&probe.plan.outcome(self.shared.clock.at(now)));
                    return Ok(None);
                }
            }
        }
        // Video first: look for a frame before going on.
        self.probe = Some(probe);
        Ok(Some(Instant::now()))
    }

    fn send_filler(&mut self, probe: &mut Probe, bytes: usize) -> Result<(), Ending> {
        let out = AccessUnitOut {
            data: &probe.filler[..bytes.min(MAX_FILLER_BYTES)],
            pts_ns: self.shared.clock.now_ns(),
            keyframe: false,
            recovery_anchor: false,
            repeat: false,
            strength: probe.strength,
            probe: true,
            host_time: Duration::ZERO,
        };
        let sent = match self.packetizer.packetize(&out, &mut probe.batch) {
            Ok(_) => send_run(&self.shared, &mut *self.sink, &probe.batch, 0..probe.batch.len()),
            Err(error) => Err(error),
        };
        let sent = match sent {
            Ok(sent) => sent,
            Err(error) if error.fatal => return Err(Ending::failed(error.reason, error.detail)),
            Err(_) => 0,
        };
        let dropped = probe.batch.len() - sent;
        self.shared.stats.counters.packets_dropped.add(dropped as u64);
        probe.plan.on_sent(u32::try_from(sent).unwrap_or(u32::MAX), u32::try_from(dropped).unwrap_or(u32::MAX));
        Ok(())
    }

    /// What recovery adds to this frame, averaged over about 32 frames, for the split of the budget.
    fn measure_overhead(&mut self, bytes: usize) {
        let data = bytes.div_ceil(self.shard_payload).max(1);
        let recovery = self.batch.len().saturating_sub(data);
        let now = u32::try_from(recovery * 1000 / data).unwrap_or(u32::MAX);
        self.overhead_permille = match self.overhead_permille {
            0 => now,
            average => (average * 31 + now) / 32,
        };
        self.pipes.overhead_permille.store(self.overhead_permille, Ordering::Relaxed);
    }

    fn lost(&mut self, error: &LinkError) -> Result<(), Ending> {
        if error.fatal {
            return Err(Ending::failed(error.reason, error.detail.clone()));
        }
        tracing::debug!(session = self.shared.id, code = error.reason.code, "frame lost: {}", error.detail);
        self.damaged();
        Ok(())
    }

    /// A frame did not leave whole: what refers to it cannot be decoded, so a keyframe must follow.
    fn damaged(&self) {
        self.shared.stats.counters.frames_damaged.one();
        self.mail.encode(|orders| orders.lost = true);
    }
}

fn send_run(
    shared: &Shared,
    sink: &mut dyn DatagramSink,
    batch: &PacketBatch,
    run: Range<usize>,
) -> Result<usize, LinkError> {
    let sent = sink.send(batch, run)?;
    shared.stats.counters.packets_sent.add(sent as u64);
    Ok(sent)
}

pub(super) fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

/// The largest piece of filler (punktfunk1.md §3.9.2).
const MAX_FILLER_BYTES: usize = 16_384;
/// Pieces of filler between two looks at the video queue: about 130 KB, a millisecond at 1 Gbit/s.
const FILLER_RUN: usize = 8;
/// The longest sleep before looking whether the session stops.
const NAP: Duration = Duration::from_millis(20);
/// A full socket counts as much as heavy loss.
const SOCKET_FULL_PPM: u32 = 60_000;
