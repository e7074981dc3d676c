//! The GameStream plane
