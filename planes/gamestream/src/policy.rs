//! What the operator decides about this plane: who may reach it, and what must be encrypted.

use std::net::IpAddr;

use punktfunk_media::{Reason, reason};

/// What must be encrypted beyond RTSP.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Encryption {
    /// Control and sound always, where the client can; video as the client opts in.
    #[default]
    Prefer,
    /// All three, or no session.
    Require,
    /// Only the control stream, which old clients encrypt in any case.
    Off,
}

impl Encryption {
    /// `x-ss-general.encryptionSupported`.
    #[must_use]
    pub const fn supported(self) -> u32 {
        match self {
            Self::Prefer | Self::Require => CONTROL | VIDEO | AUDIO,
            Self::Off => 0,
        }
    }

    /// `x-ss-general.encryptionRequested`.
    #[must_use]
    pub const fn requested(self) -> u32 {
        match self {
            Self::Prefer => CONTROL | AUDIO,
            Self::Require => CONTROL | VIDEO | AUDIO,
            Self::Off => 0,
        }
    }

    /// Why a client that enabled `enabled` gets no session; `None` if it gets one.
    #[must_use]
    pub const fn refuses(self, enabled: u32) -> Option<&'static Reason> {
        match self {
            Self::Require if enabled & (CONTROL | VIDEO | AUDIO) != CONTROL | VIDEO | AUDIO => {
                Some(&reason::GAMESTREAM_ENCRYPTION_REQUIRED)
            }
            _ => None,
        }
    }
}

/// From where clients may come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Networks {
    /// This machine, private, link-local and carrier-grade NAT ranges: what a home network, or a private network across
    /// the internet, uses.
    #[default]
    Private,
    /// Everywhere.
    Any,
}

impl Networks {
    /// Whether a client at this address may come.
    #[must_use]
    pub fn allows(self, peer: IpAddr) -> bool {
        match (self, peer.to_canonical()) {
            (Self::Any, _) => true,
            (Self::Private, IpAddr::V4(ip)) => {
                // RFC 6598: 100.64.0.0/10, which overlay networks hand out.
                let [a, b, ..] = ip.octets();
                ip.is_loopback() || ip.is_private() || ip.is_link_local() || (a == 100 && b & 0xc0 == 64)
            }
            (Self::Private, IpAddr::V6(ip)) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
        }
    }
}

/// Bit of the control stream, V2.
pub const CONTROL: u32 = 0x1;
/// Bit of video.
pub const VIDEO: u32 = 0x2;
/// Bit of sound.
pub const AUDIO: u32 = 0x4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_ranges_only_unless_allowed() {
        let table = [
            ("127.0.0.1", true),
            ("192.168.1.7", true),
            ("10.0.0.1", true),
            ("172.31.255.1", true),
            ("172.32.0.1", false),
            ("169.254.3.3", true),
            ("100.64.0.1", true),
            ("100.127.255.255", true),
            ("100.128.0.1", false),
            ("8.8.8.8", false),
            ("::1", true),
            ("fd00::1", true),
            ("fe80::1", true),
            ("2001:db8::1", false),
            ("::ffff:192.168.1.1", true),
            ("::ffff:8.8.8.8", false),
        ];
        for (address, expected) in table {
            let address: IpAddr = address.parse().expect("an address");
            assert_eq!(Networks::Private.allows(address), expected, "{address}");
            assert!(Networks::Any.allows(address));
        }
    }

    #[test]
    fn require_takes_nothing_less_than_everything() {
        for enabled in 0..8 {
            assert_eq!(Encryption::Require.refuses(enabled).is_none(), enabled == 7, "{enabled}");
            assert_eq!(Encryption::Prefer.refuses(enabled), None);
            assert_eq!(Encryption::Off.refuses(enabled), None);
        }
        assert_eq!(Encryption::Off.supported(), 0);
        assert_eq!(Encryption::Prefer.requested() & VIDEO, 0);
    }
}
