//! What smithay asks of us, protocol by protocol.

mod seat;
mod selection;
mod shell;
mod surfaces;
