//! Finds the games that stores installed for a user, by reading their files: no network, no programs started, nothing
//! written outside a temporary folder.
//!
//! ```text
//! Roots ─► Scanner::scan ─► Scan { titles, problems, stamps }      stamps say when to look again
//! ```
//!
//! Every file is somebody else's: reads are bounded, parsers take any bytes, and a scanner that fails leaves the others
//! alone. Ids name their store (`steam:570`), so that they stay the same whatever else is installed.

mod clean;
mod cover;
mod formats;
mod look;
mod roots;
mod scanners;
mod title;

pub use clean::{clean_title, is_id};
pub use cover::{COVER_BYTES, CoverError, picture_type, to_png};
pub use formats::desktop_entry::{DesktopEntry, command_line};
pub use formats::shell::{join, quote};
pub use formats::vdf::{Node, parse_binary, parse_text};
pub use formats::yaml::{Yaml, parse_yaml};
pub use look::{Problem, Stamp};
pub use roots::Roots;
pub use scanners::{Scan, Scanner};
pub use title::Title;
