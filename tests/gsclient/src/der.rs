//! Just enough DER and PEM to write certificates that no well-behaved library would write.

/// One element: tag, length, content.
pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match content.len() {
        short @ ..128 => out.push(short as u8),
        long => {
            let bytes = long.to_be_bytes();
            let significant = &bytes[bytes.iter().position(|b| *b != 0).unwrap_or(0)..];
            out.push(0x80 | significant.len() as u8);
            out.extend_from_slice(significant);
        }
    }
    out.extend_from_slice(content);
    out
}

/// SEQUENCE of encoded elements.
pub(crate) fn sequence(elements: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, &elements.concat())
}

/// Text between `BEGIN` and `END` lines, 64 characters a line.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let mut out = format!("-----BEGIN {label}-----\n");
    let mut encoded = String::new();
    for chunk in der.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, b| word << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let six = (word >> (18 - 6 * i)) as usize & 63;
            encoded.push(if i <= chunk.len() { char::from(ALPHABET[six]) } else { '=' });
        }
    }
    for line in encoded.as_bytes().chunks(64) {
        out.extend(line.iter().map(|b| char::from(*b)));
        out.push('\n');
    }
    out + "-----END " + label + "-----\n"
}

/// The first PEM block of a text; `None` if there is none.
pub(crate) fn from_pem(text: &str) -> Option<Vec<u8>> {
    let (_, body) = text.split_once("-----BEGIN ")?;
    let (_, body) = body.split_once("-----")?;
    let (body, _) = body.split_once("-----END ")?;
    let mut out = Vec::new();
    let (mut word, mut bits) = (0_u32, 0);
    for c in body.bytes().filter(|c| !c.is_ascii_whitespace() && *c != b'=') {
        word = word << 6 | u32::try_from(ALPHABET.iter().position(|a| *a == c)?).ok()?;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((word >> bits) as u8);
            word &= (1 << bits) - 1;
        }
    }
    Some(out)
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pem_there_and_back() {
        for len in [0, 1, 2, 3, 47, 48, 49, 1000] {
            let bytes: Vec<u8> = (0..len).map(|i| (i * 31) as u8).collect();
            assert_eq!(from_pem(&pem("X", &bytes)), Some(bytes));
        }
        assert!(pem("X", b"Man").contains("\nTWFu\n"));
        assert_eq!(from_pem("nothing"), None);
    }
}
