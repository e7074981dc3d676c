//! The encoder ladder: who encodes now, and who is next.

use std::sync::Arc;

use punktfunk_media::{Encoder, EncoderConfig, EncoderFactory, Reason, reason};

use crate::link::EncoderChange;
use crate::session::{Ending, Shared};

/// The encoders of the negotiated codec, best first, and the open one.
pub(super) struct Ladder {
    shared: Arc<Shared>,
    factories: Vec<Arc<dyn EncoderFactory>>,
    rung: usize,
    open: Option<Open>,
}

/// An open encoder.
pub(super) struct Open {
    pub encoder: Box<dyn Encoder>,
    pub config: EncoderConfig,
    pub can_invalidate: bool,
    /// Whether it has seen a picture.
    pub fed: bool,
    /// Access units that the session had made before this encoder's first.
    pub base: u32,
}

impl Ladder {
    pub fn new(shared: &Arc<Shared>, factories: Vec<Arc<dyn EncoderFactory>>) -> Self {
        Self { shared: Arc::clone(shared), factories, rung: 0, open: None }
    }

    pub fn current(&mut self) -> Option<&mut Open> {
        self.open.as_mut()
    }

    /// Opens the best encoder that is left. The session's next access unit is number `base`.
    pub fn open(&mut self, config: EncoderConfig, base: u32) -> Result<(), Ending> {
        // The old one first: encoders are large, and hardware has few of them.
        self.open = None;
        loop {
            let Some(factory) = self.factories.get(self.rung) else {
                let detail = format!("none of {} encoders is left for {}", self.factories.len(), config.mode);
                return Err(Ending::failed(&reason::ENCODE_NO_ENCODER_LEFT, detail));
            };
            match factory.open(&config) {
                Ok(encoder) => {
                    let caps = encoder.caps();
                    tracing::info!(session = self.shared.id, encoder = caps.name, version = caps.version,
                        mode = %config.mode, bps = config.bitrate_bps, "encoder opened");
                    self.shared.stats.set_encoder(caps.name);
                    self.open = Some(Open { encoder, config, can_invalidate: caps.can_invalidate, fed: false, base });
                    return Ok(());
                }
                Err(error) => self.leave_rung(error.reason, error.detail),
            }
        }
    }

    /// The open encoder broke: opens the next one with the same configuration.
    pub fn step_down(&mut self, why: &'static Reason, detail: String, base: u32) -> Result<(), Ending> {
        let Some(broken) = self.open.take() else { return Err(Ending::failed(why, detail)) };
        let config = broken.config;
        drop(broken.encoder);
        self.leave_rung(why, detail);
        self.open(config, base)
    }

    fn leave_rung(&mut self, why: &'static Reason, detail: String) {
        let name = |rung: usize| self.factories.get(rung).map(|f| f.name());
        let change = EncoderChange { from: name(self.rung).unwrap_or_default(), to: name(self.rung + 1), detail };
        self.rung += 1;
        tracing::warn!(
            session = self.shared.id,
            code = why.code,
            from = change.from,
            to = change.to,
            "encoder failed: {}",
            change.detail
        );
        self.shared.stats.counters.encoder_changes.one();
        self.shared.events.encoder_changed(&change);
    }
}
