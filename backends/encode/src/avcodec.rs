//! Owned handles around libavcodec's objects: freed on every path, fields read through the version's layout.

mod context;
mod frame;
mod packet;

pub(crate) use context::{CallError, Context};
pub(crate) use frame::Frame;
pub(crate) use packet::Packet;
