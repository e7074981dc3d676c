//! The one-time link with which the console's password is set.
//!
//! Only the host's own user sees it: `serve` prints it, `punktfunk-host console-url` shows it again. It holds until it was
//! used, or a newer one was made, or the host ended.

use super::secret::{digest, random};
use crate::Problem;

/// The link in force.
#[derive(Debug, Default)]
pub(crate) struct SetupLink {
    secret: Option<String>,
}

impl SetupLink {
    /// The secret in force; makes one if there is none.
    ///
    /// # Errors
    /// `host.no_randomness`.
    pub fn secret(&mut self) -> Result<String, Problem> {
        if let Some(secret) = &self.secret {
            return Ok(secret.clone());
        }
        let secret = random::<16>()?;
        self.secret = Some(secret.clone());
        Ok(secret)
    }

    /// Whether this is the link in force.
    pub fn matches(&self, secret: &str) -> bool {
        // Hashes are compared, so that the time tells nothing about the secret.
        self.secret.as_deref().is_some_and(|ours| digest(ours) == digest(secret))
    }

    /// It was used, or is not wanted any more.
    pub fn spend(&mut self) {
        self.secret = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_works_once() {
        let mut link = SetupLink::default();
        assert!(!link.matches("") && !link.matches("x"));
        let secret = link.secret().expect("random");
        assert_eq!(link.secret().expect("the same"), secret);
        assert!(link.matches(&secret) && !link.matches("x"));
        link.spend();
        assert!(!link.matches(&secret));
        assert_ne!(link.secret().expect("a new one"), secret);
    }
}
