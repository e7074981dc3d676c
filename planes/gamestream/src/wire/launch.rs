//! The parameters of `/launch` and `/resume` (gamestream.md §3.7), checked.

use std::net::IpAddr;

use super::query::{Query, QueryError};
use crate::door::LaunchRequest;

/// What the request itself does not say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LaunchContext {
    /// The client's name as the trust store has it.
    pub device_name: String,
    /// Where the request arrived, unmapped.
    pub local: IpAddr,
    /// Where it came from, unmapped.
    pub peer: IpAddr,
}

/// Reads the parameters. Old clients leave out almost everything in `/resume`.
///
/// # Errors
/// [`QueryError`]: without `rikey` and `rikeyid` there is no session, and a value that makes no sense is never guessed at.
pub fn parse(query: &Query, context: LaunchContext) -> Result<LaunchRequest, QueryError> {
    let pads = match query.number::<i64>("gcmap")? {
        Some(mask) => Some(mask),
        None => query.number::<i64>("remoteControllersBitmap")?,
    };
    Ok(LaunchRequest {
        device_name: context.device_name,
        app: query.number("appid")?,
        mode: query.get("mode").map(|text| mode(text).ok_or(QueryError::Invalid("mode"))).transpose()?,
        rikey: query.array("rikey")?,
        rikey_id: key_id(query.need("rikeyid")?).ok_or(QueryError::Invalid("rikeyid"))?,
        hdr: query.switch("hdrMode")?,
        play_on_host: query.switch("localAudioPlayMode")?,
        surround_info: query.number("surroundAudioInfo")?.unwrap_or(STEREO),
        surround_params: query.get("surroundParams").map(layout).transpose()?,
        continuous_audio: query.switch("continuousAudio")?,
        // A mask with its top bit set may come as a negative number.
        pads: low_32(pads.unwrap_or(0)),
        keep_pads: query.switch("gcpersist")?,
        core_version: query.number("corever")?.unwrap_or(0),
        local: context.local,
        peer: context.peer,
    })
}

/// `width x height x frames per second`.
fn mode(text: &str) -> Option<(u32, u32, u32)> {
    let mut parts = text.split('x').map(|part| part.parse::<u32>().ok().filter(|n| *n <= MAX_SIDE));
    let mode = (parts.next()??, parts.next()??, parts.next()??);
    (parts.next().is_none() && mode.0 > 0 && mode.1 > 0).then_some(mode)
}

/// Signed decimal as clients print it; some print it unsigned.
fn key_id(text: &str) -> Option<u32> {
    let number = text.parse::<i64>().ok()?;
    (i64::from(i32::MIN)..=i64::from(u32::MAX)).contains(&number).then(|| low_32(number))
}

/// Single digits: channels, streams, coupled streams and the mapping (§9.2). What they mean is checked where the sound
/// is set up.
fn layout(text: &str) -> Result<String, QueryError> {
    if (4..=MAX_LAYOUT).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) {
        Ok(text.to_owned())
    } else {
        Err(QueryError::Invalid("surroundParams"))
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the low bits are what is meant")]
fn low_32(number: i64) -> u32 {
    number as u32
}

/// Channel mask 3, two channels.
const STEREO: u32 = 0x0003_0002;
/// Beyond any display and refresh rate; the session's plan has the real limits.
const MAX_SIDE: u32 = 65_535;
/// Eight channels.
const MAX_LAYOUT: usize = 11;

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn launch(text: &str) -> Result<LaunchRequest, QueryError> {
        let context = LaunchContext { device_name: "tv".into(), local: HOME, peer: HOME };
        parse(&Query::parse(text).unwrap(), context)
    }

    const KEY: &str = "rikey=000102030405060708090A0B0C0D0E0F&rikeyid=-1234567";

    #[test]
    fn everything_a_current_client_sends_arrives() {
        let request = launch(&format!(
            "uniqueid=0123456789ABCDEF&uuid=x&appid=1234&mode=1920x1080x60&additionalStates=1&sops=1&{KEY}&hdrMode=1&\
             clientHdrCapVersion=0&localAudioPlayMode=1&surroundAudioInfo=4128774&surroundParams=642012345&\
             continuousAudio=1&remoteControllersBitmap=3&gcmap=7&gcpersist=1&corever=1"
        ))
        .unwrap();
        assert_eq!((request.app, request.mode), (Some(1234), Some((1920, 1080, 60))));
        assert_eq!((request.rikey[15], request.rikey_id), (15, (-1_234_567_i32).cast_unsigned()));
        assert!(request.hdr && request.play_on_host && request.continuous_audio && request.keep_pads);
        assert_eq!((request.surround_info, request.surround_params.as_deref()), (0x3f_0006, Some("642012345")));
        assert_eq!((request.pads, request.core_version), (7, 1));
    }

    #[test]
    fn an_old_resume_gets_the_defaults() {
        let request = launch(&format!("{KEY}&surroundAudioInfo=196610")).unwrap();
        assert_eq!((request.app, request.mode, request.core_version), (None, None, 0));
        assert_eq!(request.surround_info, launch(KEY).unwrap().surround_info);
        assert!(!request.hdr && !request.play_on_host && request.pads == 0);
    }

    #[test]
    fn nothing_is_guessed_at() {
        assert_eq!(launch("rikeyid=1"), Err(QueryError::Missing("rikey")));
        assert_eq!(launch("rikey=000102030405060708090a0b0c0d0e0f"), Err(QueryError::Missing("rikeyid")));
        for (name, value) in [
            ("mode", "1920x1080"),
            ("mode", "1920x1080x60x1"),
            ("mode", "0x1080x60"),
            ("mode", "99999999x1080x60"),
            ("mode", "-1x1080x60"),
            ("mode", ""),
            ("appid", "-1"),
            ("appid", "4294967296"),
            ("surroundAudioInfo", "x"),
            ("surroundParams", "64a"),
            ("surroundParams", "642012345678"),
            ("gcmap", "1e9"),
            ("corever", "1.0"),
            ("hdrMode", "yes"),
        ] {
            assert_eq!(launch(&format!("{KEY}&{name}={value}")), Err(QueryError::Invalid(name)), "{value}");
        }
        for id in ["", "x", "1.5", "4294967296", "-2147483649", "99999999999999999999"] {
            let text = format!("rikey=000102030405060708090a0b0c0d0e0f&rikeyid={id}");
            assert_eq!(launch(&text), Err(QueryError::Invalid("rikeyid")), "{id}");
        }
        for key in ["00", "zz0102030405060708090a0b0c0d0e0f", "000102030405060708090a0b0c0d0e0f00"] {
            assert_eq!(launch(&format!("rikey={key}&rikeyid=1")), Err(QueryError::Invalid("rikey")), "{key}");
        }
        assert_eq!(launch(&KEY.replace("-1234567", "4294967295")).unwrap().rikey_id, u32::MAX);
    }
}
