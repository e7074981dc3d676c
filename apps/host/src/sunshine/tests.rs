//! Sunshine's files as it writes them, and what is documented about them.

use std::fs;

use super::*;

/// Every key of `sunshine.conf` in Sunshine's own documentation and source, August 2026.
const ALL: &str = "adapter_name address_family always_send_scancodes amd_coder amd_enforce_hrd amd_max_au_size amd_preanalysis \
    amd_quality amd_rc amd_usage amd_vbaq audio_sink av1_mode back_button_timeout bind_address capture cert controller \
    credentials_file csrf_allowed_origins dd_config_revert_delay dd_config_revert_on_disconnect dd_configuration_option \
    dd_hdr_option dd_manual_refresh_rate dd_manual_resolution dd_mode_remapping dd_refresh_rate_option dd_resolution_option \
    dd_wa_hdr_toggle_delay ds4_back_as_touchpad_click encoder external_ip fec_percentage file_apps file_state gamepad \
    global_prep_cmd hevc_mode high_resolution_scrolling install_steam_audio_drivers key_repeat_delay key_repeat_frequency \
    key_rightalt_to_key_win keybindings keyboard lan_encryption_mode locale log_path max_bitrate min_log_level min_threads \
    minimum_fps_target motion_as_ds4 mouse native_pen_touch notify_pre_releases nvenc_h264_cavlc nvenc_latency_over_power \
    nvenc_opengl_vulkan_on_dxgi nvenc_preset nvenc_realtime_hags nvenc_spatial_aq nvenc_split_encode nvenc_twopass \
    nvenc_vbv_increase origin_web_ui_allowed output_name packetsize ping_timeout pkey port qp qsv_coder qsv_preset \
    qsv_slow_hevc stream_audio sunshine_name sw_preset sw_tune system_tray touchpad_as_ds4 upnp vaapi_blbrc vaapi_quality \
    vaapi_rc vaapi_strict_rc_buffer virtual_sink virtualhid_randomize_mac vk_rc_mode vk_tune vt_coder vt_realtime vt_software \
    wan_encryption_mode";

#[test]
fn every_key_of_sunshine_has_a_fate_that_is_documented() {
    let known: Vec<&str> = keys::KEYS.iter().map(|(key, _)| *key).collect();
    assert_eq!(known, ALL.split_whitespace().collect::<Vec<_>>());
    let doc = include_str!("../../../../docs/sunshine.md");
    for (key, fate) in keys::KEYS {
        let row = match fate {
            keys::Fate::To(ours, _) => format!("| `{key}` | `{ours}` |"),
            keys::Fate::Not(why) => format!("| `{key}` | – {why} |"),
        };
        assert!(doc.contains(&row), "docs/sunshine.md lacks: {row}");
    }
    for (key, what) in apps::KEYS {
        let row = format!("| `{key}` | {what} |");
        assert!(doc.contains(&row), "docs/sunshine.md lacks: {row}");
    }
}

fn folder(conf: &str, list: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join("sunshine.conf"), conf).expect("written");
    fs::write(dir.path().join("apps.json"), list).expect("written");
    dir
}

const CONF: &str = "sunshine_name = Den\nadapter_name = /dev/dri/renderD129\nport = 48989\naddress_family = both\nlan_encryption_mode = 1\nwan_encryption_mode = 2\n\
    max_bitrate = 80000\nencoder = software\nnvenc_preset = 1\nodd_key = 1\nupnp = enabled\n\
    global_prep_cmd = [{\"do\":\"sh -c \\\"echo $(HOME)\\\"\",\"undo\":\"echo bye\",\"elevated\":\"false\"}]\n";

const LIST: &str = r#"{"env": {"PATH": "$(PATH):$(HOME)/.local/bin", "MANGOHUD": "1"}, "apps": [
    {"name": "Desktop", "image-path": "desktop.png"},
    {"name": "Low Res Desktop", "image-path": "missing.png", "prep-cmd": [{"do": "xrandr --output HDMI-1 --mode 1920x1080", "undo": "xrandr --auto"}]},
    {"name": "Steam Big Picture", "detached": ["setsid steam steam://open/bigpicture"], "prep-cmd": [{"do": "", "undo": "setsid steam steam://close/bigpicture"}]},
    {"name": "Game", "cmd": "/opt/game --fast", "working-dir": "/opt", "output": "game.log", "image-path": "cover.png", "detached": ["helper"],
     "exclude-global-prep-cmd": "true", "auto-detach": "false", "wait-all": true, "exit-timeout": "5", "elevated": "true", "odd": 1},
    {"name": "Game", "cmd": "again"}, {"cmd": "nameless"}]}"#;

#[test]
fn settings_and_programs_become_ours_and_the_rest_is_named() {
    let dir = folder(CONF, LIST);
    fs::write(dir.path().join("cover.png"), b"\x89PNG\r\n\x1a\n").expect("written");
    let imported = import(dir.path()).expect("read");
    let text = text(&imported, dir.path()).expect("a configuration");
    let get = |area: &str, key: &str| imported.config[area][key].clone();
    assert_eq!(get("network", "name"), Value::from("Den"));
    assert_eq!(get("network", "bind"), Value::from("::"));
    assert_eq!(get("gamestream", "port"), Value::from(48_989));
    assert_eq!(get("gamestream", "encryption"), Value::from("require"));
    assert_eq!(get("video", "max_bitrate_kbps"), Value::from(80_000));
    assert_eq!(get("video", "encoder"), Value::from("x264"));
    assert_eq!(get("video", "gpu"), Value::from("/dev/dri/renderD129"));
    assert_eq!(get("library", "prepare")[0]["run"], Value::from("sh -c \"echo ${HOME}\""));
    let apps = imported.config["apps"].as_array().expect("a list");
    let of = |n: usize, key: &str| apps[n].get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    assert_eq!(
        apps.iter().map(|a| a["name"].as_str().expect("a name")).collect::<Vec<_>>(),
        ["Low Res Desktop", "Steam Big Picture", "Game", "Game"]
    );
    assert_eq!(of(0, "command"), "exec sleep infinity");
    assert_eq!(of(1, "command"), "(setsid steam steam://open/bigpicture) & exec sleep infinity");
    assert_eq!(apps[1]["prepare"][0]["undo"], Value::from("setsid steam steam://close/bigpicture"));
    assert_eq!(of(2, "command"), format!("(/opt/game --fast) >>{} 2>&1", dir.path().join("game.log").display()));
    assert_eq!((of(2, "working_dir").as_str(), of(3, "id").as_str()), ("/opt", "app:game-2"));
    assert_eq!(of(2, "cover"), dir.path().join("cover.png").display().to_string());
    assert_eq!((&apps[2]["library_prepare"], &apps[2]["env"]["MANGOHUD"]), (&Value::from(false), &Value::from("1")));
    assert_eq!(apps[2]["prepare"][0]["run"], Value::from("(helper) >/dev/null 2>&1 &"));
    let left: Vec<&str> = imported.left_out.iter().map(|(what, _)| what.as_str()).collect();
    assert_eq!(
        left,
        [
            "nvenc_preset",
            "odd_key",
            "upnp",
            "Desktop",
            "Low Res Desktop: image-path",
            "Game: auto-detach",
            "Game: elevated",
            "Game: odd",
            "a program of apps.json",
            "env PATH"
        ]
    );
    assert!(text.contains("# left out: upnp: the host changes no router"), "{text}");
}

#[test]
fn what_is_not_sunshines_is_refused() {
    let empty = tempfile::tempdir().expect("a folder");
    assert_eq!(import(empty.path()).expect_err("nothing there").reason.code, "import.unreadable");
    let broken = folder("", "{");
    assert_eq!(import(broken.path()).expect_err("broken").reason.code, "import.unreadable");
    // Values that mean nothing cost only themselves.
    let odd = folder(
        "port = 80\nlan_encryption_mode = 9\naddress_family = x\nbind_address = here\nglobal_prep_cmd = [{",
        "{\"apps\": []}",
    );
    let imported = import(odd.path()).expect("read");
    assert_eq!((imported.left_out.len(), imported.config.len()), (5, 0), "{imported:?}");
}

#[test]
fn nothing_that_is_there_is_overwritten() {
    let dir = folder(CONF, LIST);
    let output = dir.path().join("ours.toml");
    let paths = Paths::from_env();
    run(Some(dir.path()), Some(&output), true, &paths).expect("only looked");
    assert!(!output.exists());
    run(Some(dir.path()), Some(&output), false, &paths).expect("written");
    let before = fs::read_to_string(&output).expect("there");
    let refused = run(Some(dir.path()), Some(&output), false, &paths).expect_err("it is there");
    assert_eq!((refused.reason.code, fs::read_to_string(&output).expect("there")), ("import.exists", before));
}
