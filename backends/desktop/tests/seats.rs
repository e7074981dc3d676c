//! Two clients at once, each on a desktop of its own: what one types, copies or plays is nothing to the other.

mod common;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Bed, MODE, PATIENCE, PrivateBench, folders, key, wayland_socket};
use punktfunk_desktop::{KeyboardLayout, PrivateContent};
use punktfunk_media::{AppSpec, AudioRead, AudioRequest, ChannelLayout, Stage};
use punktfunk_testkit::desktop::Suite;
use punktfunk_testkit::sound::{share_at, write_tones};
use punktfunk_testkit::window::{Seen, Window};

struct Seat {
    stage: Box<dyn Stage>,
    dir: PathBuf,
}

impl Seat {
    fn open(bench: &mut PrivateBench, identity: &str, layout: &str) -> Self {
        let before = folders(&bench.config.runtime_dir);
        bench.remake(Some(KeyboardLayout::parse(layout)));
        let stage = bench.open(identity, MODE);
        let is_new = |dir: &PathBuf| !before.contains(dir);
        let dir = folders(&bench.config.runtime_dir).into_iter().find(is_new).expect("a folder of its own");
        Self { stage, dir }
    }

    fn copy(&self, text: &str) {
        let mut copy = on(&self.dir, "wl-copy").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        copy.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(copy.wait().unwrap().success());
    }

    fn pasted(&self) -> String {
        let pasted = on(&self.dir, "wl-paste").arg("--no-newline").output().unwrap();
        String::from_utf8(pasted.stdout).unwrap()
    }

    /// Plays a tone on it for a while.
    fn play(&mut self, hz: f32) -> Box<dyn punktfunk_media::RunningApp> {
        let file = self.dir.join("tone.wav");
        write_tones(&file, &[hz, hz], Duration::from_secs(60));
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        let command = format!("exec pw-cat -p {}", file.display());
        self.stage.launch(&AppSpec { command, ..AppSpec::default() }).unwrap_or_else(|e| panic!("{e}"))
    }

    /// A second of what its client hears.
    fn heard(&mut self) -> Vec<f32> {
        let request =
            AudioRequest { layout: ChannelLayout::Stereo, block: Duration::from_millis(5), also_on_host: false };
        let sound = self.stage.sound().unwrap_or_else(|e| panic!("{e}"));
        let until = Instant::now() + PATIENCE;
        let mut source = loop {
            match sound.source(&request) {
                Ok(source) => break source,
                Err(e) => assert!(!e.fatal && Instant::now() < until, "{e}"),
            }
        };
        let (mut heard, mut block) = (Vec::new(), vec![0.0; request.block_samples()]);
        while heard.len() < 96_000 {
            assert!(Instant::now() < until, "nothing is heard");
            let read = source.read(&mut block, Instant::now() + Duration::from_millis(100)).unwrap();
            if matches!(read, AudioRead::Block { silent: false, .. }) {
                heard.extend_from_slice(&block);
            }
        }
        heard
    }
}

fn on(dir: &Path, program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("WAYLAND_DISPLAY", wayland_socket(dir)).stdin(Stdio::null());
    command
}

#[test]
fn two_seats_have_a_focus_a_keyboard_a_clipboard_and_sound_of_their_own() {
    for bed in [Bed::BuiltIn, Bed::Sway(Suite::Installed)] {
        let mut bench = PrivateBench::new(bed, PrivateContent::Empty).unwrap();
        let mut a = Seat::open(&mut bench, "a", "us");
        let mut b = Seat::open(&mut bench, "b", "de");

        let windows = [&a, &b].map(|seat| Window::open(&wayland_socket(&seat.dir), None, [10, 10, 10]));
        windows.iter().for_each(|w| drop(w.wait("the keyboard", |seen| seen.contains(&Seen::KeyboardEnter))));
        let mut hands = [a.stage.injector().unwrap(), b.stage.injector().unwrap()];
        // In turn, the same keys: Y, Z and the one right of L.
        for code in [21, 44, 39] {
            for down in [true, false] {
                hands.iter_mut().for_each(|hand| hand.inject(&key(code, down)).unwrap());
            }
        }
        let last = |seen: &[Seen]| seen.iter().any(|s| matches!(s, Seen::Key { code: 39, down: false, .. }));
        windows.iter().for_each(|w| drop(w.wait("the last key", last)));
        assert_eq!(windows.each_ref().map(Window::typed), ["yz;", "zyö"], "{bed:?}");
        let lost = |w: &Window| w.seen().iter().any(|s| matches!(s, Seen::KeyboardLeave));
        // sway takes it away for a moment when a keyboard is plugged in, as ours is.
        assert!(bed != Bed::BuiltIn || !windows.iter().any(lost), "{bed:?}: both have the keyboard all the time");

        a.copy("of a");
        b.copy("of b");
        assert_eq!([a.pasted(), b.pasted()], ["of a", "of b"], "{bed:?}");

        let apps = [a.play(440.0), b.play(660.0)];
        for (seat, its, others) in [(&mut a, 440.0, 660.0), (&mut b, 660.0, 440.0)] {
            let heard = seat.heard();
            assert!(share_at(&heard, 2, 0, its) > 0.5 && share_at(&heard, 2, 0, others) < 0.05, "{bed:?} {its}");
        }
        apps.into_iter().for_each(|app| app.end());
    }
}
