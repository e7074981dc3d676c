//! Fast implementations of the core's AEAD and FEC traits
