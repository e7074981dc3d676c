//! Host and probe over loopback, on real compositors
