//! Signed-in browsers. Kept in memory: a restart of the host signs everybody out.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::secret::{digest, random};
use crate::Problem;

/// The browsers that are signed in, by the hash of their cookie.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    live: HashMap<String, Session>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Session {
    /// Hash of its cookie.
    pub id: String,
    /// What its changes must carry.
    pub csrf: String,
    since: Instant,
    used: Instant,
}

/// A browser that signed in just now.
#[derive(Debug)]
pub(crate) struct NewSession {
    /// The cookie's value; nobody keeps it but the browser.
    pub secret: String,
    /// What its changes must carry.
    pub csrf: String,
}

impl Sessions {
    /// Signs a browser in; with too many, the one that was idle longest is signed out.
    ///
    /// # Errors
    /// `host.no_randomness`.
    pub fn begin(&mut self, now: Instant) -> Result<NewSession, Problem> {
        let (secret, csrf) = (random::<32>()?, random::<16>()?);
        self.live.retain(|_, s| s.lives(now));
        if self.live.len() >= MAX_SESSIONS
            && let Some(oldest) = self.live.values().min_by_key(|s| s.used).map(|s| s.id.clone())
        {
            self.live.remove(&oldest);
        }
        let id = digest(&secret);
        self.live.insert(id.clone(), Session { id, csrf: csrf.clone(), since: now, used: now });
        Ok(NewSession { secret, csrf })
    }

    /// The session of this cookie, which is in use now.
    pub fn used(&mut self, secret: &str, now: Instant) -> Option<&Session> {
        let session = self.live.get_mut(&digest(secret)).filter(|s| s.lives(now))?;
        session.used = now;
        Some(session)
    }

    /// Whether the session still lives.
    pub fn is_live(&self, id: &str, now: Instant) -> bool {
        self.live.get(id).is_some_and(|s| s.lives(now))
    }

    /// Signs one out.
    pub fn end(&mut self, id: &str) {
        self.live.remove(id);
    }

    /// Signs everybody out, but for one.
    pub fn end_all_but(&mut self, id: Option<&str>) {
        self.live.retain(|other, _| Some(other.as_str()) == id);
    }
}

impl Session {
    fn lives(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.used) < IDLE && now.saturating_duration_since(self.since) < LONGEST
    }
}

/// A household's browsers.
const MAX_SESSIONS: usize = 64;
/// An evening without a click.
const IDLE: Duration = Duration::from_secs(12 * 3600);
/// Then the password is asked again.
pub(crate) const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_end_by_idling_by_age_and_by_order() {
        let start = Instant::now();
        let mut sessions = Sessions::default();
        let one = sessions.begin(start).expect("random");
        assert!(sessions.used("guess", start).is_none());
        let mut now = start;
        while now + IDLE / 2 < start + LONGEST {
            now += IDLE / 2;
            assert!(sessions.used(&one.secret, now).is_some(), "in use");
        }
        assert!(sessions.used(&one.secret, start + LONGEST).is_none(), "a week is over");
        let two = sessions.begin(now).expect("random");
        assert!(sessions.used(&two.secret, now + IDLE).is_none(), "idle");
        let three = sessions.begin(now).expect("random");
        let id = sessions.used(&three.secret, now).expect("live").id.clone();
        let four = sessions.begin(now).expect("random");
        sessions.end_all_but(Some(&id));
        assert!(sessions.is_live(&id, now) && sessions.used(&four.secret, now).is_none());
        sessions.end(&id);
        assert!(sessions.used(&three.secret, now).is_none());
    }

    #[test]
    fn a_flood_signs_the_idlest_out() {
        let start = Instant::now();
        let mut sessions = Sessions::default();
        let all: Vec<_> = (0..=MAX_SESSIONS as u64)
            .map(|n| sessions.begin(start + Duration::from_secs(n)).expect("random"))
            .collect();
        let now = start + Duration::from_secs(1000);
        assert!(sessions.used(&all[0].secret, now).is_none());
        assert!(sessions.used(&all[1].secret, now).is_some());
        assert_eq!(sessions.live.len(), MAX_SESSIONS);
    }
}
