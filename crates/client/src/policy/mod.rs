//! What the client decides by itself, each policy a small sans-IO type: time and facts go in, wishes come out.
//!
//! | policy | decides | specification |
//! |---|---|---|
//! | [`Recovery`] | which pictures are safe to show; reference invalidation and keyframe requests | §7.2, 1–3 |
//! | [`LiveGuard`] | when to throw a backlog away | §7.2, 4 |
//! | [`Arrivals`], [`Reports`] | loss and delivery reports | §3.9.2 |
//! | [`Abr`] | the wire budget in automatic mode | §7.6 |
//! | [`SpeedTest`] | what a probe burst proved | §3.9.2 |
//! | [`Punching`] | when to send hole punches | §5.9 |

mod abr;
mod live;
mod punch;
mod recovery;
mod report;
mod speed;

pub use abr::{Abr, AbrWindow, Decision};
pub use live::LiveGuard;
pub use punch::Punching;
pub use recovery::{Ask, Recovery, Verdict};
pub use report::{Arrivals, REPORT_INTERVAL, Reports, Window};
pub use speed::{BurstReceived, SpeedOutcome, SpeedTest};
