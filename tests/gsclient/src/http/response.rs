//! HTTP answers.

use crate::Error;

/// An answer as it came.
#[derive(Clone, Debug)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// What followed.
    pub body: Vec<u8>,
}

impl Response {
    /// # Errors
    /// [`Error::Answer`] for what is not an HTTP/1 answer.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n");
        let end = end.ok_or_else(|| Error::answer(format!("no HTTP head in {} bytes", bytes.len())))?;
        let head = std::str::from_utf8(&bytes[..end]).map_err(|_| Error::answer("HTTP head is not UTF-8"))?;
        let mut lines = head.split("\r\n");
        let first = lines.next().unwrap_or_default();
        let status = first.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok());
        let status = status.ok_or_else(|| Error::answer(format!("status line {first:?}")))?;
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut body = bytes[end + 4..].to_vec();
        let header = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
        if let Some(length) = header("content-length") {
            if length.parse() != Ok(body.len()) {
                return Err(Error::answer(format!("{} bytes of body, Content-Length {length}", body.len())));
            }
        } else if header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            body = unchunk(&body).ok_or_else(|| Error::answer("broken chunked body"))?;
        }
        Ok(Self { status, headers, body })
    }

    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    loop {
        let end = rest.windows(2).position(|w| w == b"\r\n")?;
        let size = std::str::from_utf8(&rest[..end]).ok()?.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        rest = &rest[end + 2..];
        if size == 0 {
            return Some(out);
        }
        out.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size..)?.strip_prefix(b"\r\n")?;
    }
}
