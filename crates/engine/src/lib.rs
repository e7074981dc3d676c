//! One session: plan, threads, stop
