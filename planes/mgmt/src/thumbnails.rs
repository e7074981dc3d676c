//! Small pictures of what sessions show: made when somebody asks, at most one a second of each session.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use punktfunk_hub::live::{Live, LiveSession};
use punktfunk_media::{Thumbnail, reason};

use crate::Problem;

/// The newest of each session. Behind a lock that is held while one is made: one at a time, whoever asks.
#[derive(Debug, Default)]
pub(crate) struct Thumbnails {
    newest: HashMap<u64, (Instant, Bytes)>,
}

impl Thumbnails {
    /// A picture of this session, as PNG. Blocks until it is made.
    ///
    /// # Errors
    /// `session.not_streaming` when there is none yet.
    pub(crate) fn get(&mut self, session: &LiveSession, live: &Live) -> Result<Bytes, Problem> {
        if let Some((made, png)) = self.newest.get(&session.id)
            && made.elapsed() < FRESH
        {
            return Ok(png.clone());
        }
        self.newest.retain(|id, _| live.get(*id).is_some());
        let none = || Problem::new(&reason::SESSION_NOT_STREAMING).with_detail("there is no picture yet");
        let picture = session.control.thumbnail(PATIENCE).ok_or_else(none)?;
        let png: Bytes =
            encoded(&picture).map_err(|e| Problem::new(&reason::API_INTERNAL).with_detail(format!("PNG: {e}")))?.into();
        self.newest.insert(session.id, (Instant::now(), png.clone()));
        Ok(png)
    }
}

fn encoded(picture: &Thumbnail) -> Result<Vec<u8>, png::EncodingError> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, picture.width, picture.height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&picture.rgb)?;
    writer.finish()?;
    Ok(out)
}

/// A person does not look more often.
const FRESH: Duration = Duration::from_secs(1);
/// A picture that is there is shown within a frame or two.
const PATIENCE: Duration = Duration::from_secs(1);
