//! The library over a real socket, with a real hub and its files behind it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use punktfunk_core::{Fingerprint, Grants};
use punktfunk_hub::catalogue::{App, Catalogue, Source};
use punktfunk_hub::displays::Displays;
use punktfunk_hub::library::LibraryConfig;
use punktfunk_hub::library::stores::Roots;
use punktfunk_hub::trust::ClientRecord;
use punktfunk_hub::{Hub, HubConfig};
use punktfunk_media::fake::{SyntheticDesktop, SyntheticOptions};
use punktfunk_media::{AppSpec, Mode, StageRequest};
use punktfunk_mgmt::client::{Client, ClientError, segment};
use punktfunk_mgmt::socket::ControlSocket;
use punktfunk_mgmt::{ClientChangeRequest, HostFacts, MgmtState, router};
use serde_json::{Value, json};
use tokio::sync::oneshot;

const TV: Fingerprint = Fingerprint([1; 32]);

struct Bench {
    dir: tempfile::TempDir,
    client: Client,
    displays: Arc<Displays>,
    _stop: oneshot::Sender<()>,
}

impl Bench {
    async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let steam = dir.path().join("home/.local/share/Steam/steamapps");
        std::fs::create_dir_all(&steam).expect("made");
        let manifest =
            "\"AppState\" { \"appid\" \"570\" \"name\" \"<b>Dota</b>\u{202e} 2\u{7}\" \"StateFlags\" \"4\" }";
        std::fs::write(steam.join("appmanifest_570.acf"), manifest).expect("written");
        std::fs::write(steam.join("appmanifest_8.acf"), "{").expect("written");

        let hub = Hub::open(HubConfig::new(dir.path().join("state"))).expect("free");
        hub.trust().add(ClientRecord::new(TV, "tv".into(), Grants::ALL)).expect("saved");
        let displays = hub.open_displays(Arc::new(SyntheticDesktop::new(SyntheticOptions::default())));
        let spec = Some(AppSpec { name: "written".into(), command: "x".into(), ..AppSpec::default() });
        let written =
            App { key: "app:w".into(), title: "Written".into(), source: Source::File, spec, ..App::desktop() };
        let apps = Catalogue::new(vec![written]).expect("one");
        let config = LibraryConfig { apps, ends_session: true, ..LibraryConfig::default() };
        let library = hub.open_library(config, Some(Roots::below(dir.path().join("home"))));
        assert!(library.settle(Duration::from_secs(30)));
        let facts = HostFacts { name: "test".into(), version: "0".into(), fingerprint: Fingerprint([7; 32]) };
        let state = MgmtState::new(Arc::clone(&hub), facts);
        state.set_apps(hub.open_apps(library, &displays));
        state.set_displays(Arc::clone(&displays));
        let path: PathBuf = dir.path().join("run/control.sock");
        let socket = ControlSocket::bind(&path).expect("free");
        let (stop, stopped) = oneshot::channel::<()>();
        let me = rustix::process::geteuid().as_raw();
        tokio::spawn(socket.serve(router(state), me, async move {
            let _ = stopped.await;
        }));
        let client = Client::connect(&[path]).await.expect("it runs");
        Self { dir, client, displays, _stop: stop }
    }

    async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Result<Value, String> {
        let method = method.parse().expect("a method");
        let answer = self.client.request(method, &format!("/api/v1/library{path}"), body.as_ref()).await;
        answer.map_err(|e: ClientError| e.problem().code.into_owned())
    }

    async fn entry(&self, id: &str) -> Option<Value> {
        let all = self.ask("GET", "/all", None).await.expect("answers");
        all["entries"].as_array().expect("a list").iter().find(|e| e["id"] == id).cloned()
    }

    async fn cover(&self, id: &str, picture: Vec<u8>) -> Result<Value, String> {
        let path = format!("/api/v1/library/custom/{}/cover", segment(id));
        self.client.put_file(&path, picture).await.map_err(|e| e.problem().code.into_owned())
    }
}

fn png() -> Vec<u8> {
    // 1 × 1, grey.
    let bytes = "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a49444154789c636800000082008177cd72b60000000049454e44ae426082";
    (0..bytes.len()).step_by(2).map(|at| u8::from_str_radix(&bytes[at..at + 2], 16).expect("hex")).collect()
}

#[tokio::test]
async fn the_library_is_listed_scanned_and_hidden() {
    let bench = Bench::new().await;
    let list = bench.ask("GET", "", None).await.expect("answers");
    let ids: Vec<_> = list.as_array().expect("a list").iter().map(|e| e["id"].as_str().unwrap_or_default()).collect();
    assert_eq!(ids, ["desktop", "app:w", "steam:570"]);
    assert_eq!(list[2]["title"], "<b>Dota</b> 2", "text, and nothing but text");
    let all = bench.ask("GET", "/all", None).await.expect("answers");
    assert_eq!((&all["revision"], &all["scanners"][0]["found"]), (&json!(0), &json!(1)));
    assert_eq!(all["scanners"][0]["problems"][0]["code"], "library.store_broken");

    let seen = bench.ask("PUT", "/steam%3A570/hidden?revision=0", Some(json!({"hidden": true}))).await.expect("hidden");
    assert_eq!(seen, json!({"id": "steam:570", "revision": 1}));
    assert_eq!(bench.ask("GET", "", None).await.expect("answers").as_array().map(Vec::len), Some(2));
    assert_eq!(bench.entry("steam:570").await.expect("there")["hidden"], true);
    let late = bench.ask("PUT", "/app%3Aw/hidden?revision=0", Some(json!({"hidden": true}))).await;
    assert_eq!(late, Err("library.conflict".into()));
    assert_eq!(
        bench.ask("PUT", "/desktop/hidden", Some(json!({"hidden": true}))).await,
        Err("library.not_found".into())
    );

    bench.ask("PUT", "/scanners/steam", Some(json!({"on": false}))).await.expect("off");
    assert!(bench.entry("steam:570").await.is_none());
    assert_eq!(
        bench.ask("PUT", "/scanners/gamestop", Some(json!({"on": true}))).await,
        Err("library.not_found".into())
    );
    bench.ask("PUT", "/scanners/steam", Some(json!({"on": true}))).await.expect("on");
    let scanned = bench.ask("POST", "/scan", None).await.expect("scanned");
    assert!(scanned["entries"].as_array().expect("a list").iter().any(|e| e["id"] == "steam:570"), "{scanned}");
}

#[tokio::test]
async fn entries_are_added_changed_and_removed() {
    let bench = Bench::new().await;
    let entry = json!({"title": "  Files\u{202e}\n<script>", "command": "thunar", "working_dir": "/tmp", "env": {"A": "b"},
        "prepare": [{"run": "x", "undo": "y", "timeout_s": 2.5}]});
    let added = bench.ask("POST", "/custom?revision=0", Some(entry)).await.expect("added");
    assert_eq!(added, json!({"id": "custom:files-script", "revision": 1}));
    let at = "/custom/custom%3Afiles-script";
    let mut kept = bench.ask("GET", at, None).await.expect("there");
    assert_eq!((&kept["title"], &kept["prepare"][0]["timeout_s"]), (&json!("Files <script>"), &json!(2.5)));
    kept["command"] = json!("foot");
    bench.ask("PUT", &format!("{at}?revision=1"), Some(kept.clone())).await.expect("changed");
    assert_eq!(bench.ask("PUT", &format!("{at}?revision=1"), Some(kept)).await, Err("library.conflict".into()));
    assert_eq!(bench.ask("GET", at, None).await.expect("there")["command"], "foot");
    for (body, code) in [
        (json!({"title": "", "command": "x"}), "library.invalid"),
        (json!({"title": "x", "command": ""}), "library.invalid"),
        (json!({"title": "x", "command": "x", "working_dir": "../up"}), "library.invalid"),
        (json!({"title": "x", "command": "x", "prepare": [{"run": "x", "timeout_s": -1}]}), "library.invalid"),
        (json!({"title": "x", "command": "x", "prepare": [{"run": "x", "timeout_s": 1e300}]}), "library.invalid"),
        (json!({"title": "x", "command": "x", "cover": "/etc/passwd"}), "api.bad_request"),
        (json!({"title": "x"}), "api.bad_request"),
        (json!({"title": "x", "command": "y".repeat(70_000)}), "api.too_large"),
    ] {
        assert_eq!(bench.ask("POST", "/custom", Some(body)).await, Err(code.into()));
    }
    assert_eq!(bench.ask("DELETE", "/custom/app%3Aw", None).await, Err("library.pinned".into()));
    bench.ask("DELETE", at, None).await.expect("removed");
    assert_eq!(bench.ask("DELETE", at, None).await, Err("library.not_found".into()));
    assert_eq!(bench.ask("GET", at, None).await, Err("library.not_found".into()));
}

#[tokio::test]
async fn covers_are_pictures_of_a_sane_size_and_nothing_else_leaves_the_host() {
    let bench = Bench::new().await;
    bench.ask("POST", "/custom", Some(json!({"title": "Files", "command": "x"}))).await.expect("added");
    bench.cover("custom:files", png()).await.expect("a picture");
    assert_eq!(bench.entry("custom:files").await.expect("there")["cover"], true);
    for (picture, code) in [
        (b"<svg onload=alert(1)>".to_vec(), "library.cover_invalid"),
        (vec![0; (8 << 20) + 1], "api.too_large"),
        (Vec::new(), "library.cover_invalid"),
    ] {
        assert_eq!(bench.cover("custom:files", picture).await.map(drop), Err(code.into()));
    }
    for id in ["../../../etc/passwd", "..", "custom:files/../../x", "%2e%2e", "app:w", "desktop"] {
        let refused = bench.cover(id, png()).await.map(drop).expect_err(id);
        assert!(["library.not_found", "library.pinned"].contains(&refused.as_str()), "{id}: {refused}");
        let got = bench.ask("GET", &format!("/{}/cover", segment(id)), None).await.map(drop);
        assert_eq!(got, Err("library.not_found".into()), "{id}");
    }
    let covers: Vec<_> = std::fs::read_dir(bench.dir.path().join("state/covers")).expect("made").collect();
    assert_eq!(covers.len(), 1);
    bench.ask("DELETE", "/custom/custom%3Afiles/cover", None).await.expect("away");
    assert_eq!(bench.entry("custom:files").await.expect("there")["cover"], false);
}

#[tokio::test]
async fn a_program_is_launched_into_a_session_that_streams() {
    let bench = Bench::new().await;
    let id = format!("{TV}")[..12].to_owned();
    let launch = |client: &str| {
        let body = json!({"client": client});
        let bench = &bench;
        async move { bench.ask("POST", "/app%3Aw/launch", Some(body)).await }
    };
    assert_eq!(launch("nobody").await, Err("client.not_found".into()));
    assert_eq!(launch(&id).await, Err("display.not_found".into()));
    let mode = Mode { width: 64, height: 64, refresh_hz: 60 };
    let stage =
        bench.displays.acquire(&StageRequest { identity: TV.to_string(), name: "tv".into(), mode }).expect("open");
    assert_eq!(launch(&id).await.expect("started"), json!({"started": true}));
    assert_eq!(launch(&id).await.expect("it runs"), json!({"started": false}));
    assert_eq!(bench.entry("app:w").await.expect("there")["running_for"][0]["name"], "tv");
    bench.ask("DELETE", &format!("/running/{id}"), None).await.expect("ended");
    assert_eq!(bench.entry("app:w").await.expect("there")["running_for"], json!([]));
    assert_eq!(bench.ask("POST", "/steam%3A1/launch", Some(json!({"client": id}))).await, Err("app.unknown".into()));
    drop(stage);
}

#[tokio::test]
async fn what_a_live_display_refuses_is_not_kept_for_the_next_one() {
    let bench = Bench::new().await;
    let id = format!("{TV}")[..12].to_owned();
    let scale = |percent| ClientChangeRequest { scale_percent: Some(percent), ..ClientChangeRequest::default() };
    let kept = async || bench.client.devices().await.expect("answers")[0].scale_percent;
    // Nobody streams: it is for what comes.
    bench.client.change(&id, &scale(150)).await.expect("saved");
    let mode = Mode { width: 64, height: 64, refresh_hz: 60 };
    let request = StageRequest { identity: TV.to_string(), name: "tv".into(), mode };
    let _stage = bench.displays.acquire(&request).expect("open, though it keeps its own scale");
    let Err(ClientError::Refused(problem)) = bench.client.change(&id, &scale(200)).await else { panic!("refused") };
    assert_eq!((&*problem.code, kept().await), ("desktop.scale_refused", Some(150)));
    let layout = ClientChangeRequest { keyboard_layout: Some("de".into()), ..ClientChangeRequest::default() };
    let Err(ClientError::Refused(problem)) = bench.client.change(&id, &layout).await else { panic!("refused") };
    assert_eq!(problem.code, "desktop.layout_refused");
    assert_eq!(bench.client.devices().await.expect("answers")[0].keyboard_layout, None);
}
