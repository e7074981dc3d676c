//! The sound of a private desktop: PipeWire, its session manager and its PulseAudio door, in the desktop's own runtime
//! folder, started by its sway once that is up, so that no picture waits for them. They belong to the desktop's family and
//! end with it; one that dies is started again.

use std::path::PathBuf;

use punktfunk_audio::{Listen, PipeWire};
use punktfunk_media::{AudioError, AudioRequest, AudioSource, MicSink, Sound, reason};

/// The script that starts them.
pub const SOUND_SCRIPT: &str = "sound.sh";

/// Their files: name and text.
pub fn files() -> [(&'static str, &'static str); 5] {
    [
        (SOUND_SCRIPT, SCRIPT),
        ("sound/pipewire/pipewire.conf.d/80-punktfunk.conf", PACE),
        ("sound/wireplumber/main.lua.d/80-punktfunk.lua", NO_DEVICES_04),
        ("sound/wireplumber/bluetooth.lua.d/80-punktfunk.lua", NO_BLUETOOTH_04),
        ("sound/wireplumber/wireplumber.conf.d/80-punktfunk.conf", NO_DEVICES_05),
    ]
}

/// What is heard on the private desktop whose runtime folder is `runtime_dir`.
#[derive(Debug)]
pub struct PrivateSound {
    pub runtime_dir: PathBuf,
}

impl PrivateSound {
    fn server(&self) -> Result<PipeWire, AudioError> {
        if self.runtime_dir.join(NO_SOUND).exists() {
            let detail = "pipewire or wireplumber is not installed".to_owned();
            return Err(AudioError { reason: &reason::AUDIO_UNSUPPORTED, detail, fatal: true });
        }
        Ok(PipeWire { socket: self.runtime_dir.join("pipewire-0") })
    }
}

impl Sound for PrivateSound {
    fn source(&self, request: &AudioRequest) -> Result<Box<dyn AudioSource>, AudioError> {
        // The only sink there is, and so the default one.
        let name = "punktfunk".to_owned();
        let listen = Listen::OwnSink { description: name.clone(), name, alone: true };
        self.server()?.source(&listen, request)
    }

    fn microphone(&self) -> Result<Box<dyn MicSink>, AudioError> {
        self.server()?.microphone("punktfunk-microphone", "punktfunk microphone")
    }
}

/// There when the programs are not.
const NO_SOUND: &str = "no-sound";

/// What each keeps (volumes, choices) goes with the desktop, and a person's own settings for the session at the machine
/// have no say here.
const SCRIPT: &str = "# Made by punktfunk for one private desktop; gone with it.
if ! command -v pipewire >/dev/null 2>&1 || ! command -v wireplumber >/dev/null 2>&1; then
    : >\"$XDG_RUNTIME_DIR/no-sound\"
    exit 0
fi
export XDG_CONFIG_HOME=\"$XDG_RUNTIME_DIR/sound\" XDG_STATE_HOME=\"$XDG_RUNTIME_DIR/sound/state\"
keep() {
    while :; do
        \"$1\"
        sleep 0.3
    done
}
keep pipewire &
tries=0
while ! [ -S \"$XDG_RUNTIME_DIR/pipewire-0\" ] && [ $tries -lt 100 ]; do
    tries=$((tries + 1))
    sleep 0.05
done
ready() {
    pw-metadata -n default 2>/dev/null | grep -q '^Found'
}
if command -v pipewire-pulse >/dev/null 2>&1; then
    keep pipewire-pulse &
    ready() {
        [ -S \"$XDG_RUNTIME_DIR/pulse/native\" ] && pw-metadata -n default 2>/dev/null | grep -q '^Found'
    }
fi
while :; do
    wireplumber &
    manager=$!
    tries=0
    while kill -0 $manager 2>/dev/null && ! ready && [ $tries -lt 100 ]; do
        tries=$((tries + 1))
        sleep 0.05
    done
    if kill -0 $manager 2>/dev/null; then
        : >\"$XDG_RUNTIME_DIR/sound-ready\"
    fi
    wait $manager
    rm -f \"$XDG_RUNTIME_DIR/sound-ready\"
    sleep 0.3
done
";

/// Lines of a shell script that wait until the sound is there, 3 s at most: WirePlumber 0.4 never links a program that
/// plays before it is up, and programs look for PulseAudio once.
pub const WAIT_FOR_SOUND: &str = "tries=0
while ! [ -e \"$XDG_RUNTIME_DIR/sound-ready\" ] && ! [ -e \"$XDG_RUNTIME_DIR/no-sound\" ] && [ $tries -lt 60 ]; do
    tries=$((tries + 1))
    sleep 0.05
done
";

/// Blocks on the wire are no powers of two: lets the graph run once per block (see `node.force-quantum` in the sink).
const PACE: &str = "context.properties = { clock.power-of-two-quantum = false }\n";
/// The machine's devices belong to the person at it. WirePlumber 0.4; read before its own `90-enable-all.lua`.
const NO_DEVICES_04: &str = "alsa_monitor.enabled = false
v4l2_monitor.enabled = false
libcamera_monitor.enabled = false
";
const NO_BLUETOOTH_04: &str = "bluez_monitor.enabled = false\n";
/// The same for WirePlumber 0.5 and later.
const NO_DEVICES_05: &str = "wireplumber.profiles = {
  main = {
    monitor.alsa = disabled
    monitor.alsa-midi = disabled
    monitor.bluez = disabled
    monitor.bluez-midi = disabled
    monitor.v4l2 = disabled
    monitor.libcamera = disabled
  }
}
";

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use std::time::Duration;

    use punktfunk_media::ChannelLayout;

    #[test]
    fn where_the_programs_are_missing_there_is_no_sound_and_it_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("script");
        std::fs::write(&script, SCRIPT).unwrap();
        let status = Command::new("/bin/sh")
            .arg(&script)
            .env_clear()
            .env("PATH", dir.path())
            .env("XDG_RUNTIME_DIR", dir.path())
            .status()
            .unwrap();
        assert!(status.success());
        let sound = PrivateSound { runtime_dir: dir.path().to_owned() };
        let (layout, block) = (ChannelLayout::Stereo, Duration::from_millis(5));
        let errors =
            [sound.source(&AudioRequest { layout, block, also_on_host: false }).err(), sound.microphone().err()];
        for error in errors {
            let error = error.expect("no sound");
            assert!(error.fatal && error.reason.code == "audio.unsupported", "{error}");
        }
    }
}
