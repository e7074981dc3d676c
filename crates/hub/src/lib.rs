//! What outlives a session: admission, displays, trust, pairing, journal, events
