//! From `Hello` to `Welcome`: what the client asked for against what the engine can plan. Pure, so that every refusal is
//! a table row in a test.

use std::net::IpAddr;

use punktfunk_core::handshake::{
    Cipher, ClientCaps, CompositorKind, GamepadKind, Hello, HostCaps, HostCaps2, VideoCaps, WIRE_VERSION, Welcome,
};
use punktfunk_core::{CloseCode, Codec, CodecSet, Grants, Mode};
use punktfunk_engine::plan::{ClientWish, HostOffer, SessionPlan, plan};
use punktfunk_media::{Colour, InjectorCaps, reason};

use crate::refusal::Refusal;
use crate::sound::SoundTerms;

/// The wire version comes before everything else: other fields mean nothing without it.
pub(crate) fn check_version(hello: &Hello) -> Result<(), Refusal> {
    if hello.abi_version == WIRE_VERSION {
        return Ok(());
    }
    let detail = format!("the client speaks wire version {}, this host {WIRE_VERSION}", hello.abi_version);
    Err(Refusal::detailed(CloseCode::VERSION_MISMATCH, &reason::NATIVE_VERSION_MISMATCH, detail))
}

/// `Hello.launch` needs a grant of its own.
pub(crate) fn check_launch(hello: &Hello, grants: Grants) -> Result<(), Refusal> {
    if hello.launch.is_none() || grants.contains(Grants::LAUNCH) {
        return Ok(());
    }
    Err(Refusal::new(CloseCode::LAUNCH_DENIED, &reason::NATIVE_LAUNCH_DENIED))
}

/// What the session will do.
pub(crate) fn plan_session(hello: &Hello, offer: &HostOffer) -> Result<SessionPlan, Refusal> {
    check_mode(hello.mode)?;
    let codecs = if hello.video_codecs.is_empty() { CodecSet::only(Codec::Hevc) } else { hello.video_codecs };
    let wish = ClientWish {
        mode: hello.mode,
        codecs,
        preferred: Codec::ALL.into_iter().find(|c| hello.preferred_codec.contains(*c)),
        bitrate_kbps: hello.bitrate_kbps,
        multi_slice: hello.video_caps.contains(VideoCaps::MULTI_SLICE),
        slices: 0,
        max_frame_bytes: None,
        colour: Colour::default(),
    };
    plan(offer, &wish).map_err(|error| Refusal::setup(error.reason, error.detail))
}

/// Odd sides cannot be subsampled, and the client would place a picture of another size than it asked for.
pub(crate) fn check_mode(mode: Mode) -> Result<(), Refusal> {
    let odd = !mode.width.is_multiple_of(2) || !mode.height.is_multiple_of(2);
    let none = mode.width == 0 || mode.height == 0 || mode.refresh_hz == 0;
    if odd || none {
        return Err(Refusal::setup(&reason::SESSION_MODE_INVALID, format!("the client asked for {mode}")));
    }
    Ok(())
}

/// What is random in a session.
pub(crate) struct Secrets {
    pub aes_key: [u8; 16],
    pub chacha_key: [u8; 32],
    pub salt: [u8; 4],
}

impl Secrets {
    /// Cuts up random bytes.
    pub fn from_random(random: &[u8; 52]) -> Self {
        let mut secrets = Self { aes_key: [0; 16], chacha_key: [0; 32], salt: [0; 4] };
        let (aes, rest) = random.split_at(16);
        let (chacha, salt) = rest.split_at(32);
        secrets.aes_key.copy_from_slice(aes);
        secrets.chacha_key.copy_from_slice(chacha);
        secrets.salt.copy_from_slice(salt);
        secrets
    }
}

/// What `Welcome` says beyond the plan.
pub(crate) struct Terms {
    pub udp_port: u16,
    /// The mode that the stage really has.
    pub mode: Mode,
    /// The client's address: the family decides about the packet size.
    pub client: IpAddr,
    pub frames: u32,
    pub compositor: CompositorKind,
    pub mgmt_port: u16,
    pub grants: Grants,
    pub expires_in_secs: u32,
    pub injector: Option<InjectorCaps>,
    /// What the client's first pad becomes; `None` = there are no pads.
    pub gamepad: Option<GamepadKind>,
    /// `None` = there is no sound.
    pub sound: Option<SoundTerms>,
    /// The desktop has a clipboard.
    pub clipboard: bool,
    /// The desktop tells of its pointer beside the pictures.
    pub cursor: bool,
}

/// The answer.
pub(crate) fn welcome(hello: &Hello, plan: &SessionPlan, terms: &Terms, secrets: &Secrets) -> Welcome {
    let mut welcome = Welcome::new(terms.mode, plan.codec, terms.udp_port, secrets.aes_key, secrets.salt);
    welcome.fec_percent = plan.fec_percent;
    welcome.shard_payload = if terms.client.to_canonical().is_ipv4() { SHARD_IPV4 } else { SHARD_IPV6 };
    welcome.frames = terms.frames;
    welcome.compositor = terms.compositor;
    welcome.bitrate_kbps = plan.wire_kbps;
    if hello.video_caps.contains(VideoCaps::CHACHA20) {
        welcome.cipher = Cipher::ChaCha20Poly1305(secrets.chacha_key);
    }
    welcome.mgmt_port = terms.mgmt_port;
    welcome.grants = terms.grants;
    welcome.expires_in_secs = terms.expires_in_secs;
    let injector = terms.injector.unwrap_or_default();
    welcome.gamepad = terms.gamepad.unwrap_or_default();
    welcome.host_caps = [
        (injector.text, HostCaps::TEXT_INPUT),
        (injector.pen, HostCaps::PEN),
        (terms.clipboard, HostCaps::CLIPBOARD),
        (terms.cursor && hello.client_caps.contains(ClientCaps::CURSOR), HostCaps::CURSOR),
        (terms.gamepad.is_some(), HostCaps::GAMEPAD_STATE),
    ]
    .into_iter()
    .filter(|(can, _)| *can)
    .fold(HostCaps::NONE, |caps, (_, cap)| caps | cap);
    welcome.host_caps2 = [
        (true, HostCaps2::REPEAT_MARK),
        (true, HostCaps2::EXT),
        (true, HostCaps2::INPUT_EDGES),
        (injector.touch, HostCaps2::TOUCH),
        (injector.precise_scroll, HostCaps2::SCROLL),
    ]
    .into_iter()
    .filter(|(can, _)| *can)
    .fold(HostCaps2::NONE, |caps, (_, cap)| caps | cap);
    if let Some(sound) = terms.sound {
        sound.promise(&mut welcome);
    }
    debug_assert!(welcome.extensions.is_none() || hello.client_caps.contains(ClientCaps::EXT));
    welcome
}

/// §3.5: with 64 bytes around it and IPv4 and UDP headers, exactly 1500 bytes.
const SHARD_IPV4: u16 = 1408;
/// The same with an IPv6 header.
const SHARD_IPV6: u16 = 1388;

#[cfg(test)]
mod tests {
    use super::*;
    use punktfunk_engine::plan::EncoderOffer;

    fn offer() -> HostOffer {
        let h264 = EncoderOffer { name: "test", codec: Some(Codec::H264), max_size: (4096, 4096) };
        HostOffer { encoders: vec![h264], ..HostOffer::default() }
    }

    fn hello(width: u32, height: u32, refresh_hz: u32, codecs: u8) -> Hello {
        let mut hello = Hello::new(Mode { width, height, refresh_hz });
        hello.video_codecs = CodecSet(codecs);
        hello
    }

    #[test]
    fn absurd_wishes_are_refused_with_their_reasons() {
        for (wish, code) in [
            (hello(0, 720, 60, 1), "session.mode_invalid"),
            (hello(1280, 0, 60, 1), "session.mode_invalid"),
            (hello(1280, 720, 0, 1), "session.mode_invalid"),
            (hello(1281, 720, 60, 1), "session.mode_invalid"),
            (hello(1280, 721, 60, 1), "session.mode_invalid"),
            (hello(20_000, 20_000, 60, 1), "encode.mode_too_large"),
            (hello(u32::MAX - 1, u32::MAX - 1, 60, 1), "encode.mode_too_large"),
            (hello(8192, 4320, 60, 1), "encode.mode_too_large"),
            (hello(1280, 720, 60, 4), "encode.no_common_codec"),
            (hello(1280, 720, 60, 8), "encode.no_common_codec"),
            (hello(1280, 720, 60, 0), "encode.no_common_codec"),
        ] {
            let refusal = plan_session(&wish, &offer()).expect_err(code);
            assert_eq!(refusal.reason_code(), code, "{:?}", wish.mode);
            assert_eq!(refusal.code, CloseCode::SETUP_FAILED);
            assert!(refusal.to_string().len() <= CloseCode::MAX_REASON, "{refusal}");
        }
        assert_eq!(plan_session(&hello(1280, 720, 60, 7), &offer()).unwrap().codec, Codec::H264);
    }

    #[test]
    fn other_wire_versions_are_refused() {
        let mut old = hello(1280, 720, 60, 1);
        for version in [0, 1, 3, u32::MAX] {
            old.abi_version = version;
            assert_eq!(check_version(&old).unwrap_err().code, CloseCode::VERSION_MISMATCH);
        }
        old.abi_version = 2;
        assert!(check_version(&old).is_ok());
    }

    #[test]
    fn launching_needs_its_grant() {
        let mut wish = hello(1280, 720, 60, 1);
        assert!(check_launch(&wish, Grants::VIEW).is_ok());
        wish.launch = Some("steam:570".into());
        assert_eq!(check_launch(&wish, Grants::VIEW).unwrap_err().code, CloseCode::LAUNCH_DENIED);
        assert!(check_launch(&wish, Grants::ALL).is_ok());
    }

    #[test]
    fn welcome_follows_the_plan_and_the_clients_abilities() {
        let mut wish = hello(1280, 720, 60, 1);
        wish.client_caps = wish.client_caps | ClientCaps::PAD_AUDIO;
        let plan = plan_session(&wish, &offer()).unwrap();
        let mut random = [0; 52];
        random.iter_mut().enumerate().for_each(|(i, b)| *b = i as u8);
        let secrets = Secrets::from_random(&random);
        let mut terms = Terms {
            udp_port: 50_000,
            mode: wish.mode,
            client: "::ffff:10.0.0.1".parse().unwrap(),
            frames: 7,
            compositor: CompositorKind::Wlroots,
            mgmt_port: 0,
            grants: Grants::ALL,
            expires_in_secs: 0,
            injector: Some(InjectorCaps { text: true, touch: false, pen: false, precise_scroll: true }),
            gamepad: Some(GamepadKind::DualSense),
            sound: None,
            clipboard: false,
            cursor: true,
        };
        let ipv4 = welcome(&wish, &plan, &terms, &secrets);
        assert_eq!((ipv4.shard_payload, ipv4.frames, ipv4.udp_port), (1408, 7, 50_000));
        assert_eq!(ipv4.cipher, Cipher::Aes128Gcm);
        assert!(ipv4.host_caps.contains(HostCaps::TEXT_INPUT | HostCaps::GAMEPAD_STATE));
        assert_eq!(ipv4.gamepad, GamepadKind::DualSense);
        assert!(!ipv4.host_caps.contains(HostCaps::PAD_AUDIO), "a uhid device has no audio interface");
        assert!(ipv4.host_caps2.contains(HostCaps2::SCROLL) && !ipv4.host_caps2.contains(HostCaps2::TOUCH));
        assert_eq!((ipv4.salt, ipv4.aes_key[15]), ([48, 49, 50, 51], 15));
        assert!(!ipv4.host_caps.contains(HostCaps::PEN) && !ipv4.host_caps.contains(HostCaps::CLIPBOARD));
        terms.injector = Some(InjectorCaps { touch: true, pen: true, ..InjectorCaps::default() });
        terms.clipboard = true;
        assert!(!ipv4.host_caps.contains(HostCaps::CURSOR), "nobody asked");
        wish.client_caps = ClientCaps::CURSOR;
        let touched = welcome(&wish, &plan, &terms, &secrets);
        assert!(touched.host_caps.contains(HostCaps::CLIPBOARD | HostCaps::CURSOR));
        assert!(touched.host_caps.contains(HostCaps::PEN) && touched.host_caps2.contains(HostCaps2::TOUCH));
        terms.client = "fe80::1".parse().unwrap();
        (terms.injector, terms.gamepad, terms.clipboard, terms.cursor) = (None, None, false, false);
        wish.video_caps = VideoCaps::CHACHA20;
        let ipv6 = welcome(&wish, &plan, &terms, &secrets);
        assert_eq!(ipv6.shard_payload, 1388);
        let Cipher::ChaCha20Poly1305(key) = ipv6.cipher else { panic!("the client prefers ChaCha20") };
        assert_eq!((key[0], key[31]), (16, 47));
        assert_eq!((ipv6.host_caps, ipv6.gamepad), (HostCaps::NONE, GamepadKind::Auto));
        assert!(!ipv6.host_caps2.contains(HostCaps2::SCROLL));
    }
}
