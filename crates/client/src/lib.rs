//! The client side of punktfunk/1: sans-IO session, recovery, adaptive bitrate, and a thin driver
