//! Guessing the password is slow, from wherever the guesses come.
//!
//! Wrong passwords are counted for all strangers together, so that changing the address buys nothing; each failure after
//! the fifth doubles the wait. A browser that signed in before shows its device cookie and has a budget of its own: while
//! strangers guess, the owner still gets in.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Whose budget an attempt comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// No, or no valid, device cookie.
    Stranger,
    /// The hash of a device cookie that we gave out.
    Device(String),
}

/// The budgets.
#[derive(Debug, Default)]
pub(crate) struct Lockout {
    strangers: Budget,
    devices: HashMap<String, Budget>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Budget {
    failures: u32,
    until: Option<Instant>,
}

impl Lockout {
    /// Takes an attempt from the budget, as if it failed: attempts at the same time share one budget. Call
    /// [`Self::passed`] if it was right.
    ///
    /// # Errors
    /// How long to wait before the next one.
    pub fn attempt(&mut self, who: &Who, now: Instant) -> Result<(), Duration> {
        let budget = self.budget(who);
        if let Some(until) = budget.until
            && now < until
        {
            return Err(until - now);
        }
        budget.failures = budget.failures.saturating_add(1);
        let beyond = budget.failures.saturating_sub(FREE);
        budget.until = (beyond > 0).then(|| now + FIRST_WAIT.saturating_mul(1 << beyond.min(16)).min(LONGEST_WAIT));
        Ok(())
    }

    /// The attempt was right: its budget is whole again.
    pub fn passed(&mut self, who: &Who) {
        match who {
            Who::Stranger => self.strangers = Budget::default(),
            Who::Device(id) => drop(self.devices.remove(id)),
        }
    }

    fn budget(&mut self, who: &Who) -> &mut Budget {
        match who {
            Who::Stranger => &mut self.strangers,
            // Only cookies that we gave out get here, of which there are few.
            Who::Device(id) => self.devices.entry(id.clone()).or_default(),
        }
    }
}

/// Typing mistakes.
const FREE: u32 = 4;
/// Doubled before it is first used: the wait after the fifth mistake is 30 s.
const FIRST_WAIT: Duration = Duration::from_secs(15);
/// Four guesses an hour; a password of 8 letters stands for longer than its owner.
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_get_slower_for_all_strangers_and_not_for_a_known_browser() {
        let mut lockout = Lockout::default();
        let mut now = Instant::now();
        let mut waited = Duration::ZERO;
        for _ in 0..50 {
            while let Err(wait) = lockout.attempt(&Who::Stranger, now) {
                assert!(wait <= LONGEST_WAIT);
                now += wait;
                waited += wait;
            }
        }
        assert!(waited > Duration::from_secs(8 * 3600), "{waited:?}");
        assert!(lockout.attempt(&Who::Stranger, now).is_err());
        let owner = Who::Device("d".into());
        for _ in 0..=FREE {
            lockout.attempt(&owner, now).expect("typing mistakes");
        }
        assert!(lockout.attempt(&owner, now).is_err(), "a stolen cookie has a budget, too");
        lockout.passed(&Who::Stranger);
        lockout.attempt(&Who::Stranger, now).expect("whole again");
        lockout.passed(&owner);
        lockout.attempt(&owner, now).expect("whole again");
    }
}
