//! Audio backends
