//! How a connection ended, and what a person can do about it (punktfunk1.md §8.4).

use std::fmt;

use punktfunk_core::CloseCode;
use quinn::ConnectionError;

/// Who ended a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EndedBy {
    /// The host, with a close code.
    Host,
    /// We did.
    Us,
    /// Nobody said goodbye: silence, or the transport failed.
    Path,
}

/// The end of a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct End {
    /// Who ended it.
    pub by: EndedBy,
    /// The application close code, where there was one.
    pub code: Option<CloseCode>,
    /// The peer's words, or what the transport says.
    pub reason: String,
}

impl End {
    /// Reads quinn's account of an end.
    #[must_use]
    pub fn of(error: &ConnectionError) -> Self {
        match error {
            ConnectionError::ApplicationClosed(close) => Self {
                by: EndedBy::Host,
                // Application codes are varints; every code of the protocol fits.
                code: Some(CloseCode(u32::try_from(close.error_code.into_inner()).unwrap_or(u32::MAX))),
                reason: printable(&String::from_utf8_lossy(&close.reason)),
            },
            ConnectionError::LocallyClosed => Self { by: EndedBy::Us, code: None, reason: String::new() },
            ConnectionError::TimedOut => {
                Self { by: EndedBy::Path, code: None, reason: "the host went silent".to_owned() }
            }
            other => Self { by: EndedBy::Path, code: None, reason: other.to_string() },
        }
    }

    /// Whether the host said no, rather than that something broke or came to its end.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        self.by == EndedBy::Host
            && self.code.is_some_and(|code| {
                code == CloseCode::BUSY
                    || (CloseCode::PAIRING_NOT_ARMED.0..=CloseCode::LAUNCH_DENIED.0).contains(&code.0)
            })
    }

    /// What to do about it, for a person; `None` where nothing helps.
    #[must_use]
    pub fn fix(&self) -> Option<&'static str> {
        Some(match self.code? {
            CloseCode::BUSY => "Wait for a session to end, or end one on the host.",
            CloseCode::PAIRING_NOT_ARMED => "Run `punktfunk-host pair arm` on the host and use the PIN it prints.",
            CloseCode::PAIRING_BOUND => "The PIN is meant for another device: arm a new one on the host.",
            CloseCode::PAIRING_RATE_LIMITED => "Wait two seconds and try again.",
            CloseCode::IDENTITY_REQUIRED => {
                "The host wants a client certificate; this client always shows one: update it."
            }
            CloseCode::DENIED => "The operator said no. Ask, then connect again.",
            CloseCode::APPROVAL_TIMEOUT => {
                "Nobody approved the request in time: `punktfunk-host pair list` and `pair approve ID` on the host, \
                 or pair with a PIN."
            }
            CloseCode::SUPERSEDED => "The same device asked again from elsewhere; that request counts.",
            CloseCode::VERSION_MISMATCH => "Host and client speak different wire versions: update the older one.",
            CloseCode::SETUP_FAILED => "The reason names what is missing; `punktfunk-host doctor` tells more.",
            CloseCode::ACCESS_ENDED => "Access ended or was revoked: pair again.",
            CloseCode::LAUNCH_DENIED => "This device may not start applications: change its grants on the host.",
            CloseCode::POWER => "The host is going down; try again later.",
            _ => return None,
        })
    }
}

/// One line: code, meaning, words.
impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = match self.by {
            EndedBy::Host => "the host closed the connection",
            EndedBy::Us => "we closed the connection",
            EndedBy::Path => "the connection was lost",
        };
        f.write_str(who)?;
        if let Some(code) = self.code {
            write!(f, " with {code}")?;
        }
        if !self.reason.is_empty() {
            write!(f, ": {}", self.reason)?;
        }
        Ok(())
    }
}

/// A peer's text on one line of a terminal: no control characters.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(code: CloseCode) -> End {
        End { by: EndedBy::Host, code: Some(code), reason: String::new() }
    }

    #[test]
    fn refusals_are_told_from_ends() {
        for code in CloseCode::ALL {
            let normal = [
                CloseCode::DONE,
                CloseCode::ERROR,
                CloseCode::QUIT,
                CloseCode::APP_EXITED,
                CloseCode::POWER,
                CloseCode::CLIPBOARD_CANCELLED,
            ];
            assert_eq!(host(*code).is_refusal(), !normal.contains(code), "{code}");
            if host(*code).is_refusal() {
                assert!(host(*code).fix().is_some_and(|fix| fix.ends_with('.')), "{code}");
            }
        }
    }

    #[test]
    fn a_peers_words_cannot_draw_on_the_terminal() {
        let close = quinn::ApplicationClose {
            error_code: 0x42_u32.into(),
            reason: b"busy:\x1b[2J\nliving room"[..].to_vec().into(),
        };
        let end = End::of(&ConnectionError::ApplicationClosed(close));
        assert_eq!(end.to_string(), "the host closed the connection with 0x42 (host busy): busy: [2J living room");
    }
}
