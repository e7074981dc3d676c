//! `doctor`: what this machine can do, what is missing, and the exact fix.
//!
//! The running host answers with its own view (its user, its environment); where none runs, the same checks run here,
//! the first row says so, and the exit code is 5.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;

use punktfunk_desktop::Environment;
use punktfunk_media::{AudioPolicyCell, GpuChoice, GpuInUse, GpuTrouble, Reason, reason};
use punktfunk_mgmt::client::Client;
use punktfunk_mgmt::{Diagnostic, DiagnosticStatus, GpuUse, GpuView};
use punktfunk_net::udp::{DataSocket, PortRange};

use crate::config::Config;
use crate::exit::{Failure, NOT_RUNNING};
use crate::paths::Paths;
use crate::{desktops, gpus, pair};

fn ok(id: &str, detail: impl Into<String>) -> Diagnostic {
    Diagnostic {
        id: id.to_owned(),
        status: DiagnosticStatus::Ok,
        detail: detail.into(),
        fix: String::new(),
        code: None,
    }
}

fn warn(id: &str, detail: impl Into<String>, fix: impl Into<String>) -> Diagnostic {
    Diagnostic { id: id.to_owned(), status: DiagnosticStatus::Warn, detail: detail.into(), fix: fix.into(), code: None }
}

fn fail(id: &str, reason: &Reason, detail: impl std::fmt::Display) -> Diagnostic {
    let detail = format!("{} ({}) {detail}", reason.sentence, reason.code);
    let finding = Diagnostic { status: DiagnosticStatus::Fail, ..warn(id, detail, reason.fix) };
    because(reason.code, finding)
}

/// Names the reason code behind a finding.
fn because(code: &str, finding: Diagnostic) -> Diagnostic {
    Diagnostic { code: Some(code.to_owned()), ..finding }
}

/// The command: asks the running host; without one, looks for itself and says so.
///
/// # Errors
/// `host.not_running` (exit 5) after printing this user's own findings. A failed check is a row, not an exit code.
pub fn run(config: &Config, paths: &Paths, json: bool) -> Result<(), Failure> {
    let answer = pair::block_on(async {
        let client = Client::connect(&paths.control_sockets()).await.map_err(pair::failure)?;
        client.diagnostics().await.map_err(pair::failure)
    });
    let (rows, outcome) = match answer {
        Ok(mut rows) => {
            rows.insert(0, ok("host.running", "this is its own view"));
            (rows, Ok(()))
        }
        Err(failure) if failure.code == NOT_RUNNING => {
            let mut rows = checks(config, paths, &gpus::settle(&config.gpu));
            rows.insert(0, fail("host.running", &reason::HOST_NOT_RUNNING, "These are this user's own findings."));
            (rows, Err(failure))
        }
        Err(failure) => return Err(failure),
    };
    if json {
        println!("{}", serde_json::to_string_pretty(&rows).expect("rows are maps with text keys"));
    } else {
        print(&rows);
    }
    outcome
}

/// Runs every check, with the GPU that is used. Blocking, a few hundred milliseconds; starts nothing that outlives it.
#[must_use]
pub fn checks(config: &Config, paths: &Paths, gpu: &GpuInUse) -> Vec<Diagnostic> {
    let mut rows = vec![user(), folder("state.folder", &paths.state), folder("runtime.folder", &paths.runtime)];
    let (desktop_rows, desktop) = desktops(config, paths, gpu);
    rows.extend(desktop_rows);
    rows.extend(encoders());
    rows.extend(gpu_rows(&gpus::views(gpu, desktop.as_deref())));
    rows.push(gpu_choice(gpu));
    rows.extend(pads());
    rows.push(offload());
    rows.push(ipv6());
    rows.extend(sound());
    rows
}

/// The sound server of the session at the machine, and what private desktops start.
fn sound() -> Vec<Diagnostic> {
    let server = punktfunk_desktop::session_sound_server(&Environment::current());
    let session = match server.map(|server| (server.socket.clone(), server.facts())) {
        None => warn(
            "audio.session",
            "no XDG_RUNTIME_DIR: the PipeWire of a running session cannot be found",
            "start the host in the session, or set XDG_RUNTIME_DIR",
        ),
        Some((socket, Err(e))) => warn(
            "audio.session",
            format!("no PipeWire at {} ({e}): a running session is streamed without sound", socket.display()),
            "install and start `pipewire` and `wireplumber` in the session; private desktops start their own",
        ),
        Some((socket, Ok(facts))) => {
            let found = format!("PipeWire {} at {}", facts.version, socket.display());
            match (facts.session_manager, facts.default_sink) {
                (false, _) => warn(
                    "audio.session",
                    format!("{found}, but no session manager: programs are not linked to anything"),
                    "start `wireplumber` in the session",
                ),
                (true, None) => ok("audio.session", format!("{found}, no sink")),
                (true, Some(sink)) => ok("audio.session", format!("{found}, default sink `{sink}`")),
            }
        }
    };
    let missing: Vec<_> = ["pipewire", "wireplumber"].into_iter().filter(|program| !is_installed(program)).collect();
    let private = match (missing.as_slice(), is_installed("pipewire-pulse")) {
        ([], true) => ok("audio.private", "private desktops have a PipeWire of their own, and a PulseAudio door"),
        ([], false) => warn(
            "audio.private",
            "private desktops have a PipeWire of their own, but programs that speak PulseAudio are not heard",
            "install `pipewire-pulse`",
        ),
        (missing, _) => warn(
            "audio.private",
            format!("private desktops have no sound: {} is missing", missing.join(" and ")),
            "install `pipewire`, `wireplumber` and `pipewire-pulse`",
        ),
    };
    vec![session, private]
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| {
        rustix::fs::access(folder.join(program), rustix::fs::Access::EXEC_OK).is_ok() && folder.join(program).is_file()
    })
}

fn user() -> Diagnostic {
    if rustix::process::geteuid().is_root() {
        warn("host.user", "run as root; a host started as root becomes the user `punktfunk`", {
            "run `punktfunk-host doctor` while the host runs to see its own view"
        })
    } else {
        ok("host.user", format!("user id {}", rustix::process::geteuid().as_raw()))
    }
}

/// A folder that must be made, or be writable where it exists already.
fn folder(id: &str, path: &Path) -> Diagnostic {
    let mut existing = path;
    while !existing.exists() {
        let Some(parent) = existing.parent() else { break };
        existing = parent;
    }
    match rustix::fs::access(existing, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK) {
        Ok(()) => ok(id, path.display().to_string()),
        Err(e) => fail(id, &reason::STATE_UNWRITABLE, format!("{}: {e}", existing.display())),
    }
}

/// What was found, and the name of the desktop that is used.
fn desktops(config: &Config, paths: &Paths, gpu: &GpuInUse) -> (Vec<Diagnostic>, Option<String>) {
    let mut rows = Vec::new();
    let mut used = None;
    for candidate in desktops::candidates(config, paths, &AudioPolicyCell::default(), gpu) {
        let id = format!("desktop.{}", candidate.name);
        match candidate.desktop {
            Ok(desktop) => {
                let info = desktop.info();
                let chosen = if used.is_some() { "" } else { ", used by serve" };
                used.get_or_insert_with(|| info.name.clone());
                rows.push(ok(&id, format!("{} ({}){chosen}", info.version, candidate.why)));
                if let Some(layout) = desktop.keyboard_layout() {
                    rows.push(ok(&format!("{id}.keyboard"), layout));
                }
                rows.push(match desktop.touch() {
                    Ok(()) => ok(&format!("{id}.touch"), "touch screen and pen, as devices of the kernel"),
                    Err(reason) => touch_missing(&id, reason),
                });
                if !info.protocols.is_empty() {
                    rows.push(ok(&format!("{id}.protocols"), info.protocols.join(", ")));
                }
            }
            Err(e) => rows.push(fail(&id, e.reason, e.detail)),
        }
    }
    rows.extend(x11(config, gpu));
    if used.is_some() {
        // A second desktop that is missing is no failure while another one works.
        rows.iter_mut().filter(|r| r.status == DiagnosticStatus::Fail).for_each(|r| r.status = DiagnosticStatus::Warn);
    }
    (rows, used)
}

/// Games above all: what runs under Wine and Proton speaks X11.
fn x11(config: &Config, gpu: &GpuInUse) -> Option<Diagnostic> {
    if desktops::composited_by_sway(&config.private_desktop, gpu.choice()) {
        return None;
    }
    let found = punktfunk_desktop::find_xwayland(&std::env::var_os("PATH").unwrap_or_default());
    Some(match found {
        Some(program) => ok("desktop.x11", format!("X11 programs run through {}", program.display())),
        None => warn(
            "desktop.x11",
            "X11 programs do not run on private desktops: Xwayland is missing",
            "install `xwayland`",
        ),
    })
}

fn encoders() -> Vec<Diagnostic> {
    punktfunk_encode::facts()
        .into_iter()
        .map(|fact| {
            let id = format!("encoder.{}", fact.name);
            match fact.reason {
                None => ok(&id, format!("{}, {}", fact.codec, fact.detail)),
                // OpenH264 is built in: the host encodes without the others.
                Some(code) => because(code, warn(&id, format!("{} ({code})", fact.detail), fact.fix)),
            }
        })
        .collect()
}

/// Nothing that the host does today needs one: what was chosen and cannot be had is no failure.
fn gpu_choice(gpu: &GpuInUse) -> Diagnostic {
    if let Some(GpuTrouble { reason, detail }) = gpu.trouble() {
        let detail = format!("{} ({}) {detail}", reason.sentence, reason.code);
        return because(reason.code, warn("gpu.choice", detail, reason.fix));
    }
    ok(
        "gpu.choice",
        match gpu.choice() {
            GpuChoice::Auto => {
                "auto: programs on private desktops find one by themselves; a private sway draws with the processor"
                    .to_owned()
            }
            GpuChoice::None => "none: private desktops and their programs draw with the processor".to_owned(),
            GpuChoice::One(gpu) => format!("{} at {}", gpu.node.display(), gpu.bus),
        },
    )
}

fn gpu_rows(gpus: &[GpuView]) -> Vec<Diagnostic> {
    if gpus.is_empty() {
        return vec![ok("gpu", "none: pictures are drawn and encoded by the processor")];
    }
    let row = |gpu: &GpuView| {
        let name = gpu.node.rsplit('/').next().unwrap_or_default();
        let id = format!("gpu.{name}");
        let what = format!("{} {} at {} ({})", gpu.vendor, gpu.device, gpu.bus, gpu.driver);
        if gpu.usable {
            let uses = gpu.used_for.iter().map(|used| match used {
                GpuUse::Desktop => "private desktops are drawn with it",
                GpuUse::Programs => "programs on private desktops are told to use it",
            });
            let chosen = gpu.chosen.then_some("chosen").into_iter().chain(uses);
            return ok(&id, std::iter::once(&*what).chain(chosen).collect::<Vec<_>>().join(", "));
        }
        warn(
            &id,
            format!("{what}: {}", gpu.detail),
            "add the host's user to the group that owns it (`render` or `video`)",
        )
    };
    gpus.iter().map(row).collect()
}

/// Sessions go on without: their clients move the pointer instead.
fn touch_missing(desktop: &str, reason: &Reason) -> Diagnostic {
    let rules = if *reason == reason::INPUT_TOUCH_DENIED { format!("\n{}", udev_rules()) } else { String::new() };
    let detail = format!("{} ({})", reason.sentence, reason.code);
    because(reason.code, warn(&format!("{desktop}.touch"), detail, format!("{}{rules}", reason.fix)))
}

fn pads() -> Vec<Diagnostic> {
    let doors = punktfunk_inject::pads::doors();
    let row = |(device, what, usable): (&str, &str, Result<(), &Reason>)| {
        let id = format!("pads.{}", device.trim_start_matches("/dev/"));
        match usable {
            Ok(()) => ok(&id, what),
            // A session goes on without gamepads.
            Err(reason) if *reason == reason::PADS_DENIED => because(
                reason.code,
                warn(
                    &id,
                    format!("{} ({}) {what}", reason.sentence, reason.code),
                    format!("{}\n{}", reason.fix, udev_rules()),
                ),
            ),
            Err(reason) => {
                because(reason.code, warn(&id, format!("{} ({})", reason.sentence, reason.code), reason.fix))
            }
        }
    };
    doors.into_iter().map(row).collect()
}

/// The rules that the package installs, without their comments.
fn udev_rules() -> String {
    let rules = include_str!("../../../packaging/udev/60-punktfunk-pads.rules");
    rules.lines().filter(|line| line.starts_with("KERNEL")).collect::<Vec<_>>().join("\n")
}

fn offload() -> Diagnostic {
    match DataSocket::bind(IpAddr::V4(Ipv4Addr::LOCALHOST), 0, PortRange::ANY) {
        Ok(socket) if socket.uses_offload() => ok("network.gso", "UDP segmentation offload"),
        Ok(_) => warn(
            "network.gso",
            "this kernel refuses UDP segmentation offload; sending costs more CPU",
            "use a Linux kernel of 4.18 or later",
        ),
        Err(e) => fail("network.gso", &reason::NATIVE_DATA_SOCKET, e),
    }
}

fn ipv6() -> Diagnostic {
    match UdpSocket::bind(SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 0)) {
        Ok(_) => ok("network.ipv6", "IPv4 and IPv6"),
        Err(e) => warn("network.ipv6", format!("IPv4 only ({e})"), "nothing to do unless your clients use IPv6"),
    }
}

/// Prints rows for a person.
fn print(rows: &[Diagnostic]) {
    let width = rows.iter().map(|r| r.id.len()).max().unwrap_or(0);
    for row in rows {
        let status = match row.status {
            DiagnosticStatus::Ok => "ok",
            DiagnosticStatus::Warn => "warn",
            DiagnosticStatus::Fail => "fail",
        };
        println!("{status:<4}  {:<width$}  {}", row.id, row.detail);
        if !row.fix.is_empty() {
            // Lines to copy start at the left.
            println!("      {:<width$}  fix: {}", "", row.fix);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_choice_of_a_gpu_is_told_and_one_that_cannot_be_had_is_no_failure() {
        let detail = |gpu: GpuChoice| gpu_choice(&GpuInUse::new(gpu)).detail;
        assert!(detail(GpuChoice::Auto).starts_with("auto:") && detail(GpuChoice::None).starts_with("none:"));
        let gone = GpuInUse::instead(GpuTrouble { reason: &reason::GPU_MISSING, detail: "`renderD128`".into() });
        let row = gpu_choice(&gone);
        assert_eq!((row.status, row.code.as_deref()), (DiagnosticStatus::Warn, Some("gpu.missing")));
        assert!(row.detail.contains("`renderD128`") && row.fix == reason::GPU_MISSING.fix);
        let view = |chosen, usable, used_for| GpuView {
            node: "/dev/dri/renderD128".into(),
            bus: "0000:01:00.0".into(),
            vendor: "AMD".into(),
            device: "744c".into(),
            driver: "amdgpu".into(),
            usable,
            detail: if usable { String::new() } else { "Permission denied".into() },
            chosen,
            used_for,
        };
        let rows = gpu_rows(&[view(true, true, vec![GpuUse::Desktop]), view(false, false, vec![])]);
        assert!(rows[0].detail.ends_with(", chosen, private desktops are drawn with it"), "{}", rows[0].detail);
        assert!(rows[1].status == DiagnosticStatus::Warn && rows[1].detail.ends_with(": Permission denied"));
    }

    #[test]
    fn the_printed_rules_open_both_doors_to_nobody_but_the_host() {
        let rules = udev_rules();
        for door in ["uinput", "uhid"] {
            let rule = rules.lines().find(|l| l.starts_with(&format!("KERNEL==\"{door}\""))).expect(door);
            assert!(rule.contains("MODE=\"0660\"") && rule.contains("TAG+=\"uaccess\""), "{rule}");
        }
        assert!(!rules.contains("GROUP=\"input\"") && !rules.contains("0666"));
    }
}
