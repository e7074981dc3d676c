//! Query strings (`application/x-www-form-urlencoded`, gamestream.md §3.1) and what their values are made of.

/// The parameters of one request. The first of equal names counts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Query {
    parameters: Vec<(String, String)>,
}

/// A query string or one of its values makes no sense.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum QueryError {
    /// More parameters than any client sends.
    #[error("more than {MAX_PARAMETERS} parameters")]
    TooMany,
    /// A `%` without two hexadecimal digits, or text that is not UTF-8.
    #[error("a parameter is not encoded as it should be")]
    Encoding,
    /// A parameter that the request needs is not there.
    #[error("the parameter {0} is missing")]
    Missing(&'static str),
    /// A value cannot be what its parameter says.
    #[error("the parameter {0} has a value that makes no sense")]
    Invalid(&'static str),
}

impl Query {
    /// Reads what stands behind the `?`.
    ///
    /// # Errors
    /// [`QueryError::TooMany`], [`QueryError::Encoding`].
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let mut parameters = Vec::new();
        for pair in text.split('&').filter(|p| !p.is_empty()) {
            if parameters.len() == MAX_PARAMETERS {
                return Err(QueryError::TooMany);
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            parameters.push((decode(name)?, decode(value)?));
        }
        Ok(Self { parameters })
    }

    /// A value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// A value that must be there.
    ///
    /// # Errors
    /// [`QueryError::Missing`].
    pub fn need(&self, name: &'static str) -> Result<&str, QueryError> {
        self.get(name).ok_or(QueryError::Missing(name))
    }

    /// A number, if it is there.
    ///
    /// # Errors
    /// [`QueryError::Invalid`].
    pub fn number<T: std::str::FromStr>(&self, name: &'static str) -> Result<Option<T>, QueryError> {
        self.get(name).map(|text| text.parse().map_err(|_| QueryError::Invalid(name))).transpose()
    }

    /// A switch: a number that is not 0. False if it is not there.
    ///
    /// # Errors
    /// [`QueryError::Invalid`].
    pub fn switch(&self, name: &'static str) -> Result<bool, QueryError> {
        Ok(self.number::<i64>(name)?.is_some_and(|n| n != 0))
    }

    /// Bytes in hexadecimal digits, upper or lower case, at most `max` of them.
    ///
    /// # Errors
    /// [`QueryError::Missing`], [`QueryError::Invalid`].
    pub fn bytes(&self, name: &'static str, max: usize) -> Result<Vec<u8>, QueryError> {
        let text = self.need(name)?;
        if text.len() > 2 * max {
            return Err(QueryError::Invalid(name));
        }
        from_hex(text).ok_or(QueryError::Invalid(name))
    }

    /// Exactly `N` bytes in hexadecimal digits.
    ///
    /// # Errors
    /// [`QueryError::Missing`], [`QueryError::Invalid`].
    pub fn array<const N: usize>(&self, name: &'static str) -> Result<[u8; N], QueryError> {
        self.bytes(name, N)?.try_into().map_err(|_| QueryError::Invalid(name))
    }
}

/// Lower-case hexadecimal digits.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    let digits = b"0123456789abcdef";
    bytes.iter().flat_map(|b| [digits[usize::from(b >> 4)], digits[usize::from(b & 15)]]).map(char::from).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

fn decode(text: &str) -> Result<String, QueryError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => {
                let ([high, low], after) = rest.split_first_chunk().ok_or(QueryError::Encoding)?;
                rest = after;
                digit(*high).zip(digit(*low)).map(|(h, l)| h << 4 | l).ok_or(QueryError::Encoding)?
            }
            other => *other,
        });
    }
    String::from_utf8(bytes).map_err(|_| QueryError::Encoding)
}

/// The longest request, `/launch`, has some twenty.
const MAX_PARAMETERS: usize = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_decoded_and_the_first_counts() {
        let query = Query::parse("a=1&b=x+y%2Fz%c3%bc&a=2&&flag&h=0aFf&n=-5").unwrap();
        assert_eq!(query.get("a"), Some("1"));
        assert_eq!(query.get("b"), Some("x y/zü"));
        assert_eq!(query.get("flag"), Some(""));
        assert_eq!(query.array("h"), Ok([0x0a, 0xff]));
        assert_eq!(query.number::<i32>("n"), Ok(Some(-5)));
        assert_eq!(query.number::<u32>("n"), Err(QueryError::Invalid("n")));
        assert_eq!(query.number::<u32>("none"), Ok(None));
        assert_eq!((query.switch("a"), query.switch("none")), (Ok(true), Ok(false)));
        assert_eq!(query.need("none"), Err(QueryError::Missing("none")));
    }

    #[test]
    fn what_is_not_encoded_well_is_refused() {
        for text in ["a=%", "a=%4", "a=%zz", "a=%ff", "%80"] {
            assert_eq!(Query::parse(text), Err(QueryError::Encoding), "{text}");
        }
        assert_eq!(Query::parse(&"a=1&".repeat(65)), Err(QueryError::TooMany));
        let query = Query::parse("odd=abc&long=00112233&word=xyzw&none=").unwrap();
        assert_eq!(query.bytes("odd", 8), Err(QueryError::Invalid("odd")));
        assert_eq!(query.bytes("long", 3), Err(QueryError::Invalid("long")));
        assert_eq!(query.bytes("word", 8), Err(QueryError::Invalid("word")));
        assert_eq!(query.array::<1>("none"), Err(QueryError::Invalid("none")));
    }

    proptest! {
        #[test]
        fn anything_parses_or_is_refused(text in ".{0,200}") {
            let _ = Query::parse(&text);
        }

        #[test]
        fn hexadecimal_digits_come_back(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert_eq!(from_hex(&to_hex(&bytes)), Some(bytes.clone()));
            prop_assert_eq!(from_hex(&to_hex(&bytes).to_uppercase()), Some(bytes));
        }
    }
}
