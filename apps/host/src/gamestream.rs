//! The GameStream plane in this process, if it is configured.

use std::io::Write as _;
use std::sync::Arc;

use punktfunk_audio::OpusCodec;
use punktfunk_engine::plan::HostOffer;
use punktfunk_gamestream::policy::{Encryption, Networks};
use punktfunk_gamestream::wire::video::START_FEC_PERCENT;
use punktfunk_gamestream::{GameStreamConfig, GameStreamPlane};
use punktfunk_hub::Hub;
use punktfunk_hub::apps::Apps;
use punktfunk_hub::displays::Displays;
use punktfunk_media::{EncoderList, reason};
use punktfunk_native::NativeConfig;
use punktfunk_net::Identity;

use crate::cli::{GameStreamEncryption, GameStreamNetworks};
use crate::config::Config;
use crate::exit::{Failure, PORT_TAKEN};
use crate::paths::Paths;

/// How the plane is set up, with what the native one offers; `None` if it is not served.
pub fn config(config: &Config, paths: &Paths, identity: &Identity, native: &NativeConfig) -> Option<GameStreamConfig> {
    let wished = config.gamestream?;
    Some(GameStreamConfig {
        base_port: wished.port,
        offer: HostOffer { fec_percent: START_FEC_PERCENT, ..native.offer.clone() },
        pads: native.pads.as_ref().map(|pads| (Arc::clone(&pads.factory), pads.policy)),
        encryption: match wished.encryption {
            GameStreamEncryption::Prefer => Encryption::Prefer,
            GameStreamEncryption::Require => Encryption::Require,
            GameStreamEncryption::Off => Encryption::Off,
        },
        networks: match wished.networks {
            GameStreamNetworks::Private => Networks::Private,
            GameStreamNetworks::Any => Networks::Any,
        },
        mdns: config.mdns,
        sound: Some(Arc::new(OpusCodec)),
        ..GameStreamConfig::new(config.bind, config.name.clone(), &paths.state, identity.uuid())
    })
}

/// Starts it, says where it listens on one line for scripts, and warns of what an operator should know.
///
/// # Errors
/// A port that is taken, with its exit code.
pub fn start(
    config: GameStreamConfig,
    hub: &Arc<Hub>,
    encoders: EncoderList,
    displays: &Arc<Displays>,
    apps: &Arc<Apps>,
) -> Result<GameStreamPlane, Failure> {
    if config.encryption == Encryption::Off {
        tracing::warn!(
            "gamestream.encryption is off: sound and video of GameStream clients can be read on the network"
        );
    }
    if config.networks == Networks::Any {
        tracing::warn!("gamestream.networks is any: GameStream is reachable from every network that reaches this host");
    }
    let plane = GameStreamPlane::start(config, Arc::clone(hub), encoders, Arc::clone(displays), Arc::clone(apps))
        .map_err(|e| {
            let code = if *e.reason == reason::HOST_PORT_TAKEN { PORT_TAKEN } else { 1 };
            Failure::new(e.reason, e.detail).with_code(code)
        })?;
    let doors = plane.doors();
    let mut stdout = std::io::stdout();
    // Nobody may be reading; that is no reason to end.
    let _ = writeln!(
        stdout,
        "gamestream http={} https={} rtsp={} video={} control={} audio={}",
        doors.http, doors.https, doors.rtsp, doors.video, doors.control, doors.audio
    )
    .and_then(|()| stdout.flush());
    tracing::info!(
        "to let a Moonlight client in: add this host there, then type the PIN that it shows with `punktfunk-host pair pin PIN`"
    );
    Ok(plane)
}
