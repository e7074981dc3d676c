//! What a private desktop shows when nothing runs on it, and above everything when somebody asks for it: a terminal, the
//! library, the windows that are open, and who is connected. An ordinary program of the desktop; the host's own binary runs
//! it in its launcher mode.
//!
//! ```text
//! Wayland events ──► View (what is chosen, where it has scrolled to) ──► Action ──► the source's thread ──► the host
//!       ▲                                  │ places                                        │
//!       └── eventfd ◄──────────────────────┴──── paint ◄──── Content, covers ◄─────────────┘
//! inotify ◄── a program that ended at once, told in the runtime folder by whoever started it
//! ```
//!
//! It draws when something changed and sleeps otherwise. It is a layer that takes the keyboard when asked: while it has it, it
//! lies above the windows, else below them.

mod canvas;
mod client;
mod content;
mod covers;
mod ended;
mod paint;
mod terminal;
mod text;
mod view;
mod worker;

pub use client::run;
pub use content::{Content, Entry, OpenWindow, Source};

/// How compositors know the layer (`zwlr_layer_shell_v1.get_layer_surface`).
pub const NAMESPACE: &str = "punktfunk-launcher";
