//! Network emulator, fixtures and headless-desktop launchers for tests

pub mod desktop;
pub mod netem;
pub mod pair;
pub mod sound;
pub mod window;
