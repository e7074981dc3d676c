//! The clipboard of private desktops, with wl-copy and wl-paste for the programs.

mod common;

use std::io::{ErrorKind, Read, Write};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::{MODE, PATIENCE, PrivateBench, on_every_desktop, wait_until};
use punktfunk_desktop::PrivateContent;
use punktfunk_media::{ClipboardLink, ClipboardWatcher, Paste};

const TEXT: &str = "text/plain;charset=utf-8";
const GREETING: &str = "Grüße € 漢字 👍🏽\n\tzweite Zeile";

/// A kind, and what is pasted of it.
type Served = (&'static str, Arc<Vec<u8>>);

/// Remembers what it is told, and serves pastes with what a test put there.
#[derive(Default)]
struct Watcher {
    copied: Mutex<Vec<(u64, Vec<String>)>>,
    /// What is pasted, by kind; nothing there: programs wait for ever.
    serves: Mutex<Vec<Served>>,
    waiting: Mutex<Vec<Paste>>,
    ended: Mutex<bool>,
}

impl ClipboardWatcher for Watcher {
    fn copied(&self, generation: u64, formats: Vec<String>) {
        self.copied.lock().unwrap().push((generation, formats));
    }

    fn pasted(&self, paste: Paste) {
        let data = self.serves.lock().unwrap().iter().find(|(mime, _)| *mime == paste.mime).map(|(_, d)| Arc::clone(d));
        let Some(data) = data else { return self.waiting.lock().unwrap().push(paste) };
        std::thread::spawn(move || write_all(paste, &data));
    }

    fn ended(&self) {
        *self.ended.lock().unwrap() = true;
    }
}

impl Watcher {
    fn last(&self) -> Option<(u64, Vec<String>)> {
        self.copied.lock().unwrap().last().cloned()
    }

    fn wait_copied(&self, formats: &[&str]) -> u64 {
        wait_until(&format!("{formats:?} is told"), || self.last().is_some_and(|(_, told)| told == formats));
        self.last().unwrap().0
    }
}

fn write_all(mut paste: Paste, mut data: &[u8]) {
    while !data.is_empty() {
        match paste.into.write(data) {
            Ok(written) => data = &data[written..],
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

fn read_all(link: &dyn ClipboardLink, generation: u64, mime: &str) -> Vec<u8> {
    let mut reader = link.read(generation, mime).unwrap_or_else(|e| panic!("{e}"));
    let (mut all, mut piece, until) = (Vec::new(), vec![0; 65_536], Instant::now() + PATIENCE);
    loop {
        match reader.read(&mut piece) {
            Ok(0) => return all,
            Ok(len) => all.extend_from_slice(&piece[..len]),
            Err(e) if e.kind() == ErrorKind::WouldBlock => assert!(Instant::now() < until, "the data does not come"),
            Err(e) => panic!("{e}"),
        }
    }
}

fn program(bench: &PrivateBench, words: &[&str]) -> Command {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).env("WAYLAND_DISPLAY", bench.display()).stdin(Stdio::null()).stderr(Stdio::inherit());
    command
}

fn copy(bench: &PrivateBench, mime: Option<&str>, data: &[u8]) {
    let typed = mime.map(|mime| ["--type", mime]);
    let words: Vec<_> = std::iter::once("wl-copy").chain(typed.into_iter().flatten()).collect();
    let mut copy = program(bench, &words).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("wl-clipboard");
    copy.stdin.take().unwrap().write_all(data).unwrap();
    assert!(copy.wait().unwrap().success());
}

fn paste(bench: &PrivateBench, mime: &str) -> Vec<u8> {
    let words = ["wl-paste", "--no-newline", "--type", mime];
    program(bench, &words).stdout(Stdio::piped()).output().expect("wl-clipboard").stdout
}

fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

#[test]
fn what_programs_copy_is_told_and_read() {
    on_every_desktop(|bed| {
        let Some(bench) = PrivateBench::new(bed, PrivateContent::Empty) else { return };
        let mut stage = bench.open("a", MODE);
        let watcher = Arc::new(Watcher::default());
        let link = stage.clipboard().unwrap().open(watcher.clone()).unwrap();
        copy(&bench, None, GREETING.as_bytes());
        let first = watcher.wait_copied(&[TEXT]);
        assert_eq!(String::from_utf8(read_all(&*link, first, TEXT)).unwrap(), GREETING, "{bed:?}");
        assert!(link.read(first, "text/html").is_err(), "no such kind");

        let megabyte = noise(1 << 20);
        copy(&bench, Some("image/png"), &megabyte);
        let second = watcher.wait_copied(&["image/png"]);
        assert!(read_all(&*link, second, "image/png") == megabyte, "{bed:?}: a megabyte");
        assert!(link.read(first, TEXT).is_err(), "the text was replaced");

        // What cannot cross is told as nothing.
        copy(&bench, Some("application/x-unknown"), b"?");
        watcher.wait_copied(&[]);

        // Told at once to whoever comes later.
        copy(&bench, None, b"old");
        let late = Arc::new(Watcher::default());
        let second_link = stage.clipboard().unwrap().open(late.clone()).unwrap();
        let generation = late.wait_copied(&[TEXT]);
        assert_eq!(read_all(&*second_link, generation, TEXT), b"old");
        drop((link, second_link, stage));
    });
}

#[test]
fn programs_paste_what_is_offered_and_it_does_not_come_back() {
    on_every_desktop(|bed| {
        let Some(bench) = PrivateBench::new(bed, PrivateContent::Empty) else { return };
        let mut stage = bench.open("a", MODE);
        let watcher = Arc::new(Watcher::default());
        let link = stage.clipboard().unwrap().open(watcher.clone()).unwrap();
        let megabyte = Arc::new(noise(1 << 20));
        watcher
            .serves
            .lock()
            .unwrap()
            .extend([(TEXT, Arc::new(GREETING.as_bytes().to_vec())), ("image/png", Arc::clone(&megabyte))]);
        copy(&bench, None, b"before");
        watcher.wait_copied(&[TEXT]);
        let told = watcher.copied.lock().unwrap().len();

        link.offer(7, &[TEXT.to_owned(), "image/png".to_owned(), "application/x-unknown".to_owned()]);
        wait_until("it is pasted", || paste(&bench, TEXT) == GREETING.as_bytes());
        for alias in ["UTF8_STRING", "text/plain"] {
            assert_eq!(String::from_utf8(paste(&bench, alias)).unwrap(), GREETING, "{bed:?} {alias}");
        }
        assert!(paste(&bench, "image/png") == *megabyte, "{bed:?}: a megabyte");
        let types = program(&bench, &["wl-paste", "--list-types"]).output().unwrap().stdout;
        assert!(!String::from_utf8(types).unwrap().contains("x-unknown"), "{bed:?}");
        assert_eq!(watcher.copied.lock().unwrap().len(), told, "{bed:?}: our own offer came back");

        // A newer one of ours, then a program's, which stays when ours is taken back.
        watcher.serves.lock().unwrap()[0].1 = Arc::new(b"newer".to_vec());
        link.offer(8, &[TEXT.to_owned()]);
        wait_until("the newer one is pasted", || paste(&bench, TEXT) == b"newer");
        copy(&bench, None, b"a program's");
        watcher.wait_copied(&[TEXT]);
        wait_until("it is told", || watcher.copied.lock().unwrap().len() > told);
        link.offer(0, &[]);
        assert_eq!(paste(&bench, TEXT), b"a program's");
        // Ours is gone with its link.
        link.offer(9, &[TEXT.to_owned()]);
        wait_until("ours again", || paste(&bench, TEXT) == b"newer");
        drop(link);
        wait_until("it is gone", || paste(&bench, TEXT).is_empty());
        drop(stage);
    });
}

#[test]
fn programs_that_neither_write_nor_read_hold_nobody_up() {
    on_every_desktop(|bed| {
        let Some(bench) = PrivateBench::new(bed, PrivateContent::Empty) else { return };
        let mut stage = bench.open("a", MODE);
        let clipboard = stage.clipboard().unwrap();
        let (watcher, silent) = (Arc::new(Watcher::default()), Arc::new(Watcher::default()));
        let link = clipboard.open(watcher.clone()).unwrap();
        let other = clipboard.open(silent.clone()).unwrap();
        other.offer(1, &[TEXT.to_owned()]);
        let generation = watcher.wait_copied(&[TEXT]);
        let mut reader = link.read(generation, TEXT).unwrap();
        wait_until("it is asked", || silent.waiting.lock().unwrap().len() == 1);
        for _ in 0..3 {
            assert_eq!(reader.read(&mut [0; 16]).unwrap_err().kind(), ErrorKind::WouldBlock, "{bed:?}");
        }
        // Meanwhile the clipboard works.
        copy(&bench, None, b"from somebody else");
        wait_until("it is told", || watcher.last().is_some_and(|(newer, _)| newer > generation));
        let newer = watcher.wait_copied(&[TEXT]);
        assert_eq!(read_all(&*link, newer, TEXT), b"from somebody else");

        // The other way: a program asks, and reads nothing.
        link.offer(2, &[TEXT.to_owned()]);
        silent.wait_copied(&[TEXT]);
        let mut unread = None;
        wait_until("our offer is there", || {
            let offer = silent.last().unwrap().0;
            other.read(offer, TEXT).is_ok_and(|reader| {
                drop(reader);
                std::thread::sleep(Duration::from_millis(20));
                watcher.waiting.lock().unwrap().len() == 1
            })
        });
        let mut paste = watcher.waiting.lock().unwrap().pop().unwrap();
        assert_eq!((paste.offer, paste.mime.as_str()), (2, TEXT));
        // Its reader is gone: an error, no signal.
        assert_eq!(paste.into.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe, "{bed:?}");
        let offer = silent.last().unwrap().0;
        unread.replace(other.read(offer, TEXT).unwrap());
        wait_until("it is asked again", || watcher.waiting.lock().unwrap().len() == 1);
        let mut paste = watcher.waiting.lock().unwrap().pop().unwrap();
        let full = (0..1000).find_map(|_| paste.into.write(&[7; 65_536]).err()).expect("a pipe has an end");
        assert_eq!(full.kind(), ErrorKind::WouldBlock, "{bed:?}");

        // And the end of the compositor is told.
        drop((stage, unread));
        wait_until("the end is told", || *watcher.ended.lock().unwrap());
        assert!(link.read(newer, TEXT).is_err());
        link.offer(3, &[TEXT.to_owned()]);
    });
}
