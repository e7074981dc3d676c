//! Which local ports a data socket may take (`--data-port RANGE`, for firewalls).

use std::fmt;
use std::str::FromStr;

/// An inclusive range of UDP ports, or any port.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PortRange {
    /// `None`: whatever the system gives.
    bounds: Option<(u16, u16)>,
}

impl PortRange {
    /// Any free port.
    pub const ANY: Self = Self { bounds: None };

    /// The ports from `first` to `last`.
    ///
    /// # Errors
    /// [`PortRangeError`] if the range is empty or holds port 0.
    pub fn new(first: u16, last: u16) -> Result<Self, PortRangeError> {
        if first == 0 || first > last {
            return Err(PortRangeError);
        }
        Ok(Self { bounds: Some((first, last)) })
    }

    /// Every port to try, in order; 0 stands for "the system chooses".
    pub fn iter(self) -> impl Iterator<Item = u16> {
        let (first, last) = self.bounds.unwrap_or((0, 0));
        first..=last
    }
}

/// `50000-50100`, or one port.
impl FromStr for PortRange {
    type Err = PortRangeError;

    fn from_str(text: &str) -> Result<Self, PortRangeError> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let port = |digits: &str| digits.trim().parse().map_err(|_| PortRangeError);
        Self::new(port(first)?, port(last)?)
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bounds {
            None => f.write_str("any"),
            Some((first, last)) if first == last => write!(f, "{first}"),
            Some((first, last)) => write!(f, "{first}-{last}"),
        }
    }
}

/// Not a range of ports.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a port range is FIRST-LAST or one port, from 1 to 65535, first not above last")]
pub struct PortRangeError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_parse_and_print() {
        for (text, ports) in [("50000", 1), ("50000-50003", 4), (" 1 - 65535 ", 65535)] {
            let range: PortRange = text.parse().unwrap();
            assert_eq!(range.iter().count(), ports);
            assert_eq!(range.to_string().parse(), Ok(range));
        }
        assert_eq!(PortRange::ANY.iter().collect::<Vec<_>>(), [0]);
        for bad in ["", "0", "2-1", "-", "1-", "65536", "a-b", "1-2-3"] {
            assert_eq!(bad.parse::<PortRange>(), Err(PortRangeError), "{bad}");
        }
    }
}
