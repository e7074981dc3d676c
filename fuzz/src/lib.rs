//! Fuzz bodies for every decoder; the same bodies run for a bounded time in the tests
