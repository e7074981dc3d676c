//! Network emulator, fixtures and headless-desktop launchers for tests
