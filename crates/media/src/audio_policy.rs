//! Who hears the programs of a running desktop, and how its sound stands.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Who hears the programs of a running desktop while somebody watches. (A private desktop has no speakers.)
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AudioPolicy {
    /// The clients alone: programs play to a sink of ours, and the host's speakers are silent. A client may ask that they
    /// go on.
    #[default]
    ClientOnly,
    /// Clients and the host's speakers: programs play to a sink of ours, which plays on.
    HostAndClient,
    /// Nothing is changed: clients hear whatever plays on the sink that is the default one at the moment.
    FollowDefault,
}

impl AudioPolicy {
    /// All, with their names in configuration, API and console.
    pub const ALL: [(&'static str, Self); 3] = [
        ("client_only", Self::ClientOnly),
        ("host_and_client", Self::HostAndClient),
        ("follow_default", Self::FollowDefault),
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        Self::ALL[self as usize].0
    }
}

/// The policy in force. Clones share it, and sessions that run follow a change.
#[derive(Clone, Debug, Default)]
pub struct AudioPolicyCell(Arc<AtomicU8>);

impl AudioPolicyCell {
    /// A cell that holds this policy.
    #[must_use]
    pub fn new(policy: AudioPolicy) -> Self {
        Self(Arc::new(AtomicU8::new(policy as u8)))
    }

    /// The policy in force.
    #[must_use]
    pub fn get(&self) -> AudioPolicy {
        AudioPolicy::ALL.get(usize::from(self.0.load(Ordering::Relaxed))).map_or_else(AudioPolicy::default, |(_, p)| *p)
    }

    /// Puts another in force.
    pub fn set(&self, policy: AudioPolicy) {
        self.0.store(policy as u8, Ordering::Relaxed);
    }
}

/// How the sound of a running desktop stands.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SoundState {
    /// The sink that we made for it, while there is one.
    pub sink: Option<SinkState>,
    /// Who listens, by the clients' names.
    pub listeners: Vec<String>,
}

/// How a sink of ours stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkState {
    /// Its `node.name`.
    pub name: String,
    /// How many speakers it has.
    pub channels: usize,
    /// Whether programs play to it.
    pub standing: SinkStanding,
    /// Whether it plays on to the host's speakers.
    pub speakers: bool,
}

/// Whether programs play to a sink of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SinkStanding {
    /// No session manager answers: nobody knows where programs play to.
    #[default]
    Waiting,
    /// It is the default one.
    Default,
    /// Somebody at the host chose another one meanwhile, and keeps it.
    Overruled,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_serde_writes_and_a_cell_is_shared() {
        for (name, policy) in AudioPolicy::ALL {
            assert_eq!(policy.name(), name);
            assert_eq!(serde_json::to_string(&policy).unwrap(), format!("\"{name}\""));
            let cell = AudioPolicyCell::default();
            cell.clone().set(policy);
            assert_eq!(cell.get(), policy);
            assert_eq!(AudioPolicyCell::new(policy).get(), policy);
        }
    }
}
