//! Bearer tokens: `tokens.json` keeps their hashes.

use punktfunk_hub::state::Document;
use punktfunk_media::reason;
use serde::{Deserialize, Serialize};

use super::secret::{digest, random};
use super::{Class, Scope};
use crate::Problem;

/// `tokens.json`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Tokens {
    /// Oldest first.
    pub tokens: Vec<TokenRecord>,
    #[serde(flatten)]
    extra: serde_json::Map<String, serde_json::Value>,
}

impl Document for Tokens {
    const NAME: &'static str = "tokens.json";
    const VERSION: u64 = 1;
}

/// One token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TokenRecord {
    /// For lists and revocation.
    pub id: String,
    /// What its maker called it.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// SHA-256 of the secret, which has 256 bits.
    hash: String,
    /// Unix time in seconds.
    pub created_at: u64,
    /// Unix time in seconds; `None`: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
    #[serde(flatten)]
    extra: serde_json::Map<String, serde_json::Value>,
}

impl TokenRecord {
    /// Whether it opens routes of this class now.
    pub fn opens(&self, class: Class, now_s: u64) -> bool {
        !self.expired(now_s) && class.scope().is_some_and(|scope| self.scopes.contains(&scope))
    }

    /// Whether its time is over.
    pub fn expired(&self, now_s: u64) -> bool {
        self.expires_at.is_some_and(|end| end <= now_s)
    }
}

impl Tokens {
    /// The token with this secret.
    pub fn by_secret(&self, secret: &str) -> Option<&TokenRecord> {
        let hash = digest(secret);
        self.tokens.iter().find(|t| t.hash == hash)
    }

    /// The token with this id.
    pub fn by_id(&self, id: &str) -> Option<&TokenRecord> {
        self.tokens.iter().find(|t| t.id == id)
    }

    /// The file with one more token, its record and its secret, which nobody keeps.
    ///
    /// # Errors
    /// `token.too_many`, `host.no_randomness`.
    pub fn with(
        &self,
        name: &str,
        scopes: &[Scope],
        now_s: u64,
        expires_at: Option<u64>,
    ) -> Result<(Self, TokenRecord, String), Problem> {
        let mut next = self.clone();
        next.tokens.retain(|t| !t.expired(now_s));
        if next.tokens.len() >= MAX_TOKENS {
            return Err(Problem::new(&reason::TOKEN_TOO_MANY));
        }
        let mut scopes = scopes.to_vec();
        scopes.sort_unstable();
        scopes.dedup();
        // The prefix lets scanners for leaked secrets recognise it.
        let secret = format!("pft_{}", random::<32>()?);
        let record = TokenRecord {
            id: random::<6>()?,
            name: name.to_owned(),
            scopes,
            hash: digest(&secret),
            created_at: now_s,
            expires_at,
            extra: serde_json::Map::new(),
        };
        next.tokens.push(record.clone());
        Ok((next, record, secret))
    }

    /// The file without a token; `None` if there is none with this id.
    pub fn without(&self, id: &str) -> Option<Self> {
        let mut next = self.clone();
        let before = next.tokens.len();
        next.tokens.retain(|t| t.id != id);
        (next.tokens.len() < before).then_some(next)
    }
}

/// More than any household's scripts need.
const MAX_TOKENS: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_what_its_scopes_say_until_it_ends() {
        let tokens = Tokens::default();
        let (tokens, record, secret) =
            tokens.with("grafana", &[Scope::Metrics, Scope::Read, Scope::Read], 100, Some(200)).expect("room");
        assert_eq!(record.scopes, [Scope::Read, Scope::Metrics]);
        let text = serde_json::to_string(&tokens).expect("JSON");
        assert!(!text.contains(&secret));
        let found = tokens.by_secret(&secret).expect("it is there");
        assert!(found.opens(Class::Metrics, 199) && found.opens(Class::Inspect, 199));
        assert!(
            !found.opens(Class::Metrics, 200) && !found.opens(Class::Control, 199) && !found.opens(Class::Local, 0)
        );
        assert!(tokens.by_secret("pft_x").is_none());
        assert!(tokens.without("x").is_none());
        assert!(tokens.without(&record.id).expect("it is there").by_secret(&secret).is_none());
    }
}
