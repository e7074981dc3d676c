//! What smithay asks of us, protocol by protocol.

mod guards;
mod hints;
mod seat;
mod selection;
mod shell;
mod surfaces;
mod text_input;
mod timing;
mod trees;
