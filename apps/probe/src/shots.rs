//! PNGs of the stream, written beside it: a slow disk skips pictures, it never holds the decoder up.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use punktfunk_client::CursorState;
use punktfunk_encode::decode::Picture;

use crate::cursor;
use crate::failure::Failure;

/// Number, picture, and the pointer to draw into it.
type Shot = (u32, Picture, Option<CursorState>);

/// The writer's thread.
pub struct Shots {
    to_write: SyncSender<Shot>,
    /// Pictures that were written, for reuse.
    spare: Receiver<Picture>,
    thread: JoinHandle<()>,
}

impl Shots {
    /// Makes the folder and starts the thread.
    pub fn start(dir: &Path) -> Result<Self, Failure> {
        std::fs::create_dir_all(dir).map_err(|e| Failure::new(format!("{}: {e}", dir.display())))?;
        let (to_write, queued) = sync_channel(DEPTH);
        let (done, spare) = sync_channel(DEPTH + 1);
        let dir = dir.to_owned();
        let thread = std::thread::Builder::new()
            .name("shots".to_owned())
            .spawn(move || write_all(&dir, &queued, &done))
            .map_err(|e| Failure::new(format!("cannot start the PNG thread: {e}")))?;
        Ok(Self { to_write, spare, thread })
    }

    /// Queues a picture for `frame-INDEX.png`, with the pointer if there is one to draw; false if the queue is full.
    pub fn save(&mut self, index: u32, picture: &Picture, cursor: Option<CursorState>) -> bool {
        let mut copy = self.spare.try_recv().unwrap_or_default();
        copy.clone_from(picture);
        match self.to_write.try_send((index, copy, cursor)) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }

    /// Waits until everything queued is written.
    pub fn finish(self) {
        drop(self.to_write);
        if self.thread.join().is_err() {
            tracing::error!("the PNG thread panicked");
        }
    }
}

fn write_all(dir: &Path, queued: &Receiver<Shot>, done: &SyncSender<Picture>) {
    let mut rgb = Vec::new();
    let mut complained = false;
    for (index, picture, cursor) in queued {
        picture.to_rgb(&mut rgb);
        if let Some(cursor) = cursor {
            cursor::draw(&cursor, &mut rgb, picture.width);
        }
        let path = dir.join(format!("frame-{index:06}.png"));
        if let Err(error) = write_png(&path, &picture, &rgb)
            && !complained
        {
            complained = true;
            eprintln!("punktfunk-probe: {}: {error}", path.display());
        }
        // A full return queue only means one allocation more later.
        let _ = done.try_send(picture);
    }
}

fn write_png(path: &PathBuf, picture: &Picture, rgb: &[u8]) -> io::Result<()> {
    let size = |pixels: usize| u32::try_from(pixels).map_err(|_| io::Error::from(io::ErrorKind::InvalidData));
    let file = BufWriter::new(File::create(path)?);
    let mut encoder = png::Encoder::new(file, size(picture.width)?, size(picture.height)?);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    encoder.set_source_srgb(png::SrgbRenderingIntent::Perceptual);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(rgb)?;
    writer.finish()?;
    Ok(())
}

/// A writer that is two pictures behind is slower than the stream.
const DEPTH: usize = 2;
