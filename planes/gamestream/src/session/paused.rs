//! A session whose client left: its program still runs on its display, as long as that is kept.

use crate::door::LaunchRequest;

/// What `/resume` finds.
#[derive(Clone, Debug)]
pub(crate) struct Paused {
    /// The application.
    pub app: u32,
    /// What the launch said; old clients leave most of it out when they resume.
    pub request: LaunchRequest,
}
