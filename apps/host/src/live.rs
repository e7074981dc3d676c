//! Puts changed settings into force while the host runs.

use std::sync::{Arc, Weak};

use punktfunk_hub::Hub;
use punktfunk_hub::displays::Displays;
use punktfunk_media::AudioPolicyCell;
use punktfunk_mgmt::Problem;

use crate::config::Config;
use crate::doors::{Doors, Ports};
use crate::encoders::Encoders;
use crate::gpus;
use crate::serve::{hub_linger, hub_pairing};

/// What can change without a restart.
pub trait Live: Send + Sync {
    /// Whether what can be in force only after a restart is there at all.
    ///
    /// # Errors
    /// What is not.
    fn check(&self, from: &Config, to: &Config) -> Result<(), Problem>;

    /// Puts what differs between the two into force. Doors that close because of it stay open until [`Self::keep`], or until
    /// the change is taken back. Blocks, for an encoder's test some seconds.
    ///
    /// # Errors
    /// Why it cannot be; nothing changed then.
    fn apply(&self, from: &Config, to: &Config) -> Result<(), Problem>;

    /// The change stays.
    fn keep(&self);

    /// The console's port now, if there is one.
    fn console_port(&self) -> Option<u16>;
}

/// The parts of the running host. Holds none that serve requests, which hold the settings.
pub struct Parts {
    /// Slots and who gets in.
    pub hub: Arc<Hub>,
    /// How long displays stay.
    pub displays: Arc<Displays>,
    /// What is encoded with.
    pub encoders: Encoders,
    /// Who hears a running session.
    pub audio: AudioPolicyCell,
    /// The doors.
    pub doors: Weak<Doors>,
    /// Whether there are doors at all.
    pub with_doors: bool,
}

impl Live for Parts {
    fn check(&self, from: &Config, to: &Config) -> Result<(), Problem> {
        if from.gpu == to.gpu {
            return Ok(());
        }
        gpus::check(&to.gpu).map_err(|e| Problem::new(e.reason).with_detail(e.detail))
    }

    fn apply(&self, from: &Config, to: &Config) -> Result<(), Problem> {
        // What can fail comes first.
        if from.encoder != to.encoder {
            self.encoders.choose(to.encoder).map_err(|e| Problem::new(e.reason).with_detail(e.detail))?;
        }
        if self.with_doors && ports(from) != ports(to) {
            let doors = self.doors.upgrade();
            doors.map_or(Ok(()), |doors| doors.change(ports(to))).inspect_err(|_| {
                if from.encoder != to.encoder && self.encoders.choose(from.encoder).is_err() {
                    tracing::warn!("the encoder from before failed its test");
                }
            })?;
        }
        if from.scale_percent != to.scale_percent {
            self.displays.set_scale_percent(to.scale_percent);
        }
        if from.linger != to.linger {
            self.displays.set_linger(hub_linger(to.linger));
        }
        self.audio.set(to.audio_policy);
        if from.max_sessions != to.max_sessions {
            self.hub.admission().set_max_sessions(to.max_sessions as usize);
        }
        let api_port = self.doors.upgrade().and_then(|d| d.api()).map_or(0, |a| a.port());
        self.hub.set_policy(|policy| {
            policy.pairing = hub_pairing(to.pairing);
            if from.max_bitrate_kbps != to.max_bitrate_kbps {
                policy.max_kbps = Some(to.max_bitrate_kbps);
            }
            if from.api_port != to.api_port {
                policy.api_port = Some(api_port);
            }
        });
        Ok(())
    }

    fn keep(&self) {
        if let Some(doors) = self.doors.upgrade() {
            doors.keep();
        }
    }

    fn console_port(&self) -> Option<u16> {
        self.doors.upgrade()?.web().map(|a| a.port())
    }
}

const fn ports(config: &Config) -> Ports {
    Ports { api: config.api_port, web: config.web_port }
}
