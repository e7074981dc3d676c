//! The registry of stable reason codes: a code, a sentence for a person, and the fix. The same in log, API, console,
//! command line and close reason. Codes never change; a new failure gets a new code. Keep them sorted.

use std::fmt;

/// Why something was refused or failed.
#[derive(PartialEq, Eq, Debug)]
pub struct Reason {
    /// Stable code, `area.what`.
    pub code: &'static str,
    /// What happened, for a person.
    pub sentence: &'static str,
    /// What to do about it.
    pub fix: &'static str,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.sentence)
    }
}

macro_rules! reasons {
    ($($name:ident = $code:literal, $sentence:literal, $fix:literal;)*) => {
        $(
            #[doc = concat!("`", $code, "`: ", $sentence)]
            pub static $name: Reason = Reason { code: $code, sentence: $sentence, fix: $fix };
        )*
        /// Every reason.
        pub static ALL: &[&Reason] = &[$(&$name),*];
    };
}

reasons! {
    ACCESS_DENIED = "access.denied", "The operator denied this device.", "Ask the operator of the host to approve it.";
    ACCESS_EXPIRED = "access.expired", "This device's access has ended.", "Pair it again, or let the operator extend its access.";
    ACCESS_IDENTITY_REQUIRED = "access.identity_required", "The client presented no certificate, and this host requires paired devices.", "Use a client that has an identity, and pair it.";
    ACCESS_REVOKED = "access.revoked", "The operator revoked this device's access.", "Pair the device again if it should have access.";
    ACCESS_SUPERSEDED = "access.superseded", "A newer request of the same device replaced this one.", "Nothing to do: the newer request goes on.";
    ACTION_FAILED = "action.failed", "The system did not carry this out.", "Look at the detail; the user that runs the host may need the right to do it.";
    API_BAD_REQUEST = "api.bad_request", "The request could not be understood.", "Compare it with the API description at /api/v1/openapi.json.";
    API_CREDENTIAL_NEEDED = "api.credential_needed", "This request needs a token or a paired device's certificate.", "Make a token with `punktfunk-host ctl tokens create`, and send it as `Authorization: Bearer TOKEN`.";
    API_FORBIDDEN = "api.forbidden", "This user may not control the host.", "Run the command as the user that runs the host, or as root.";
    API_INTERNAL = "api.internal", "A bug in the host ended this request.", "Report it with the host's log.";
    API_METHOD_NOT_ALLOWED = "api.method_not_allowed", "This address does not take this method.", "Compare the request with the API description at /api/v1/openapi.json.";
    API_NOT_FOUND = "api.not_found", "There is nothing at this address.", "Compare the request with the API description at /api/v1/openapi.json.";
    API_ORIGIN_REFUSED = "api.origin_refused", "This request came from another web page.", "Use the console itself, or a token from a program that is no browser.";
    API_SCOPE = "api.scope", "This credential does not allow this.", "Use a token with the scope that the detail names.";
    API_TIMEOUT = "api.timeout", "The host did not finish this request in time.", "Try again; if it happens again, look at the host's log.";
    API_TOKEN_UNKNOWN = "api.token_unknown", "This token does not exist, was revoked, or has expired.", "Make a new one with `punktfunk-host ctl tokens create`.";
    API_TOO_LARGE = "api.too_large", "The request is larger than this API takes.", "Send less in one request.";
    API_TOO_MANY_STREAMS = "api.too_many_streams", "Too many event streams are open.", "Close some, or read the events less often.";
    API_WRONG_HOST = "api.wrong_host", "The host is not known by this name.", "Use its address or its configured name; `web.hosts` adds names.";
    APP_EXITED = "app.exited", "The program that was streamed has ended.", "Start it again, or stream the desktop.";
    APP_FAILED = "app.failed", "The program could not be started.", "Look at the log for the program's error; correct its command in the configuration.";
    APP_PREPARE_FAILED = "app.prepare_failed", "A command that prepares for the program failed or took too long; what was done so far was undone.", "Run the command by hand in a terminal on the desktop; correct it or its timeout in the configuration.";
    APP_UNKNOWN = "app.unknown", "There is no such program in this host's library.", "Choose one of those that `punktfunk-host library` prints, or add it to the configuration.";
    APP_UNSUPPORTED = "app.unsupported", "Programs cannot be started on this desktop.", "Use a private desktop (--desktop private), or start the program on the desktop itself.";
    AUDIO_CODEC = "audio.codec", "Sound could not be coded or decoded.", "Choose stereo in the client; report it with the log.";
    AUDIO_LINK = "audio.link", "Sound could not be sent to the client.", "Reconnect; look at the network between client and host if it happens again.";
    AUDIO_LOSSLESS_DEAR = "audio.lossless_dear", "Sound without loss would take more than a quarter of the bitrate.", "Raise the bitrate, or ask for fewer channels.";
    AUDIO_LOSSLESS_PATH = "audio.lossless_path", "A block of sound without loss does not fit a datagram on this path.", "Ask for 16 bits or fewer channels; look for a tunnel with a small MTU.";
    AUDIO_LOST = "audio.lost", "The sound server ended.", "The host comes back to it by itself; look at the sound server's log if it does not.";
    AUDIO_UNSUPPORTED = "audio.unsupported", "There is no sound to be had on this desktop.", "Install pipewire and wireplumber.";
    CAPTURE_FORMAT_UNSUPPORTED = "capture.format_unsupported", "The compositor delivers pictures only in a pixel format that this host does not read.", "Set the output to 8 bits per colour, or use --desktop private.";
    CAPTURE_LOST = "capture.lost", "The compositor stopped delivering pictures.", "Reconnect; if it happens again, look at the compositor's log.";
    CAPTURE_UNSUPPORTED = "capture.unsupported", "The compositor offers no screen capture protocol that this host speaks.", "Use a wlroots compositor, or --desktop private.";
    CLIENT_AMBIGUOUS = "client.ambiguous", "Several devices match this id.", "Give more of the id's characters.";
    CLIENT_NOT_FOUND = "client.not_found", "No device has this id.", "Run `punktfunk-host pair list` and use an id from there.";
    CLIPBOARD_GONE = "clipboard.gone", "What was copied is not there any more.", "Copy it again.";
    CLIPBOARD_LOST = "clipboard.lost", "The desktop's clipboard cannot be reached.", "Turn the clipboard off and on in the client; look at the desktop's log if it happens again.";
    CLIPBOARD_UNSUPPORTED = "clipboard.unsupported", "This desktop gives its clipboard to no other program.", "Use a compositor with ext-data-control-v1 or wlr-data-control-unstable-v1, or a private desktop.";
    CONFIG_INVALID = "config.invalid", "The configuration has a value that cannot be used.", "Correct the named key; `docs/config.md` lists every key with its values.";
    CONFIG_PINNED = "config.pinned", "This setting is fixed by a flag, an environment variable or the configuration file.", "Change it there, or remove it there to set it here.";
    CONFIG_UNKNOWN_KEY = "config.unknown_key", "The configuration has a key that does not exist.", "Remove the named key or correct its spelling.";
    CONFIG_UNREADABLE = "config.unreadable", "The configuration file cannot be read.", "Correct the named line, or move the file away to use the defaults.";
    CONSOLE_LINK_SPENT = "console.link_spent", "This link was used already or is out of date.", "Run `punktfunk-host console-url` for the current one.";
    CONSOLE_LOCKED_OUT = "console.locked_out", "Too many wrong passwords.", "Wait for the time that the detail names; a browser that was signed in before has tries of its own.";
    CONSOLE_PASSWORD_UNFIT = "console.password_unfit", "A password has 8 characters or more, and at most 256 bytes.", "Choose another one.";
    CONSOLE_PASSWORD_UNSET = "console.password_unset", "The console has no password yet.", "Run `punktfunk-host console-url` and open the link that it prints.";
    CONSOLE_PASSWORD_WRONG = "console.password_wrong", "The password is wrong.", "Try again; `punktfunk-host console-url --reset` prints a link to set a new one.";
    CONSOLE_SIGNED_OUT = "console.signed_out", "You are signed out.", "Sign in again.";
    DESKTOP_DIED = "desktop.died", "The compositor behind this session ended.", "Reconnect: the host opens a new display.";
    DESKTOP_LAYOUT_REFUSED = "desktop.layout_refused", "The keyboard cannot have that layout.", "Name it as XKB does, LAYOUT[:VARIANT[:OPTIONS]]: us, de, de:nodeadkeys, us:dvorak, fr (see `localectl list-x11-keymap-layouts`).";
    DESKTOP_MISSING = "desktop.missing", "No desktop session was found, and the private desktop's programs are not installed.", "Install sway, or start the host inside a desktop session.";
    DESKTOP_MODE_REFUSED = "desktop.mode_refused", "The compositor did not take the requested mode.", "Choose another resolution or refresh rate.";
    DESKTOP_OPEN_FAILED = "desktop.open_failed", "The compositor did not give us an output.", "Run `punktfunk-host probe-compositor` and follow what it prints.";
    DESKTOP_ROOT = "desktop.root", "The compositor refuses to run as root.", "Start the host with --user punktfunk, or as an ordinary user.";
    DESKTOP_SCALE_REFUSED = "desktop.scale_refused", "The display cannot be scaled like that.", "Choose 100 to 300 percent in steps of 5; in a running session, set the scale there.";
    DISPLAY_NOT_FOUND = "display.not_found", "No display is kept for this id.", "List the displays again: it may have ended.";
    DISPLAY_WINDOW_NOT_FOUND = "display.window_not_found", "There is no such window on this display.", "List the windows again: its program may have closed it.";
    DISPLAY_WINDOWS_UNKNOWN = "display.windows_unknown", "The compositor does not say which windows it shows.", "Try again; if it goes on, stop the session and connect anew.";
    DISPLAY_WINDOWS_UNSUPPORTED = "display.windows_unsupported", "This desktop tells nobody of its windows.", "Use a private desktop, or a sway session.";
    ENCODE_CODEC_LEFT_OUT = "encode.codec_left_out", "Every encoder of the preferred codec failed for this client before.", "Look at the log for each encoder's error; the codec is tried again after a restart.";
    ENCODE_CODEC_OTHER = "encode.codec_other", "The client's preferred codec is not encoded here at this size.", "Nothing to do: another common codec is used.";
    ENCODE_FAILED = "encode.failed", "The video encoder failed while running.", "The host moves to the next encoder by itself; see the log for the cause.";
    ENCODE_FFMPEG_MISSING = "encode.ffmpeg_missing", "libavcodec is not installed.", "Install libavcodec59 (Debian 12) or a later version up to 62.";
    ENCODE_MODE_TOO_LARGE = "encode.mode_too_large", "No available encoder takes pictures of this size.", "Choose a smaller resolution.";
    ENCODE_NO_CODEC = "encode.no_common_codec", "The client decodes no codec that this host encodes.", "Enable H.264 in the client.";
    ENCODE_NO_ENCODER_LEFT = "encode.no_encoder_left", "Every encoder of the negotiated codec failed.", "Reconnect: the codec is left out next time. Look at the log for each encoder's error.";
    ENCODE_PINNED_MISSING = "encode.pinned_missing", "The encoder that the operator pinned cannot serve this client.", "Choose another encoder, or --encoder auto.";
    GAMESTREAM_APP_NOT_FOUND = "gamestream.app_not_found", "This host has no such application.", "Let the client load the list of applications again.";
    GAMESTREAM_AUDIO_PACKET = "gamestream.audio_packet", "A coded block of sound does not fit its FEC block.", "Reconnect, and report it with the log.";
    GAMESTREAM_BAD_REQUEST = "gamestream.bad_request", "The client's request could not be understood.", "Update the client.";
    GAMESTREAM_BUSY = "gamestream.busy", "Too many requests at once.", "Try again in a few seconds.";
    GAMESTREAM_CODEC_REFUSED = "gamestream.codec_refused", "The client chose a video format that this host does not encode.", "Let the client choose its codec by itself, or choose H.264 without HDR and 4:4:4.";
    GAMESTREAM_ENCRYPTION_REQUIRED = "gamestream.encryption_required", "This host requires encryption of control, video and sound, and the client did not enable all of it.", "Update the client and allow encryption in its settings, or set gamestream.encryption to prefer.";
    GAMESTREAM_FRAME_TOO_LARGE = "gamestream.frame_too_large", "An encoded picture was larger than the protocol can protect.", "Lower the bitrate; the host sends a new keyframe by itself.";
    GAMESTREAM_HANDSHAKE_INVALID = "gamestream.handshake_invalid", "The client asked for its stream in a way that makes no sense.", "Update the client; if it is up to date, report it with the log.";
    GAMESTREAM_LAUNCH_DENIED = "gamestream.launch_denied", "This device may stream the desktop, but not launch applications.", "Let the operator of the host grant it, or choose Desktop.";
    GAMESTREAM_MEDIA_SOCKET = "gamestream.media_socket", "The UDP ports of video and sound cannot be used.", "Free the ports that the log names, or choose another base port for GameStream.";
    GAMESTREAM_NETWORK_REFUSED = "gamestream.network_refused", "GameStream is served to private networks only, and the client is in another one.", "Connect through a private network (a VPN), or set gamestream.networks to any.";
    GAMESTREAM_NEVER_CAME = "gamestream.never_came", "The client launched a session and did not come to stream it.", "Let the firewall pass TCP 48010 and UDP 47998 to 48000, and try again.";
    GAMESTREAM_NO_IDENTITY = "gamestream.no_identity", "The host's GameStream certificate is not ready.", "Try again in a few seconds; if it happens again, look at the host's log.";
    GAMESTREAM_NO_SUCH_APP = "gamestream.no_such_app", "There is no application with this number.", "Refresh the list of applications in the client.";
    GAMESTREAM_NOTHING_TO_RESUME = "gamestream.nothing_to_resume", "This client has no session to resume.", "Start the application again.";
    GAMESTREAM_PACKET_SIZE = "gamestream.packet_size", "The client announced a packet size that no video packet can have.", "Set the client's packet size to a multiple of 16, 1024 for one; 0 lets it choose.";
    GAMESTREAM_PACKETIZE_FAILED = "gamestream.packetize_failed", "A picture could not be cut into packets.", "Reconnect, and report it with the log.";
    GAMESTREAM_PAIRING_FAILED = "gamestream.pairing_failed", "The pairing did not succeed: the PIN was wrong, or the client gave up.", "Start the pairing on the client again, and type the PIN that it shows then.";
    GAMESTREAM_PAIRING_ORDER = "gamestream.pairing_order", "This step of the pairing was not due.", "Start the pairing on the client again.";
    GAMESTREAM_RTSP_ORDER = "gamestream.rtsp_order", "The client asked to play before it announced its stream.", "Update the client.";
    GAMESTREAM_UNKNOWN_PATH = "gamestream.unknown_path", "There is nothing at this address.", "Update the client.";
    GPU_CLOSED = "gpu.closed", "The chosen GPU cannot be opened by the host's user.", "Add the host's user to the group that owns the device (`render` or `video`), and restart the host; or set video.gpu to auto.";
    GPU_FAILED = "gpu.failed", "The compositor of private desktops cannot draw with the chosen GPU; it draws with the processor.", "Look at the detail for the compositor's words, and install the GPU's Mesa driver; or set video.gpu to auto.";
    GPU_MISSING = "gpu.missing", "The chosen GPU is not in this machine.", "Choose one that `punktfunk-host ctl gpus` lists, by its bus if it moves from boot to boot; or set video.gpu to auto.";
    HOST_ALREADY_RUNNING = "host.already_running", "Another host is running with the same folders.", "Stop it first, or give this one its own XDG folders.";
    HOST_CONTROL_DENIED = "host.control_denied", "A host is running, but this user may not control it.", "Run the command as the user that runs the host, or as root.";
    HOST_CONTROL_SOCKET = "host.control_socket", "The control socket could not be made.", "Look at the folder that the log names: this user must own it and be able to write there.";
    HOST_NO_RANDOMNESS = "host.no_randomness", "The system gave no random numbers.", "Look at the host's log; a container may hide getrandom.";
    HOST_NOT_RUNNING = "host.not_running", "No host is running for this user.", "Start it with `punktfunk-host serve`.";
    HOST_PORT_TAKEN = "host.port_taken", "The port is used by another program.", "End the other host, or choose another port with --port.";
    HOST_ROOT = "host.root", "The host does not run as root, and could not become an unprivileged user.", "Make the user with `useradd --system --create-home punktfunk`, or name another with --user.";
    HOST_SHUTTING_DOWN = "host.shutting_down", "The host is shutting down.", "Reconnect when it has started again.";
    HOST_WATCHDOG = "host.watchdog", "The watchdog process could not be started.", "Free memory or raise the limit on processes (`ulimit -u`); without it nothing would clean up after a crash.";
    HUB_BUSY = "hub.busy", "All session slots of this host are in use.", "Wait until one is free, or end a session; --max-sessions allows more.";
    IMPORT_EXISTS = "import.exists", "There is a configuration already.", "Look with --dry-run and take over what you want by hand, or write to another file with --output.";
    IMPORT_UNREADABLE = "import.unreadable", "Sunshine's files cannot be read.", "Name the folder that holds sunshine.conf and apps.json with --from.";
    IMPORT_UNWRITABLE = "import.unwritable", "The configuration cannot be written.", "Name a file that this user can write with --output.";
    INJECT_LOST = "inject.lost", "The compositor stopped taking input.", "Reconnect; if it happens again, look at the compositor's log.";
    INJECT_PAUSED = "inject.paused", "The desktop takes no input at the moment.", "Wait until it does again; a lock screen or a permission that was taken back may be the cause.";
    INJECT_UNSUPPORTED = "inject.unsupported", "The compositor offers no way to inject this input.", "Use a compositor with virtual-pointer and virtual-keyboard protocols.";
    INPUT_TOUCH_DENIED = "input.touch_denied", "This user may not make a virtual touch screen and pen.", "Save the rules that `punktfunk-host doctor` prints as /etc/udev/rules.d/60-punktfunk-pads.rules, run `udevadm control --reload && udevadm trigger`, and add the host's user to the group `punktfunk`.";
    INPUT_TOUCH_UINPUT_MISSING = "input.touch_uinput_missing", "There is no /dev/uinput: a touch screen and a pen cannot be made.", "Load the kernel module uinput: `modprobe uinput`, and add it to /etc/modules-load.d.";
    INPUT_TOUCH_UNSUPPORTED = "input.touch_unsupported", "This desktop takes no touch and no pen: clients move the pointer instead.", "Stream a running session whose compositor reads the kernel's input devices; private desktops and compositors without libinput have no means for touch.";
    INTERNAL_PANIC = "internal.panic", "A bug in the host ended this session.", "Reconnect, and report it with the log.";
    INTERNAL_THREADS = "internal.threads", "The system gave the host no more threads.", "Raise the limit of tasks (TasksMax, ulimit -u), or end other sessions.";
    LIBRARY_CONFLICT = "library.conflict", "Somebody else changed the library meanwhile.", "Load it again, then make the change.";
    LIBRARY_COVER_INVALID = "library.cover_invalid", "This is no picture that can be a cover.", "Send a PNG, JPEG or WebP of at most 8 MB and 8192 points a side.";
    LIBRARY_FULL = "library.full", "The library holds no more of these.", "Remove some first.";
    LIBRARY_INVALID = "library.invalid", "This entry cannot be started as it is.", "Correct what the detail names.";
    LIBRARY_NOT_FOUND = "library.not_found", "The library has no such entry, or it has no cover.", "List the library again.";
    LIBRARY_PINNED = "library.pinned", "This entry comes from the configuration file or from a store, and cannot be changed here.", "Change it where it comes from, or hide it and add one of your own.";
    LIBRARY_STORE_BROKEN = "library.store_broken", "A store's file is not what it should be; its other games were found.", "Start the store once, so that it writes the file anew; report it if the store itself shows the games.";
    LIBRARY_STORE_SLOW = "library.store_slow", "Reading a store's files takes too long; what was found before is shown.", "Look whether the disk or network drive that holds the games answers.";
    LIBRARY_STORE_TOO_LARGE = "library.store_too_large", "A store's file is larger than any that is known.", "Report it with the file's size; the other games were found.";
    LIBRARY_STORE_UNREADABLE = "library.store_unreadable", "A store's file cannot be read.", "Let the user that runs the host read it; the detail names the file.";
    NATIVE_CLIENT_TOO_NEW = "native.client_too_new", "The client speaks only punktfunk/2, which this host does not.", "Use a client up to v0.40, or a transition build that also offers punktfunk/1.";
    NATIVE_DATA_SOCKET = "native.data_socket", "No UDP socket for video could be opened.", "Free a port of the --data-port range, or widen it.";
    NATIVE_ENDED_BY_OPERATOR = "native.ended_by_operator", "The operator of the host ended this session.", "Reconnect when the host is free.";
    NATIVE_FRAME_TOO_LARGE = "native.frame_too_large", "An encoded picture was larger than the client accepts.", "Lower the bitrate; the host sends a new keyframe by itself.";
    NATIVE_HANDSHAKE_INVALID = "native.handshake_invalid", "The client's first messages make no sense.", "Update the client.";
    NATIVE_HANDSHAKE_TIMEOUT = "native.handshake_timeout", "The client did not finish connecting in time.", "Try again; look at the network between client and host if it happens again.";
    NATIVE_LAUNCH_DENIED = "native.launch_denied", "This device may not launch applications.", "Let the operator of the host grant it, or connect without an application.";
    NATIVE_NOT_READING = "native.not_reading", "The client stopped reading its control stream.", "Reconnect; update the client if it happens again.";
    NATIVE_PACKETIZE_FAILED = "native.packetize_failed", "A picture could not be cut into packets.", "Reconnect, and report it with the log.";
    NATIVE_REPLACED = "native.replaced", "The same device started a newer session.", "Nothing to do: the newer session goes on.";
    NATIVE_SILENT = "native.silent", "The client was silent, and another one needed its place.", "Reconnect when the network is back.";
    NATIVE_VERSION_MISMATCH = "native.version_mismatch", "Client and host speak different wire versions.", "Use a client of the releases up to v0.40.";
    NATIVE_VIDEO_BLOCKED = "native.video_blocked", "Video leaves the host and does not reach the client.", "Let the firewall pass the UDP ports of video; --data-port RANGE pins them.";
    NETWORK_UNAVAILABLE = "network.unavailable", "The host cannot listen on the network.", "Check the address given with --bind, and whether the system allows UDP sockets.";
    PADS_DENIED = "pads.denied", "This user may not make virtual gamepads.", "Save the rules that `punktfunk-host doctor` prints as /etc/udev/rules.d/60-punktfunk-pads.rules, run `udevadm control --reload && udevadm trigger`, and add the host's user to the group `punktfunk`.";
    PADS_FAILED = "pads.failed", "A virtual gamepad could not be made, or the kernel took it away.", "The host tries again by itself; look at its log for the kernel's answer.";
    PADS_UHID_MISSING = "pads.uhid_missing", "There is no /dev/uhid: DualSense and DualShock pads become Xbox pads.", "Load the kernel module uhid: `modprobe uhid`, and add it to /etc/modules-load.d.";
    PADS_UINPUT_MISSING = "pads.uinput_missing", "There is no /dev/uinput: Xbox and Switch pads cannot be made.", "Load the kernel module uinput: `modprobe uinput`, and add it to /etc/modules-load.d.";
    PAIRING_AMBIGUOUS = "pairing.ambiguous", "Several devices wait for their PIN.", "Name one of them with --id; `punktfunk-host pair status` lists their ids and addresses.";
    PAIRING_BAD_PIN = "pairing.bad_pin", "A PIN has four digits.", "Type the four digits that the device shows.";
    PAIRING_BAD_WINDOW = "pairing.bad_window", "A pairing window lasts between 15 and 600 seconds.", "Choose a length within these bounds.";
    PAIRING_BOUND_TO_OTHER = "pairing.bound_to_other", "The open pairing window is for another device.", "Open a window for this device.";
    PAIRING_KNOCK_NOT_FOUND = "pairing.knock_not_found", "No waiting device has this id.", "Run `punktfunk-host pair list`; the device may have given up, connect it again.";
    PAIRING_NOBODY_WAITS = "pairing.nobody_waits", "No device waits for a PIN.", "Start pairing on the device, and type the PIN that it shows while it waits.";
    PAIRING_NOT_ARMED = "pairing.not_armed", "No pairing window is open.", "Open one with `punktfunk-host pair arm`.";
    PAIRING_PIN_NEEDED = "pairing.pin_needed", "This device pairs by the PIN that it shows.", "Type that PIN: `punktfunk-host pair pin PIN --id ID`.";
    PAIRING_RATE_LIMITED = "pairing.rate_limited", "Too many pairing attempts in a short time.", "Wait a few seconds and try again.";
    PAIRING_TIMED_OUT = "pairing.timed_out", "Nobody approved this device in time.", "Connect again and approve it with `punktfunk-host pair approve`.";
    PAIRING_WRONG_PIN = "pairing.wrong_pin", "The PIN did not match.", "Open a new window with `punktfunk-host pair arm` and type its PIN.";
    RECORDING_NOT_FOUND = "recording.not_found", "There is no recording with this id.", "List the recordings again.";
    RECORDING_RUNNING = "recording.running", "A recording is running already.", "Stop it first.";
    SESSION_BITRATE_CAPPED = "session.bitrate_capped", "The bitrate is limited by the operator or the protocol.", "Raise the host's bitrate cap.";
    SESSION_BITRATE_FRAME_LIMIT = "session.bitrate_frame_limit", "At this bitrate, pictures would be larger than the protocol can protect against loss.", "Choose a lower bitrate, or a larger packet size or a higher frame rate, which leave room for more.";
    SESSION_BITRATE_RAISED = "session.bitrate_raised", "The bitrate was below the lowest useful one.", "Ask for 500 kbit/s or more.";
    SESSION_MODE_INVALID = "session.mode_invalid", "This is no display mode: a side is shorter than 16 pixels, or the refresh rate is 0.", "Choose a resolution and a refresh rate.";
    SESSION_MODE_ROUNDED = "session.mode_rounded", "Width and height must be even; they were rounded down.", "Choose an even resolution.";
    SESSION_NOT_FOUND = "session.not_found", "No session has this id.", "List the sessions again: it may have ended.";
    SESSION_NOT_STREAMING = "session.not_streaming", "This session does not stream yet, or is ending.", "Try again in a moment.";
    SESSION_REFRESH_CAPPED = "session.refresh_capped", "The refresh rate is higher than this host serves.", "Choose a lower refresh rate.";
    SETTINGS_CONFIRM_ELSEWHERE = "settings.confirm_elsewhere", "This door closes with the change, so that confirming here would prove nothing.", "Confirm where you will get in from now on: at the console's new address, or with `punktfunk-host ctl settings confirm`.";
    SETTINGS_CONFLICT = "settings.conflict", "Somebody else changed the settings meanwhile.", "Read them again and repeat the change.";
    SETTINGS_INVALID = "settings.invalid", "A setting does not take this value.", "Choose a value within the bounds that the settings name.";
    SETTINGS_NOTHING_TO_CONFIRM = "settings.nothing_to_confirm", "No change waits for a confirmation: it was confirmed, or the settings went back to what they were.", "Read the settings again.";
    SETTINGS_TRIAL_RUNNING = "settings.trial_running", "A change of the settings waits to be confirmed.", "Confirm it, or take it back, before the next one.";
    SETTINGS_UNKNOWN_KEY = "settings.unknown_key", "There is no setting with this name, or it can be set only in the configuration file.", "Compare it with the list of settings.";
    STATE_FULL = "state.full", "The disk that holds the state folder is full.", "Free some space; the host takes up saving again by itself.";
    STATE_UNPARSABLE = "state.unparsable", "A state file could not be read and was kept aside.", "Look at the file that the log names; put a repaired copy back while the host is stopped.";
    STATE_UNWRITABLE = "state.unwritable", "The state folder cannot be written.", "Make the folder that the log names writable for the user that runs the host.";
    TOKEN_NOT_FOUND = "token.not_found", "No token has this id.", "List the tokens again.";
    TOKEN_TOO_MANY = "token.too_many", "There are too many tokens.", "Revoke those that are not used any more.";
}

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn codes_are_unique_sorted_and_complete() {
        assert!(ALL.windows(2).all(|w| w[0].code < w[1].code), "keep the registry sorted, without duplicates");
        for r in ALL {
            assert!(r.code.contains('.') && r.sentence.ends_with('.') && r.fix.ends_with('.'), "{}", r.code);
        }
    }
}
