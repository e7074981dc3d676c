//! RTSP (§5): seven transactions, each on a connection of its own, sealed if the session's URL says so.
//!
//! ```text
//! OPTIONS ─► DESCRIBE ─► SETUP audio ─► SETUP video ─► SETUP control ─► ANNOUNCE ─► PLAY
//!                          └ audio pings may begin
//! ```

mod announce;
mod describe;
mod message;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::crypto::{Gcm, Key};
use crate::{Error, Started, Violations};

pub use announce::{Announce, Wishes};
pub use describe::{Describe, Formats, SurroundLayout};
pub use message::{Answer, Request, open, seal};

/// The client's end of a session's RTSP.
pub struct Rtsp {
    address: SocketAddr,
    url: String,
    host: String,
    key: Option<Gcm>,
    sequence: u32,
    cseq: u32,
    session: Option<String>,
    session_ids: bool,
    violations: Violations,
}

/// Where a stream goes to, as SETUP says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// UDP address.
    pub address: SocketAddr,
    /// `X-SS-Ping-Payload`, if it was there and had sixteen characters.
    pub ping: Option<[u8; 16]>,
    /// `X-SS-Connect-Data`, 0 if it was not there.
    pub connect_data: u32,
}

/// Everything that the handshake settled.
#[derive(Clone, Debug)]
pub struct Negotiated {
    /// What the host can do.
    pub describe: Describe,
    /// Where audio comes from.
    pub audio: Endpoint,
    /// Where video comes from.
    pub video: Endpoint,
    /// Where control is.
    pub control: Endpoint,
    /// What we announced.
    pub announce: Announce,
    /// Codec, encryption and sizes that the announcement says.
    pub wishes: Wishes,
}

impl Rtsp {
    /// For a session that was just launched on the host at `address` (of its HTTP port). `low_audio` makes the client
    /// call the host `0.0.0.0` (§9.3).
    ///
    /// # Errors
    /// Never for a key of sixteen bytes.
    pub fn new(address: SocketAddr, started: &Started, key: &Key, low_audio: bool) -> Result<Self, Error> {
        let authority = started.url.split_once("://").map_or("", |(_, rest)| rest);
        let named = authority.rsplit_once(':').map_or(authority, |(host, _)| host).to_owned();
        let scheme = if started.sealed { "rtspenc" } else { "rtsp" };
        let host = if low_audio { "0.0.0.0".to_owned() } else { named };
        Ok(Self {
            address: SocketAddr::new(address.ip(), started.port),
            url: format!("{scheme}://{host}:{}", started.port),
            host,
            key: if started.sealed { Some(Gcm::new(key)?) } else { None },
            sequence: 0,
            cseq: 0,
            session: None,
            session_ids: true,
            violations: Violations::default(),
        })
    }

    /// Rules broken so far.
    #[must_use]
    pub fn violations(&self) -> &Violations {
        &self.violations
    }

    /// Overlooks ping payloads and connect data, as clients from before them do.
    pub fn without_session_ids(&mut self) {
        self.session_ids = false;
    }

    /// Where RTSP is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// OPTIONS.
    ///
    /// # Errors
    /// Sockets, answers that clients do not understand, and refusals.
    pub fn options(&mut self) -> Result<Answer, Error> {
        let url = self.url.clone();
        self.transact("OPTIONS", &url, &[], "")
    }

    /// DESCRIBE.
    ///
    /// # Errors
    /// As [`Rtsp::options`].
    pub fn describe(&mut self) -> Result<Describe, Error> {
        let url = self.url.clone();
        let answer = self.transact("DESCRIBE", &url, &[("Accept", "application/sdp"), IF_MODIFIED], "")?;
        if answer.body.is_empty() {
            return Err(Error::answer("DESCRIBE without a body"));
        }
        Ok(Describe::read(&answer.body, &mut self.violations))
    }

    /// SETUP of `audio/0/0`, `video/0/0` or `control/13/0`.
    ///
    /// # Errors
    /// As [`Rtsp::options`].
    pub fn setup(&mut self, stream: &str) -> Result<Endpoint, Error> {
        let transport = ("Transport", "unicast;X-GS-ClientPort=50000-50001");
        let answer = self.transact("SETUP", &format!("streamid={stream}"), &[transport, IF_MODIFIED], "")?;
        if let Some(session) = answer.header("Session") {
            let token = session.split(';').next().unwrap_or_default().to_owned();
            if self.session.is_none() {
                self.session = Some(token);
            }
        } else if self.session.is_none() {
            return Err(Error::answer("SETUP without a Session"));
        }
        let port = answer.header("Transport").and_then(|t| t.split_once("server_port=")).map(|(_, rest)| rest);
        let digits = port.map(|p| &p[..p.find(|c: char| !c.is_ascii_digit()).unwrap_or(p.len())]);
        let port: u16 =
            digits.and_then(|d| d.parse().ok()).ok_or_else(|| Error::answer("SETUP without server_port"))?;
        let media = !stream.starts_with("control");
        let ping = answer.header("X-SS-Ping-Payload");
        self.violations.check(!media || ping.is_some_and(|p| p.len() == 16 && !p.starts_with('\0')), "§5.4", || {
            format!("X-SS-Ping-Payload is {ping:?}")
        });
        let data = answer.header("X-SS-Connect-Data");
        self.violations.check(media || data.is_some_and(|d| d == "0" || !d.starts_with('0')), "§5.4", || {
            format!("X-SS-Connect-Data is {data:?}")
        });
        let connect_data = match data {
            Some(text) if self.session_ids => {
                text.parse().map_err(|_| Error::answer(format!("X-SS-Connect-Data {text:?}")))?
            }
            _ => 0,
        };
        Ok(Endpoint {
            address: SocketAddr::new(self.address.ip(), port),
            ping: ping.filter(|_| self.session_ids).and_then(|p| p.as_bytes().try_into().ok()),
            connect_data,
        })
    }

    /// ANNOUNCE.
    ///
    /// # Errors
    /// As [`Rtsp::options`].
    pub fn announce(&mut self, announce: &Announce, video_port: u16) -> Result<Answer, Error> {
        let body = announce.body(self.address.ip(), video_port);
        self.transact("ANNOUNCE", "streamid=control/13/0", &[("Content-type", "application/sdp")], &body)
    }

    /// PLAY.
    ///
    /// # Errors
    /// As [`Rtsp::options`].
    pub fn play(&mut self) -> Result<Answer, Error> {
        self.transact("PLAY", "/", &[], "")
    }

    /// Any request, with the headers that all have; 200 or an error.
    ///
    /// # Errors
    /// As [`Rtsp::options`].
    pub fn transact(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Answer, Error> {
        self.cseq += 1;
        let request = Request {
            method,
            target,
            cseq: self.cseq,
            host: &self.host,
            session: self.session.as_deref(),
            headers,
            body,
        };
        let text = request.text();
        let wire = match &self.key {
            Some(key) => {
                self.sequence += 1;
                seal(key, Originator::Client, self.sequence, text.as_bytes())?
            }
            None => text.into_bytes(),
        };
        let wire = self.raw(&wire)?;
        let text = match &self.key {
            Some(key) => {
                let (sequence, text) =
                    open(key, Originator::Host, &wire).ok_or_else(|| Error::answer("unsealed or forged RTSP"))?;
                // §5.3 only asks that none repeats; ours is the judge of the recommended counter.
                let expected = self.cseq;
                self.violations
                    .check(sequence == expected, "§5.3", || format!("host sequence {sequence}, not {expected}"));
                text
            }
            None => wire,
        };
        let answer = Answer::parse(&text)?;
        let cseq = answer.header("CSeq");
        self.violations.check(cseq == Some(self.cseq.to_string().as_str()), "§5.4", || format!("CSeq {cseq:?}"));
        match answer.status {
            200 => Ok(answer),
            code => Err(Error::Refused { code: i32::from(code), message: answer.reason }),
        }
    }

    /// Sends bytes as they are and reads until the host closes, which it must without a reset.
    ///
    /// # Errors
    /// Sockets; 15 s without an answer; more than 1 MiB.
    pub fn raw(&self, wire: &[u8]) -> Result<Vec<u8>, Error> {
        let mut tcp = connect(self.address)?;
        tcp.set_read_timeout(Some(ANSWER_TIMEOUT)).map_err(Error::io("socket options"))?;
        tcp.write_all(wire).map_err(Error::io("sending an RTSP request"))?;
        let mut answer = Vec::new();
        match Read::by_ref(&mut tcp).take(MAX_ANSWER).read_to_end(&mut answer) {
            Ok(_) => Ok(answer),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Err(Error::Timeout("RTSP: the host did not close"))
            }
            Err(source) => Err(Error::Io { what: "reading an RTSP answer", source }),
        }
    }

    /// All seven, with `audio_ready` called as soon as audio pings may begin.
    ///
    /// # Errors
    /// As [`Rtsp::options`], and whatever `audio_ready` or `wish` return.
    pub fn handshake(
        &mut self,
        wish: impl FnOnce(&Describe) -> (Wishes, Announce),
        audio_ready: impl FnOnce(&Endpoint) -> Result<(), Error>,
    ) -> Result<Negotiated, Error> {
        self.options()?;
        let describe = self.describe()?;
        let audio = self.setup("audio/0/0")?;
        audio_ready(&audio)?;
        let video = self.setup("video/0/0")?;
        let control = self.setup("control/13/0")?;
        let (wishes, announce) = wish(&describe);
        self.announce(&announce, video.address.port())?;
        self.play()?;
        Ok(Negotiated { describe, audio, video, control, announce, wishes })
    }
}

/// Who sealed a message: byte 10 of the IV.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Originator {
    /// `C`.
    Client,
    /// `H`.
    Host,
}

impl Originator {
    pub(crate) fn letter(self) -> u8 {
        match self {
            Self::Client => b'C',
            Self::Host => b'H',
        }
    }
}

/// Refused connections are tried again every 500 ms for 10 s, as clients do.
fn connect(address: SocketAddr) -> Result<TcpStream, Error> {
    let begun = Instant::now();
    loop {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(tcp) => return Ok(tcp),
            Err(e) if e.kind() == io::ErrorKind::ConnectionRefused && begun.elapsed() < CONNECT_TIMEOUT => {
                std::thread::sleep(RETRY);
            }
            Err(source) => return Err(Error::Io { what: "connecting RTSP", source }),
        }
    }
}

const IF_MODIFIED: (&str, &str) = ("If-Modified-Since", "Thu, 01 Jan 1970 00:00:00 GMT");
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_millis(500);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
const MAX_ANSWER: u64 = 1 << 20;
