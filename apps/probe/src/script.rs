//! Input scripts: one JSON object a line, played from the first frame on. The format is documented in `docs/probe.md`.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use punktfunk_client::{Command, StreamHandle};
use punktfunk_core::Mode;
use punktfunk_core::datagram::RichInput;
use punktfunk_core::input::{InputEvent, MouseButton, Scroll, ScrollAxis, ScrollPhase, ScrollSource};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::failure::{Failure, USAGE};
use crate::keynames::virtual_key;
use crate::padscript::{self, PadLine};
use crate::touchscript::{self, PenLine, TouchLine};

/// What to send, and when.
#[derive(Clone, PartialEq, Debug)]
pub struct Script {
    /// Milliseconds after the first frame, in order.
    steps: Vec<(u64, Step)>,
}

/// One thing to send.
#[derive(Clone, Copy, PartialEq, Debug)]
#[expect(clippy::large_enum_variant, reason = "a script holds few of them")]
pub enum Step {
    /// Ordinary input.
    Input(InputEvent),
    /// Touchpad or motion of a pad, or a pen.
    Rich(RichInput),
    /// Who draws the pointer.
    Cursor {
        /// This side; else the host.
        client_draws: bool,
    },
}

/// One line without its `t_ms`.
#[derive(Deserialize)]
#[serde(tag = "ev", rename_all = "lowercase", deny_unknown_fields)]
enum Event {
    Key {
        vk: Option<u32>,
        key: Option<String>,
        down: Option<bool>,
    },
    Button {
        button: ButtonName,
        down: Option<bool>,
    },
    Move {
        dx: i32,
        dy: i32,
    },
    Abs {
        x: i32,
        y: i32,
        w: Option<u16>,
        h: Option<u16>,
    },
    Scroll {
        #[serde(default)]
        axis: AxisName,
        delta: i32,
        #[serde(default)]
        precise: bool,
        /// A gesture's: begins, goes on, ends.
        finger: Option<PhaseName>,
    },
    Text {
        text: String,
    },
    Pad(PadLine),
    Touch(TouchLine),
    Pen(PenLine),
    Cursor {
        draw: DrawName,
    },
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum DrawName {
    Client,
    Host,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ButtonName {
    Number(u32),
    Name(String),
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "lowercase")]
enum AxisName {
    #[default]
    Vertical,
    Horizontal,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum PhaseName {
    Begin,
    Update,
    End,
}

impl Script {
    /// Reads a script file. Positions without a reference size are in `mode`'s pixels.
    pub fn load(path: &Path, mode: Mode) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path)
            .map_err(|e| Failure::new(format!("{}: {e}", path.display())).with_code(USAGE))?;
        Self::parse(&text, mode)
            .map_err(|(line, why)| Failure::new(format!("{}:{line}: {why}", path.display())).with_code(USAGE))
    }

    /// Empty lines and lines that start with `#` are skipped.
    fn parse(text: &str, mode: Mode) -> Result<Self, (usize, String)> {
        let mut steps = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let at = |why: String| (number + 1, why);
            let mut fields: Map<String, Value> = serde_json::from_str(line).map_err(|e| at(e.to_string()))?;
            let t_ms =
                fields.remove("t_ms").and_then(|t| t.as_u64()).ok_or_else(|| at("`t_ms` is missing".to_owned()))?;
            let event: Event = serde_json::from_value(Value::Object(fields)).map_err(|e| at(e.to_string()))?;
            event.expand(t_ms, mode, &mut steps).map_err(at)?;
        }
        // Stable: events of one moment keep the order of their lines.
        steps.sort_by_key(|(at, _)| *at);
        padscript::number(steps.iter_mut().map(|(_, step)| step));
        touchscript::number(steps.iter_mut().map(|(_, step)| step));
        Ok(Self { steps })
    }

    /// Starts to play; the clock starts now.
    pub fn play(self, stream: StreamHandle) -> Result<Playing, Failure> {
        let stop = Arc::new(AtomicBool::new(false));
        let begun = Instant::now();
        let thread = std::thread::Builder::new()
            .name("script".to_owned())
            .spawn({
                let stop = stop.clone();
                move || {
                    for (at, step) in self.steps {
                        let due = begun + Duration::from_millis(at);
                        while Instant::now() < due && !stop.load(Ordering::Relaxed) {
                            std::thread::sleep(due.saturating_duration_since(Instant::now()).min(LOOK_UP));
                        }
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                        match step {
                            Step::Input(event) => stream.input(event),
                            Step::Rich(rich) => stream.rich(rich),
                            Step::Cursor { client_draws } => stream.command(Command::RenderCursor { client_draws }),
                        }
                        // The send buffer of datagrams is small, and drops the oldest.
                        std::thread::sleep(SPACING);
                    }
                }
            })
            .map_err(|e| Failure::new(format!("cannot start the script's thread: {e}")))?;
        Ok(Playing { stop, thread })
    }
}

/// A script that is being played.
pub struct Playing {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Playing {
    /// Stops it where it is.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        if self.thread.join().is_err() {
            tracing::error!("the script's thread panicked");
        }
    }
}

impl Event {
    fn expand(self, t_ms: u64, mode: Mode, steps: &mut Vec<(u64, Step)>) -> Result<(), String> {
        let mut out = Vec::new();
        // Without `down`: pressed and released.
        let presses = |down: Option<bool>| down.map_or(vec![true, false], |down| vec![down]);
        match self {
            Self::Key { vk, key, down } => {
                let vk = match (vk, key) {
                    (Some(vk), None) => vk,
                    (None, Some(name)) => virtual_key(&name).ok_or_else(|| format!("no key is called `{name}`"))?,
                    _ => return Err("give either `vk` or `key`".to_owned()),
                };
                out.extend(presses(down).into_iter().map(|down| InputEvent::Key { vk, down }));
            }
            Self::Button { button, down } => {
                let button = button.resolve()?;
                out.extend(presses(down).into_iter().map(|down| InputEvent::MouseButton { button, down }));
            }
            Self::Move { dx, dy } => out.push(InputEvent::MouseMove { dx, dy }),
            Self::Abs { x, y, w, h } => {
                let side = |given: Option<u16>, of_mode: u32| {
                    given.or_else(|| u16::try_from(of_mode).ok()).filter(|s| *s > 0).ok_or("a reference size of 0")
                };
                let (ref_width, ref_height) = (side(w, mode.width)?, side(h, mode.height)?);
                out.push(InputEvent::MouseMoveAbs { x, y, ref_width, ref_height });
            }
            Self::Scroll { axis, delta, precise, finger } => {
                let axis = match axis {
                    AxisName::Vertical => ScrollAxis::Vertical,
                    AxisName::Horizontal => ScrollAxis::Horizontal,
                };
                out.push(match finger {
                    None => InputEvent::MouseScroll { axis, delta, precise },
                    Some(phase) => finger_scroll(axis, delta, phase)?,
                });
            }
            Self::Text { text } => {
                for c in text.chars() {
                    match c {
                        '\n' => out.extend([true, false].map(|down| InputEvent::Key { vk: ENTER, down })),
                        c => out.push(InputEvent::Text(c)),
                    }
                }
            }
            Self::Pad(line) => {
                steps.extend(line.expand()?.into_iter().map(|step| (t_ms, step)));
            }
            Self::Touch(line) => steps.push((t_ms, line.expand())),
            Self::Pen(line) => steps.push((t_ms, line.expand()?)),
            Self::Cursor { draw } => steps.push((t_ms, Step::Cursor { client_draws: draw == DrawName::Client })),
        }
        steps.extend(out.into_iter().map(|event| (t_ms, Step::Input(event))));
        Ok(())
    }
}

fn finger_scroll(axis: ScrollAxis, pixels: i32, phase: PhaseName) -> Result<InputEvent, String> {
    let phase = match phase {
        PhaseName::Begin => ScrollPhase::Begin,
        PhaseName::Update => ScrollPhase::Update,
        PhaseName::End => ScrollPhase::End,
    };
    let delta_q8 = pixels.checked_mul(256).ok_or("too far")?;
    if phase == ScrollPhase::End && pixels != 0 {
        return Err("a finger that was lifted moves nothing: `delta` 0".to_owned());
    }
    Ok(InputEvent::Scroll(Scroll { axis, source: ScrollSource::Finger, phase, delta_q8 }))
}

impl ButtonName {
    fn resolve(self) -> Result<MouseButton, String> {
        match self {
            Self::Number(1) => Ok(MouseButton::Left),
            Self::Number(2) => Ok(MouseButton::Middle),
            Self::Number(3) => Ok(MouseButton::Right),
            Self::Number(4) => Ok(MouseButton::X1),
            Self::Number(5) => Ok(MouseButton::X2),
            Self::Number(other) => Err(format!("no button {other}: 1 … 5")),
            Self::Name(name) => match name.as_str() {
                "left" => Ok(MouseButton::Left),
                "middle" => Ok(MouseButton::Middle),
                "right" => Ok(MouseButton::Right),
                "x1" => Ok(MouseButton::X1),
                "x2" => Ok(MouseButton::X2),
                _ => Err(format!("no button `{name}`: left, middle, right, x1, x2")),
            },
        }
    }
}

const ENTER: u32 = 0x0d;
/// How soon a stop is noticed.
const LOOK_UP: Duration = Duration::from_millis(50);
const SPACING: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests {
    use super::*;

    const MODE: Mode = Mode { width: 1280, height: 720, refresh_hz: 60 };

    fn parse(text: &str) -> Result<Vec<(u64, InputEvent)>, (usize, String)> {
        let plain = |step| match step {
            Step::Input(event) => event,
            other => panic!("{other:?} has its own tests"),
        };
        Script::parse(text, MODE).map(|s| s.steps.into_iter().map(|(at, step)| (at, plain(step))).collect())
    }

    #[test]
    fn every_event_of_the_documentation_parses() {
        let docs = include_str!("../../../docs/probe.md");
        let examples: Vec<&str> = docs.lines().filter(|l| l.starts_with("{\"t_ms\"")).collect();
        assert!(examples.len() >= 8);
        for kind in ["key", "button", "move", "abs", "scroll", "text", "pad", "touch", "pen", "cursor"] {
            assert!(examples.iter().any(|e| e.contains(&format!("\"ev\":\"{kind}\""))), "{kind} is not documented");
        }
        let steps = Script::parse(&examples.join("\n"), MODE).unwrap().steps;
        assert!(steps.len() >= examples.len());
        assert!(steps.windows(2).all(|w| w[0].0 <= w[1].0));
    }

    #[test]
    fn what_comes_out_is_what_the_line_says() {
        assert_eq!(
            parse(r#"{"t_ms":5,"ev":"key","key":"a"}"#).unwrap(),
            [(5, InputEvent::Key { vk: 0x41, down: true }), (5, InputEvent::Key { vk: 0x41, down: false })]
        );
        assert_eq!(
            parse("# a comment\n\n{\"t_ms\":9,\"ev\":\"abs\",\"x\":1,\"y\":2}\n{\"t_ms\":3,\"ev\":\"text\",\"text\":\"é\\n\"}").unwrap(),
            [
                (3, InputEvent::Text('é')),
                (3, InputEvent::Key { vk: 0x0d, down: true }),
                (3, InputEvent::Key { vk: 0x0d, down: false }),
                (9, InputEvent::MouseMoveAbs { x: 1, y: 2, ref_width: 1280, ref_height: 720 }),
            ]
        );
    }

    #[test]
    fn mistakes_name_their_line() {
        for bad in [
            r#"{"t_ms":1,"ev":"jump"}"#,
            r#"{"ev":"move","dx":1,"dy":1}"#,
            r#"{"t_ms":1,"ev":"key"}"#,
            r#"{"t_ms":1,"ev":"key","key":"NOPE"}"#,
            r#"{"t_ms":1,"ev":"key","key":"A","vk":65}"#,
            r#"{"t_ms":1,"ev":"button","button":9}"#,
            r#"{"t_ms":1,"ev":"abs","x":1,"y":1,"w":0}"#,
            r#"{"t_ms":-1,"ev":"move","dx":1,"dy":1}"#,
            r#"{"t_ms":1,"ev":"pad","pad":16}"#,
            r#"{"t_ms":1,"ev":"cursor","draw":"nobody"}"#,
            r#"{"t_ms":1,"ev":"scroll","delta":1,"finger":"end"}"#,
            r#"{"t_ms":1,"ev":"pen","buttons":[3]}"#,
            r#"{"t_ms":1,"ev":"pad","kind":"joystick"}"#,
            r#"{"t_ms":1,"ev":"pad","buttons":["q"]}"#,
            "nonsense",
        ] {
            let error = parse(&format!("{{\"t_ms\":0,\"ev\":\"move\",\"dx\":1,\"dy\":1}}\n{bad}")).unwrap_err();
            assert_eq!(error.0, 2, "{bad}");
        }
    }
}
