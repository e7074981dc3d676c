//! Sockets for the core: batched UDP with GSO, QUIC endpoints, identity
