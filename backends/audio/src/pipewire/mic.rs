//! A client's microphone, as a source that programs record from.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use pipewire::spa::sys;
use pipewire::spa::utils::Direction;
use pipewire::stream::Stream;
use punktfunk_media::{AudioError, MicSink, MicWanted, SAMPLE_RATE};

use super::client::{Blueprint, Client, Described, Link, Standing};
use super::{READY_WITHIN, lost};
use crate::feed::Bell;
use crate::voice::{VoiceReader, VoiceWriter, voice};

/// A source on a PipeWire server; it exists while this does.
#[derive(Debug)]
pub struct PipeWireMic {
    link: Link,
    handover: Arc<Mutex<Option<VoiceWriter>>>,
    writer: Option<VoiceWriter>,
    // Last: it is waited for, and rings the bell until then.
    _client: Client,
}

impl PipeWireMic {
    pub(super) fn open(socket: &Path, name: &str, description: &str) -> Result<Self, AudioError> {
        let link = Link::new().map_err(lost)?;
        let handover = Arc::<Mutex<Option<VoiceWriter>>>::default();
        let blueprint = MicBlueprint {
            name: name.to_owned(),
            description: description.to_owned(),
            handover: Arc::clone(&handover),
            bell: link.bell.clone(),
        };
        let client = Client::start("pw-mic", socket, link.clone(), blueprint).map_err(lost)?;
        if !link.wait_ready(READY_WITHIN) {
            return Err(lost(format!("{} did not answer within {READY_WITHIN:?}", socket.display())));
        }
        Ok(Self { link, handover, writer: None, _client: client })
    }

    /// What programs want now.
    fn look(&mut self) -> MicWanted {
        // Held by the client thread only while it makes a stream.
        if let Ok(mut new) = self.handover.try_lock()
            && new.is_some()
        {
            self.writer = new.take();
        }
        match &self.writer {
            Some(writer) if self.link.standing() == Standing::Playing => writer.wanted(),
            _ => MicWanted::Nobody,
        }
    }
}

impl MicSink for PipeWireMic {
    fn wanted(&mut self, deadline: Instant) -> Result<MicWanted, AudioError> {
        let mut wanted = self.look();
        while wanted == MicWanted::Enough && Instant::now() < deadline {
            self.link.bell.wait(deadline);
            wanted = self.look();
        }
        Ok(wanted)
    }

    fn write(&mut self, samples: &[f32]) -> Result<(), AudioError> {
        if let Some(writer) = &mut self.writer {
            writer.write(samples);
        }
        Ok(())
    }
}

struct MicBlueprint {
    name: String,
    description: String,
    handover: Arc<Mutex<Option<VoiceWriter>>>,
    bell: Bell,
}

impl Blueprint for MicBlueprint {
    fn describe(&self) -> Described {
        let properties = vec![
            ("media.class", "Audio/Source".to_owned()),
            ("node.name", self.name.clone()),
            ("node.description", self.description.clone()),
            ("node.virtual", "true".to_owned()),
            ("node.latency", format!("{BLOCK_FRAMES}/{SAMPLE_RATE}")),
            ("audio.channels", "1".to_owned()),
            ("audio.position", "[ MONO ]".to_owned()),
        ];
        Described {
            name: self.name.clone(),
            direction: Direction::Output,
            autoconnect: false,
            positions: vec![sys::SPA_AUDIO_CHANNEL_MONO],
            properties,
        }
    }

    fn process(&mut self) -> Box<dyn FnMut(&Stream) + Send> {
        let (writer, mut reader) = voice(self.bell.clone());
        *self.handover.lock().unwrap_or_else(PoisonError::into_inner) = Some(writer);
        Box::new(move |stream| fill(stream, &mut reader))
    }
}

/// Fills the next buffer.
fn fill(stream: &Stream, reader: &mut VoiceReader) {
    let Some(mut buffer) = stream.dequeue_buffer() else { return };
    let requested = usize::try_from(buffer.requested()).unwrap_or(0);
    let Some(data) = buffer.datas_mut().first_mut() else { return };
    let Some(bytes) = data.data() else { return };
    let wanted = if requested == 0 { BLOCK_FRAMES } else { requested };
    let frames = wanted.min(bytes.len() / 4);
    reader.fill(&mut bytes[..frames * 4], Instant::now());
    let chunk = data.chunk_mut();
    *chunk.offset_mut() = 0;
    *chunk.stride_mut() = 4;
    *chunk.size_mut() = (frames * 4) as u32;
}

/// 10 ms, the length of clients' packets.
const BLOCK_FRAMES: usize = SAMPLE_RATE as usize / 100;
