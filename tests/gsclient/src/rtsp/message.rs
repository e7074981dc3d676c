//! RTSP's text and its seal.

use std::fmt::Write as _;

use super::Originator;
use crate::Error;
use crate::bytes::Bytes;
use crate::crypto::{Gcm, TAG};

/// A request, before it is sealed.
pub struct Request<'a> {
    /// Method.
    pub method: &'a str,
    /// Target.
    pub target: &'a str,
    /// Counts from 1.
    pub cseq: u32,
    /// What `Host` says.
    pub host: &'a str,
    /// From the second SETUP on.
    pub session: Option<&'a str>,
    /// More headers.
    pub headers: &'a [(&'a str, &'a str)],
    /// Body; a length is sent if it is not empty.
    pub body: &'a str,
}

impl Request<'_> {
    /// The text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = format!(
            "{} {} RTSP/1.0\r\nCSeq: {}\r\nX-GS-ClientVersion: 14\r\nHost: {}\r\n",
            self.method, self.target, self.cseq, self.host
        );
        // Writing to a String cannot fail.
        if let Some(session) = self.session {
            let _ = write!(out, "Session: {session}\r\n");
        }
        for (name, value) in self.headers {
            let _ = write!(out, "{name}: {value}\r\n");
        }
        if !self.body.is_empty() {
            let _ = write!(out, "Content-length: {}\r\n", self.body.len());
        }
        out + "\r\n" + self.body
    }
}

/// An answer, read as strictly as the client's parser does (§5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// 200 is good.
    pub status: u16,
    /// Status text.
    pub reason: String,
    /// In order; names as they came, because clients compare them case by case.
    pub headers: Vec<(String, String)>,
    /// What followed.
    pub body: String,
}

impl Answer {
    /// # Errors
    /// [`Error::Answer`] for what the client's parser would refuse.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let text = std::str::from_utf8(bytes).map_err(|_| Error::answer("RTSP is not UTF-8"))?;
        let (head, body) =
            text.split_once("\r\n\r\n").ok_or_else(|| Error::answer(format!("no RTSP head in {text:?}")))?;
        let mut lines = head.split("\r\n");
        let first = lines.next().unwrap_or_default();
        let mut words = first.splitn(3, ' ');
        let (protocol, status, reason) = (words.next(), words.next(), words.next());
        let status = status.and_then(|s| s.parse().ok());
        let (Some("RTSP/1.0"), Some(status), Some(reason @ [_, ..])) = (protocol, status, reason.map(str::as_bytes))
        else {
            return Err(Error::answer(format!("RTSP status line {first:?}")));
        };
        let mut headers = Vec::new();
        for line in lines {
            match line.split_once(": ") {
                Some((name, value)) if !name.is_empty() && !value.is_empty() && !value.starts_with(' ') => {
                    headers.push((name.to_owned(), value.to_owned()));
                }
                _ => return Err(Error::answer(format!("RTSP header {line:?}"))),
            }
        }
        if headers.is_empty() {
            return Err(Error::answer("RTSP without headers"));
        }
        Ok(Self { status, reason: String::from_utf8_lossy(reason).into_owned(), headers, body: body.to_owned() })
    }

    /// A header's value, by exact name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// Seals a message (§5.3).
///
/// # Errors
/// If it is longer than 2 GiB.
pub fn seal(key: &Gcm, from: Originator, sequence: u32, text: &[u8]) -> Result<Vec<u8>, Error> {
    let length = u32::try_from(text.len()).ok().filter(|l| l & SEALED == 0);
    let length = length.ok_or_else(|| Error::Usage("RTSP message too long".to_owned()))?;
    let mut sealed = text.to_vec();
    let tag = key.seal(iv(from, sequence), &mut sealed)?;
    let mut out = (SEALED | length).to_be_bytes().to_vec();
    out.extend(sequence.to_be_bytes());
    out.extend(tag);
    out.extend(sealed);
    Ok(out)
}

/// Opens a record that is `wire` and nothing else: its sequence and text; `None` if it is not genuine.
#[must_use]
pub fn open(key: &Gcm, from: Originator, wire: &[u8]) -> Option<(u32, Vec<u8>)> {
    let mut r = Bytes(wire);
    let (word, sequence) = (r.u32be()?, r.u32be()?);
    let tag = r.take(TAG)?;
    if word & SEALED == 0 || (word & !SEALED) as usize != r.0.len() {
        return None;
    }
    let mut text = Vec::new();
    key.open(iv(from, sequence), tag, r.0, &mut text).then_some((sequence, text))
}

fn iv(from: Originator, sequence: u32) -> [u8; 12] {
    let mut iv = [0; 12];
    iv[..4].copy_from_slice(&sequence.to_le_bytes());
    iv[10..].copy_from_slice(&[from.letter(), b'R']);
    iv
}

/// The top bit of the first word.
const SEALED: u32 = 0x8000_0000;
