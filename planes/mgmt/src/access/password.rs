//! The console's password: argon2id, and the browsers that once knew it.

use argon2::{Algorithm, Argon2, Params, Version};
use punktfunk_hub::state::Document;
use punktfunk_media::reason;
use serde::{Deserialize, Serialize};

use super::secret::{digest, hex, random};
use crate::Problem;

/// `console.json`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct PasswordFile {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password: Option<Hashed>,
    /// Hashes of the device cookies that we gave out, oldest first.
    #[serde(default)]
    devices: Vec<String>,
    #[serde(flatten)]
    extra: serde_json::Map<String, serde_json::Value>,
}

impl Document for PasswordFile {
    const NAME: &'static str = "console.json";
    const VERSION: u64 = 1;
}

/// argon2id version 19 with its parameters, so that later releases may raise them.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Hashed {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: String,
    hash: String,
}

impl PasswordFile {
    /// Whether there is a password.
    pub fn is_set(&self) -> bool {
        self.password.is_some()
    }

    /// The file with another password, which forgets the browsers that knew the old one. Slow: some 50 ms and 19 MiB.
    ///
    /// # Errors
    /// `console.password_unfit`, `host.no_randomness`.
    pub fn with_password(&self, password: &str) -> Result<Self, Problem> {
        let length = password.chars().count();
        if length < MIN_CHARS || password.len() > MAX_BYTES {
            return Err(Problem::new(&reason::CONSOLE_PASSWORD_UNFIT));
        }
        let params = Params::DEFAULT;
        let mut hashed = Hashed {
            memory_kib: params.m_cost(),
            passes: params.t_cost(),
            lanes: params.p_cost(),
            salt: random::<16>()?,
            hash: String::new(),
        };
        hashed.hash = hashed.compute(password)?;
        Ok(Self { password: Some(hashed), devices: Vec::new(), extra: self.extra.clone() })
    }

    /// Whether this is the password. Slow: some 50 ms and 19 MiB.
    ///
    /// # Errors
    /// `api.internal` if the file's parameters are unusable.
    pub fn matches(&self, password: &str) -> Result<bool, Problem> {
        let Some(hashed) = self.password.as_ref().filter(|_| password.len() <= MAX_BYTES) else { return Ok(false) };
        // Comparing digests: the time tells nothing about the hash.
        Ok(digest(&hashed.compute(password)?) == digest(&hashed.hash))
    }

    /// Whether we gave this device cookie out; its hash then.
    pub fn device(&self, secret: &str) -> Option<String> {
        let id = digest(secret);
        self.devices.contains(&id).then_some(id)
    }

    /// The file with one more device cookie, and that cookie.
    ///
    /// # Errors
    /// `host.no_randomness`.
    pub fn with_device(&self) -> Result<(Self, String), Problem> {
        let secret = random::<16>()?;
        let mut next = self.clone();
        if next.devices.len() >= MAX_DEVICES {
            next.devices.remove(0);
        }
        next.devices.push(digest(&secret));
        Ok((next, secret))
    }
}

impl Hashed {
    fn compute(&self, password: &str) -> Result<String, Problem> {
        let broken = |e: argon2::Error| Problem::new(&reason::API_INTERNAL).with_detail(format!("console.json: {e}"));
        // Written by us; but a file is a file.
        let memory = self.memory_kib.min(MAX_MEMORY_KIB);
        let params = Params::new(memory, self.passes.min(16), self.lanes.min(16), Some(HASH_BYTES)).map_err(broken)?;
        let mut hash = [0; HASH_BYTES];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(password.as_bytes(), self.salt.as_bytes(), &mut hash)
            .map_err(broken)?;
        Ok(hex(&hash))
    }
}

/// With the lock-out, 8 characters are enough (NIST SP 800-63B §5.1.1.2).
const MIN_CHARS: usize = 8;
/// Longer than any password manager's.
const MAX_BYTES: usize = 256;
/// A household's browsers, old ones included.
const MAX_DEVICES: usize = 32;
const HASH_BYTES: usize = 32;
const MAX_MEMORY_KIB: u32 = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_kept_as_argon2id_and_devices_go_with_it() {
        let file = PasswordFile::default();
        assert!(!file.is_set() && !file.matches("").expect("none"));
        let refused = file.with_password("7 chars").expect_err("too short");
        assert_eq!(refused.code, "console.password_unfit");
        let file = file.with_password("correct horse").expect("fit");
        let text = serde_json::to_string(&file).expect("JSON");
        assert!(!text.contains("horse"));
        let file: PasswordFile = serde_json::from_str(&text).expect("JSON");
        assert!(file.matches("correct horse").expect("fit") && !file.matches("correct hors").expect("fit"));
        let (mut file, device) = file.with_device().expect("random");
        assert!(file.device(&device).is_some() && file.device("x").is_none());
        for _ in 0..MAX_DEVICES {
            file = file.with_device().expect("random").0;
        }
        assert!(file.device(&device).is_none(), "the oldest went");
        let (file, device) = file.with_device().expect("random");
        assert!(file.with_password("another horse").expect("fit").device(&device).is_none());
    }
}
