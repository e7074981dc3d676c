//! RTSP as GameStream clients speak it (gamestream.md §5): one request per connection, plain or as one sealed record.

use punktfunk_core::DecodeError;

use super::reader::Reader;
use super::seal::{Cipher, Side, Stream, TAG_BYTES};

/// Collects the bytes of a connection until its one request is there.
#[derive(Debug, Default)]
pub struct Inbox {
    bytes: Vec<u8>,
    /// No end of the headers begins before this.
    scanned: usize,
}

/// What a connection brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrived<'a> {
    /// A request in the clear, whole.
    Plain(&'a [u8]),
    /// A sealed record, whole.
    Sealed(&'a [u8]),
}

impl Inbox {
    /// Takes what was read.
    ///
    /// # Errors
    /// [`DecodeError::WrongLength`] beyond [`MAX_MESSAGE_BYTES`]; close the connection then.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        let got = self.bytes.len() + bytes.len();
        if got > MAX_MESSAGE_BYTES {
            return Err(DecodeError::WrongLength { expected: MAX_MESSAGE_BYTES, got });
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// The request, once it is whole. What follows it is ignored.
    ///
    /// # Errors
    /// [`DecodeError`]: this will never be one, or be too large.
    pub fn arrived(&mut self) -> Result<Option<Arrived<'_>>, DecodeError> {
        // The first byte tells: methods are ASCII, records have their top bit set.
        if self.bytes.first().is_some_and(|first| first & 0x80 != 0) {
            let Some(head) = self.bytes.first_chunk() else { return Ok(None) };
            let len = record_len(*head)?;
            return Ok(self.bytes.get(..len).map(Arrived::Sealed));
        }
        let Some(head) = find(&self.bytes, b"\r\n\r\n", self.scanned) else {
            self.scanned = self.bytes.len().saturating_sub(3);
            return Ok(None);
        };
        self.scanned = head;
        let text = std::str::from_utf8(&self.bytes[..head]).map_err(|_| DecodeError::Invalid("request: not text"))?;
        let whole = head + 4 + content_length(text)?;
        if whole > MAX_MESSAGE_BYTES {
            return Err(DecodeError::WrongLength { expected: MAX_MESSAGE_BYTES, got: whole });
        }
        Ok(self.bytes.get(..whole).map(Arrived::Plain))
    }
}

/// A request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request<'a> {
    /// What to do.
    pub method: Method<'a>,
    /// To what. OPTIONS and DESCRIBE may name a host that does not exist; only SETUP's means something.
    pub target: &'a str,
    /// `CSeq`, to be echoed as it is.
    pub cseq: &'a str,
    /// The `Host` header, if there is one.
    pub host: Option<&'a str>,
    /// What follows the headers.
    pub body: &'a [u8],
}

/// The methods that are used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Method<'a> {
    Options,
    Describe,
    Setup,
    Announce,
    Play,
    /// Any other.
    Other(&'a str),
}

impl<'a> Request<'a> {
    /// Reads one whole request, as [`Inbox`] or a record yields it.
    ///
    /// # Errors
    /// [`DecodeError::Invalid`]: not such a request, or not whole.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let head = find(bytes, b"\r\n\r\n", 0).ok_or(DecodeError::Invalid("request: no end of the headers"))?;
        let text = std::str::from_utf8(&bytes[..head]).map_err(|_| DecodeError::Invalid("request: not text"))?;
        let (line, headers) = text.split_once("\r\n").unwrap_or((text, ""));
        let mut words = line.split(' ');
        let (Some(method), Some(target), Some("RTSP/1.0"), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(DecodeError::Invalid("request line"));
        };
        let cseq = header(headers, "CSeq").ok_or(DecodeError::Invalid("CSeq: missing"))?;
        if cseq.is_empty() || cseq.len() > 10 || !cseq.bytes().all(|b| b.is_ascii_digit()) {
            return Err(DecodeError::Invalid("CSeq"));
        }
        let body = bytes[head + 4..].get(..content_length(text)?).ok_or(DecodeError::Invalid("body: not whole"))?;
        let method = match method {
            "OPTIONS" => Method::Options,
            "DESCRIBE" => Method::Describe,
            "SETUP" => Method::Setup,
            "ANNOUNCE" => Method::Announce,
            "PLAY" => Method::Play,
            other => Method::Other(other),
        };
        Ok(Self { method, target, cseq, host: header(headers, "Host"), body })
    }

    /// Whether the client is content with plain stereo: its `Host` then reads 0.0.0.0 (gamestream.md §9.3).
    #[must_use]
    pub fn wants_low_audio(&self) -> bool {
        self.host.is_some_and(|host| host.contains("0.0.0.0"))
    }
}

/// An answer. Clients want a status text, at least one header, and `Name: value` with one space.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response<'a> {
    /// 200 or an error that the client shows to its user.
    pub status: u16,
    /// Of the request.
    pub cseq: &'a str,
    /// Name and value each, in order.
    pub headers: Vec<(&'static str, String)>,
    /// Follows the headers.
    pub body: String,
}

impl<'a> Response<'a> {
    /// An answer without further headers or body.
    #[must_use]
    pub const fn new(status: u16, cseq: &'a str) -> Self {
        Self { status, cseq, headers: Vec::new(), body: String::new() }
    }

    /// The bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        use std::fmt::Write;
        let mut text = format!("RTSP/1.0 {} {}\r\nCSeq: {}\r\n", self.status, status_text(self.status), self.cseq);
        for (name, value) in &self.headers {
            // Writing to a string does not fail.
            let _ = write!(text, "{name}: {value}\r\n");
        }
        text.push_str("\r\n");
        text.push_str(&self.body);
        text.into_bytes()
    }
}

/// Seals and opens the records of one session.
#[derive(Debug)]
pub struct RtspCipher(Cipher);

impl RtspCipher {
    /// With the session's secret.
    #[must_use]
    pub fn new(rikey: &[u8; 16]) -> Self {
        Self(Cipher::new(rikey, Stream::Rtsp))
    }

    /// The record of a message. A sequence must never be used twice by the same side.
    #[must_use]
    pub fn seal(&self, from: Side, sequence: u32, message: &[u8]) -> Vec<u8> {
        let mut record = Vec::with_capacity(RECORD_HEADER_BYTES + message.len());
        record.extend_from_slice(&(SEALED | message.len() as u32).to_be_bytes());
        record.extend_from_slice(&sequence.to_be_bytes());
        record.extend_from_slice(&[0; TAG_BYTES]);
        record.extend_from_slice(message);
        let (head, text) = record.split_at_mut(RECORD_HEADER_BYTES);
        let tag = self.0.seal(from, sequence, text);
        head[RECORD_HEADER_BYTES - TAG_BYTES..].copy_from_slice(&tag);
        record
    }

    /// Opens a whole record: its sequence and the message.
    ///
    /// # Errors
    /// [`DecodeError`]: no record, or not sealed with this secret by that side.
    pub fn open(&self, from: Side, record: &[u8]) -> Result<(u32, Vec<u8>), DecodeError> {
        let mut r = Reader::new(record);
        let len = record_len(r.array()?)?;
        if len != record.len() {
            return Err(DecodeError::WrongLength { expected: len, got: record.len() });
        }
        let (sequence, tag) = (r.u32_be()?, r.take(TAG_BYTES)?);
        let mut text = r.take_rest().to_vec();
        text.extend_from_slice(tag);
        let len = self.0.open(from, sequence, &mut text).ok_or(DecodeError::Invalid("record: forged"))?.len();
        text.truncate(len);
        Ok((sequence, text))
    }
}

/// Largest request. Stock clients announce 1.5 KB; a record adds 24 bytes.
pub const MAX_MESSAGE_BYTES: usize = 16 * 1024;

/// Length, sequence, tag.
const RECORD_HEADER_BYTES: usize = 8 + TAG_BYTES;

/// The top bit of a record.
const SEALED: u32 = 0x8000_0000;

/// Length of the whole record that begins with `head`.
fn record_len(head: [u8; 4]) -> Result<usize, DecodeError> {
    let head = u32::from_be_bytes(head);
    let len = (head & !SEALED) as usize;
    match RECORD_HEADER_BYTES.checked_add(len) {
        _ if head & SEALED == 0 => Err(DecodeError::BadMagic),
        Some(whole) if whole <= MAX_MESSAGE_BYTES => Ok(whole),
        _ => Err(DecodeError::WrongLength { expected: MAX_MESSAGE_BYTES, got: len }),
    }
}

/// The value of a header; names are matched without case, since clients write `Content-length`.
fn header<'a>(headers: &'a str, wanted: &str) -> Option<&'a str> {
    headers.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case(wanted).then(|| value.trim())
    })
}

fn content_length(head: &str) -> Result<usize, DecodeError> {
    let Some(text) = head.split_once("\r\n").and_then(|(_, headers)| header(headers, "Content-Length")) else {
        return Ok(0);
    };
    // Digits only: `parse` would take a sign.
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let len = text.parse().ok().filter(|len| digits && *len <= MAX_MESSAGE_BYTES);
    len.ok_or(DecodeError::Invalid("Content-Length"))
}

/// Where `needle` first begins in `hay`, not before `from`.
fn find(hay: &[u8], needle: &[u8], from: usize) -> Option<usize> {
    hay.get(from..)?.windows(needle.len()).position(|w| w == needle).map(|at| from + at)
}

/// Never empty: clients refuse an answer without it.
const fn status_text(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        453 => "Not Enough Bandwidth",
        454 => "Session Not Found",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        _ => "Refused",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ANNOUNCE: &[u8] = b"ANNOUNCE streamid=control/13/0 RTSP/1.0\r\nCSeq: 6\r\nContent-length: 4\r\n\r\nv=0\n";

    #[test]
    fn a_body_belongs_to_its_request() {
        let request = Request::parse(ANNOUNCE).unwrap();
        assert_eq!((request.method, request.cseq, request.body), (Method::Announce, "6", &b"v=0\n"[..]));
        assert!(Request::parse(&ANNOUNCE[..ANNOUNCE.len() - 1]).is_err(), "not whole");
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for bad in [
            "",
            "\r\n\r\n",
            "OPTIONS / RTSP/1.0\r\n\r\n",
            "OPTIONS / RTSP/1.0\r\nCSeq:\r\n\r\n",
            "OPTIONS / RTSP/1.0\r\nCSeq: -1\r\n\r\n",
            "OPTIONS / RTSP/1.0\r\nCSeq: 1 2\r\n\r\n",
            "OPTIONS / RTSP/2.0\r\nCSeq: 1\r\n\r\n",
            "OPTIONS  / RTSP/1.0\r\nCSeq: 1\r\n\r\n",
            "OPTIONS / RTSP/1.0 x\r\nCSeq: 1\r\n\r\n",
            "PLAY / RTSP/1.0\r\nCSeq: 1\r\nContent-length: +0\r\n\r\n",
            "PLAY / RTSP/1.0\r\nCSeq: 1\r\nContent-length: 16385\r\n\r\n",
            "PLAY / RTSP/1.0\r\nCSeq: 1\r\nContent-length: 99999999999999999999\r\n\r\n",
        ] {
            assert!(Request::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn nothing_larger_than_the_limit_is_kept() {
        let mut inbox = Inbox::default();
        inbox.push(&vec![b'a'; MAX_MESSAGE_BYTES]).unwrap();
        assert_eq!(inbox.arrived(), Ok(None));
        assert!(inbox.push(b"a").is_err());
        for head in [0x8000_4000_u32, 0xffff_ffff] {
            let mut inbox = Inbox::default();
            inbox.push(&head.to_be_bytes()).unwrap();
            assert!(inbox.arrived().is_err(), "{head:#x}");
        }
    }

    #[test]
    fn every_status_has_a_text() {
        for status in 0..1000 {
            assert!(!status_text(status).is_empty());
        }
    }

    proptest! {
        /// However a request is cut, it arrives once, whole, and not before.
        #[test]
        fn cut_anywhere(cuts in proptest::collection::vec(1_usize..40, 1..80), sealed: bool) {
            let record = RtspCipher::new(&[7; 16]).seal(Side::Client, 1, ANNOUNCE);
            let message = if sealed { &record[..] } else { ANNOUNCE };
            let mut inbox = Inbox::default();
            let (mut rest, mut cuts) = (message, cuts.into_iter().cycle());
            while !rest.is_empty() {
                prop_assert_eq!(inbox.arrived(), Ok(None));
                let (now, later) = rest.split_at(cuts.next().unwrap_or(1).min(rest.len()));
                inbox.push(now).unwrap();
                rest = later;
            }
            let expected = if sealed { Arrived::Sealed(message) } else { Arrived::Plain(message) };
            prop_assert_eq!(inbox.arrived(), Ok(Some(expected)));
        }

        /// A record opens for the side that sealed it, with its key, unchanged; and never otherwise.
        #[test]
        fn records_are_authentic(key: [u8; 16], sequence: u32, message in proptest::collection::vec(any::<u8>(), 0..300),
            flip: proptest::sample::Index) {
            let cipher = RtspCipher::new(&key);
            let record = cipher.seal(Side::Host, sequence, &message);
            prop_assert_eq!(cipher.open(Side::Host, &record), Ok((sequence, message)));
            prop_assert!(cipher.open(Side::Client, &record).is_err());
            let mut bad = record;
            let bit = flip.index(bad.len() * 8);
            bad[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(cipher.open(Side::Host, &bad).is_err());
        }
    }
}
