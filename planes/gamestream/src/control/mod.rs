//! The control stream: ENet, sealed packets, input in, feedback out.
