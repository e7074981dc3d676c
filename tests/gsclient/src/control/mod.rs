//! The control stream (§6): sealed messages over ENet.

mod link;
mod message;
mod seal;

pub(crate) use link::Sender;
pub use link::{Control, ControlEvent, ControlOptions};
pub use message::{FecStatus, HdrMode, HostMessage, Message};
pub use seal::{Opener, Sealer, Version};

/// How ENet delivers a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delivery {
    /// In order, never lost.
    Reliable,
    /// May get lost, never overtakes.
    Unreliable,
    /// May get lost and overtake.
    Unsequenced,
}
