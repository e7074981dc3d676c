//! Loss and delivery, reported every 750 ms (punktfunk1.md §3.9.2).
//!
//! Loss is counted from the sequence numbers of packets that opened: the host numbers every sealed packet of a session
//! without holes, so what is missing below the newest number is lost or late. A late arrival takes its loss back in the
//! next window. That counts every lost packet, also those of frames that no FEC could save, and needs no bump.

use std::time::Duration;

use punktfunk_core::Timestamp;
use punktfunk_core::control::ControlMessage;

/// How often a window closes.
pub const REPORT_INTERVAL: Duration = Duration::from_millis(750);

/// What came in on the data plane, by sequence number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrivals {
    first: Option<u64>,
    highest: u64,
    received: u64,
    bytes: u64,
}

impl Arrivals {
    /// A packet opened. `bytes` is its size on the wire (UDP payload). Duplicates do not open.
    pub fn on_packet(&mut self, sequence: u64, bytes: usize) {
        // A packet overtaken by the first one that arrived belongs to the session, too.
        self.first = Some(self.first.map_or(sequence, |first| first.min(sequence)));
        self.highest = self.highest.max(sequence);
        self.received += 1;
        self.bytes += bytes as u64;
    }

    /// Packets that opened since the session began.
    #[must_use]
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Their bytes on the wire.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Packets that should have come by now and did not.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.first.map_or(0, |first| (self.highest - first + 1).saturating_sub(self.received))
    }
}

/// One closed window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Lost packets per million.
    pub loss_ppm: u32,
    /// Packets that arrived.
    pub received: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
    /// How long it was open.
    pub span: Duration,
}

/// Closes a window every [`REPORT_INTERVAL`] and says what to send.
#[derive(Debug)]
pub struct Reports {
    opened_at: Timestamp,
    at_open: Arrivals,
    discard: bool,
    first_packet_told: bool,
}

impl Reports {
    /// The first window opens at `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self { opened_at: now, at_open: Arrivals::default(), discard: false, first_packet_told: false }
    }

    /// What is in this window says nothing about the path (the host paused, or a speed test ran): it is not reported.
    pub fn discard_window(&mut self) {
        self.discard = true;
    }

    /// A report that packets arrive at all, once.
    pub fn first_delivery(&mut self, arrivals: &Arrivals) -> Option<ControlMessage> {
        if self.first_packet_told || arrivals.received() == 0 {
            return None;
        }
        self.first_packet_told = true;
        Some(ControlMessage::DeliveryReport { packets_received: arrivals.received() })
    }

    /// Closes the window if its time has come. `None` also for a discarded one.
    pub fn poll(&mut self, now: Timestamp, arrivals: &Arrivals) -> Option<Window> {
        if now < self.deadline() {
            return None;
        }
        let received = arrivals.received() - self.at_open.received();
        let lost = arrivals.missing().saturating_sub(self.at_open.missing());
        let window = Window {
            loss_ppm: ppm(lost, received),
            received,
            bytes: arrivals.bytes() - self.at_open.bytes(),
            span: now.since(self.opened_at),
        };
        self.opened_at = now;
        self.at_open = *arrivals;
        (!std::mem::take(&mut self.discard)).then_some(window)
    }

    /// When the window closes.
    #[must_use]
    pub fn deadline(&self) -> Timestamp {
        self.opened_at + REPORT_INTERVAL
    }
}

impl Window {
    /// What to tell the host about it.
    #[must_use]
    pub fn messages(&self, arrivals: &Arrivals) -> [ControlMessage; 2] {
        [
            ControlMessage::LossReport { loss_ppm: self.loss_ppm },
            ControlMessage::DeliveryReport { packets_received: arrivals.received() },
        ]
    }

    /// Rate that arrived, in kbit/s on the wire.
    #[must_use]
    pub fn kbps(&self) -> u32 {
        let micros = self.span.as_micros().max(1);
        u32::try_from(u128::from(self.bytes) * 8000 / micros).unwrap_or(u32::MAX)
    }
}

fn ppm(lost: u64, received: u64) -> u32 {
    let all = lost + received;
    if all == 0 { 0 } else { (u128::from(lost) * 1_000_000 / u128::from(all)) as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp(ms * 1_000_000)
    }

    #[test]
    fn loss_is_exact_and_reported_also_when_it_is_zero() {
        let (mut arrivals, mut reports) = (Arrivals::default(), Reports::new(at(0)));
        (0..100).for_each(|seq| arrivals.on_packet(seq, 1000));
        assert_eq!(reports.poll(at(749), &arrivals), None);
        let window = reports.poll(at(750), &arrivals).unwrap();
        assert_eq!((window.loss_ppm, window.received, window.kbps()), (0, 100, 1066));
        (100..200).filter(|seq| seq % 10 != 0).for_each(|seq| arrivals.on_packet(seq, 1000));
        let window = reports.poll(at(1500), &arrivals).unwrap();
        assert_eq!(window.loss_ppm, 100_000);
        assert_eq!(window.messages(&arrivals)[0], ControlMessage::LossReport { loss_ppm: 100_000 });
        assert_eq!(window.messages(&arrivals)[1], ControlMessage::DeliveryReport { packets_received: 190 });
        let silent = reports.poll(at(2250), &arrivals).unwrap();
        assert_eq!((silent.loss_ppm, silent.received), (0, 0));
    }

    #[test]
    fn a_late_packet_takes_its_loss_back() {
        let (mut arrivals, mut reports) = (Arrivals::default(), Reports::new(at(0)));
        [0, 1, 3, 4].into_iter().for_each(|seq| arrivals.on_packet(seq, 1));
        assert_eq!(reports.poll(at(750), &arrivals).unwrap().loss_ppm, 200_000);
        [2, 5, 7, 8].into_iter().for_each(|seq| arrivals.on_packet(seq, 1));
        assert_eq!(reports.poll(at(1500), &arrivals).unwrap().loss_ppm, 0, "one lost, one came back");
    }

    #[test]
    fn a_gap_in_the_pipeline_is_not_reported() {
        let (mut arrivals, mut reports) = (Arrivals::default(), Reports::new(at(0)));
        [0, 9].into_iter().for_each(|seq| arrivals.on_packet(seq, 1));
        reports.discard_window();
        assert_eq!(reports.poll(at(800), &arrivals), None);
        assert_eq!(reports.deadline(), at(1550));
        arrivals.on_packet(10, 1);
        assert_eq!(reports.poll(at(1550), &arrivals).unwrap().loss_ppm, 0);
    }

    #[test]
    fn the_first_delivery_is_told_at_once_and_once() {
        let (mut arrivals, mut reports) = (Arrivals::default(), Reports::new(at(0)));
        assert_eq!(reports.first_delivery(&arrivals), None);
        arrivals.on_packet(0, 1);
        assert!(reports.first_delivery(&arrivals).is_some());
        assert_eq!(reports.first_delivery(&arrivals), None);
    }

    proptest! {
        /// Any order of any subset: at the end, what all windows reported is what is really missing.
        #[test]
        fn windows_add_up(mut seqs in Just((0..200u64).collect::<Vec<_>>()).prop_shuffle(), lost in 0usize..200) {
            seqs.truncate(200 - lost);
            prop_assume!(!seqs.is_empty());
            let mut arrivals = Arrivals::default();
            for seq in &seqs {
                arrivals.on_packet(*seq, 1);
            }
            let (low, high) = (*seqs.iter().min().unwrap(), *seqs.iter().max().unwrap());
            prop_assert_eq!(arrivals.missing(), high - low + 1 - seqs.len() as u64);
            let mut reports = Reports::new(at(0));
            let window = reports.poll(at(750), &arrivals).unwrap();
            prop_assert!(window.loss_ppm <= 1_000_000);
            prop_assert_eq!(window.received, seqs.len() as u64);
        }
    }
}
