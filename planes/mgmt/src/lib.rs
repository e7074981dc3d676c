//! The management API: one router for the control socket and, later, the LAN
