//! Every key of `sunshine.conf`, and what becomes of it.

use toml::{Table, Value};

use super::Imported;
use super::apps::steps;
use crate::cli::GpuName;

/// What becomes of a key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    /// It becomes this key of ours.
    To(&'static str, fn(&str, &mut Imported) -> Result<(), String>),
    /// It has no counterpart, for this reason.
    Not(&'static str),
}
use Fate::{Not, To};

/// Applies what was set.
pub(super) fn apply(settings: &[(String, String)], imported: &mut Imported) {
    for (key, value) in settings {
        match KEYS.iter().find(|(name, _)| name == key) {
            Some((_, To(ours, map))) => {
                if let Err(why) = map(value, imported) {
                    imported.leave_out(format!("{key} = {}", brief(value)), format!("no value for {ours}: {why}"));
                }
            }
            Some((_, Not(why))) => imported.leave_out(key.as_str(), *why),
            None => imported.leave_out(brief(key), "Sunshine has no such key"),
        }
    }
}

fn brief(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

fn name(value: &str, imported: &mut Imported) -> Result<(), String> {
    imported.set("network.name", value);
    Ok(())
}

fn number(value: &str) -> Result<i64, String> {
    value.trim().parse().map_err(|_| "it is no number".to_owned())
}

fn port(value: &str, imported: &mut Imported) -> Result<(), String> {
    let port = number(value)?;
    if !(1029..=65_514).contains(&port) {
        return Err("the other ports are at -5 to +21 of it".to_owned());
    }
    imported.set("gamestream.port", port);
    Ok(())
}

fn bind(value: &str, imported: &mut Imported) -> Result<(), String> {
    value.parse::<std::net::IpAddr>().map_err(|_| "it is no address".to_owned())?;
    imported.set("network.bind", value);
    Ok(())
}

fn family(value: &str, imported: &mut Imported) -> Result<(), String> {
    let address = match value {
        "ipv4" => "0.0.0.0",
        "both" => "::",
        _ => return Err("it is neither `ipv4` nor `both`".to_owned()),
    };
    // An address says more, whichever comes first.
    let has = imported.config.get("network").and_then(|n| n.get("bind")).is_some();
    if !has {
        imported.set("network.bind", address);
    }
    Ok(())
}

/// 0 never, 1 as the client can, 2 always; one rule for all networks here: the stricter.
fn encryption(value: &str, imported: &mut Imported) -> Result<(), String> {
    const RULES: [&str; 3] = ["off", "prefer", "require"];
    let wanted = usize::try_from(number(value)?).ok().filter(|n| *n < RULES.len()).ok_or("it is not 0, 1 or 2")?;
    let now = imported.config.get("gamestream").and_then(|g| g.get("encryption")).and_then(Value::as_str);
    let now = now.and_then(|now| RULES.iter().position(|rule| *rule == now)).unwrap_or(0);
    imported.set("gamestream.encryption", RULES[wanted.max(now)]);
    Ok(())
}

fn bitrate(value: &str, imported: &mut Imported) -> Result<(), String> {
    match number(value)? {
        0 => Ok(()),
        kbps @ 500..=8_000_000 => {
            imported.set("video.max_bitrate_kbps", kbps);
            Ok(())
        }
        _ => Err("it is not 500 to 8000000".to_owned()),
    }
}

fn encoder(value: &str, imported: &mut Imported) -> Result<(), String> {
    if value != "software" {
        return Err("the host chooses what works here".to_owned());
    }
    imported.set("video.encoder", "x264");
    Ok(())
}

/// A render node, on Linux.
fn gpu(value: &str, imported: &mut Imported) -> Result<(), String> {
    let name: GpuName = value.parse()?;
    imported.set("video.gpu", name.to_string());
    Ok(())
}

fn prepare(value: &str, imported: &mut Imported) -> Result<(), String> {
    let steps = steps(&serde_json::from_str(value).map_err(|e| e.to_string())?, "global_prep_cmd", imported);
    if !steps.is_empty() {
        imported.set("library.prepare", Value::Array(steps.into_iter().map(Table::into).collect()));
    }
    Ok(())
}

fn nothing(_: &str, _: &mut Imported) -> Result<(), String> {
    Ok(())
}

const DISPLAY: &str = "every client gets a display of its own, at its mode; nothing of yours is changed";
const INPUT: &str = "what a device may send is decided for each device (`ctl clients grants`)";
const KEYS_OF_CLIENT: &str = "the client decides";
const PAD: &str = "the client's own kind of gamepad is made";
const SINK: &str = "every session has a sound output of its own";
const TUNING: &str = "encoders are set up for latency; the host chooses what works here";
const WINDOWS: &str = "Windows only";
const OWN_FILES: &str = "the host has files of its own";

/// Every key, sorted.
pub(super) const KEYS: &[(&str, Fate)] = &[
    ("adapter_name", To("video.gpu", gpu)),
    ("address_family", To("network.bind", family)),
    ("always_send_scancodes", Not(WINDOWS)),
    ("amd_coder", Not(TUNING)),
    ("amd_enforce_hrd", Not(TUNING)),
    ("amd_max_au_size", Not(TUNING)),
    ("amd_preanalysis", Not(TUNING)),
    ("amd_quality", Not(TUNING)),
    ("amd_rc", Not(TUNING)),
    ("amd_usage", Not(TUNING)),
    ("amd_vbaq", Not(TUNING)),
    ("audio_sink", Not(SINK)),
    ("av1_mode", Not("the client and the host agree on a codec")),
    ("back_button_timeout", Not("the client has a button for it")),
    ("bind_address", To("network.bind", bind)),
    ("capture", Not("the host chooses what the desktop offers")),
    ("cert", Not(OWN_FILES)),
    ("controller", Not(INPUT)),
    ("credentials_file", Not(OWN_FILES)),
    ("csrf_allowed_origins", Not("the console takes requests from itself alone; `web.hosts` gives it other names")),
    ("dd_config_revert_delay", Not(DISPLAY)),
    ("dd_config_revert_on_disconnect", Not(DISPLAY)),
    ("dd_configuration_option", Not(DISPLAY)),
    ("dd_hdr_option", Not(DISPLAY)),
    ("dd_manual_refresh_rate", Not(DISPLAY)),
    ("dd_manual_resolution", Not(DISPLAY)),
    ("dd_mode_remapping", Not(DISPLAY)),
    ("dd_refresh_rate_option", Not(DISPLAY)),
    ("dd_resolution_option", Not(DISPLAY)),
    ("dd_wa_hdr_toggle_delay", Not(DISPLAY)),
    ("ds4_back_as_touchpad_click", Not(PAD)),
    ("encoder", To("video.encoder", encoder)),
    ("external_ip", Not("the host tells the addresses that it has")),
    ("fec_percentage", Not("it follows the loss that the client sees")),
    ("file_apps", To("apps", nothing)),
    ("file_state", Not(OWN_FILES)),
    ("gamepad", Not(PAD)),
    ("global_prep_cmd", To("library.prepare", prepare)),
    ("hevc_mode", Not("the client and the host agree on a codec")),
    ("high_resolution_scrolling", Not(KEYS_OF_CLIENT)),
    ("install_steam_audio_drivers", Not(WINDOWS)),
    ("key_repeat_delay", Not("the desktop repeats keys")),
    ("key_repeat_frequency", Not("the desktop repeats keys")),
    ("key_rightalt_to_key_win", Not(KEYS_OF_CLIENT)),
    ("keybindings", Not("keys are those that the client sends")),
    ("keyboard", Not(INPUT)),
    ("lan_encryption_mode", To("gamestream.encryption", encryption)),
    ("locale", Not("the console is in its reader's language")),
    ("log_path", Not("the log is on standard error, where the system collects it")),
    ("max_bitrate", To("video.max_bitrate_kbps", bitrate)),
    ("min_log_level", Not("`--log` or PUNKTFUNK_LOG")),
    ("min_threads", Not(TUNING)),
    ("minimum_fps_target", Not("pictures are sent when there are new ones")),
    ("motion_as_ds4", Not(PAD)),
    ("mouse", Not(INPUT)),
    ("native_pen_touch", Not(KEYS_OF_CLIENT)),
    ("notify_pre_releases", Not("the host asks nobody")),
    ("nvenc_h264_cavlc", Not(TUNING)),
    ("nvenc_latency_over_power", Not(TUNING)),
    ("nvenc_opengl_vulkan_on_dxgi", Not(WINDOWS)),
    ("nvenc_preset", Not(TUNING)),
    ("nvenc_realtime_hags", Not(WINDOWS)),
    ("nvenc_spatial_aq", Not(TUNING)),
    ("nvenc_split_encode", Not(TUNING)),
    ("nvenc_twopass", Not(TUNING)),
    ("nvenc_vbv_increase", Not(TUNING)),
    ("origin_web_ui_allowed", Not("the console asks everybody for its password; `web.enabled` turns it off")),
    ("output_name", Not(DISPLAY)),
    ("packetsize", Not("the client decides")),
    ("ping_timeout", Not("a session waits as long as the protocol says")),
    ("pkey", Not(OWN_FILES)),
    ("port", To("gamestream.port", port)),
    ("qp", Not(TUNING)),
    ("qsv_coder", Not(TUNING)),
    ("qsv_preset", Not(TUNING)),
    ("qsv_slow_hevc", Not(TUNING)),
    ("stream_audio", Not("the client asks for sound or not")),
    ("sunshine_name", To("network.name", name)),
    ("sw_preset", Not(TUNING)),
    ("sw_tune", Not(TUNING)),
    ("system_tray", Not("there is none")),
    ("touchpad_as_ds4", Not(PAD)),
    ("upnp", Not("the host changes no router")),
    ("vaapi_blbrc", Not(TUNING)),
    ("vaapi_quality", Not(TUNING)),
    ("vaapi_rc", Not(TUNING)),
    ("vaapi_strict_rc_buffer", Not(TUNING)),
    ("virtual_sink", Not(SINK)),
    ("virtualhid_randomize_mac", Not(PAD)),
    ("vk_rc_mode", Not(TUNING)),
    ("vk_tune", Not(TUNING)),
    ("vt_coder", Not("macOS only")),
    ("vt_realtime", Not("macOS only")),
    ("vt_software", Not("macOS only")),
    ("wan_encryption_mode", To("gamestream.encryption", encryption)),
];
