//! The web console in Debian's Chromium, against a real host and a real probe: see web/tests/console.mjs.

use std::path::Path;
use std::process::Command;

use punktfunk_e2e::{Host, HostOptions, Identity, binaries};

#[test]
fn a_person_sets_up_pairs_watches_and_revokes_in_a_browser() {
    let web = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../web"));
    if !web.join("dist/index.html").exists() {
        // `make test` builds it; a plain `cargo test` on a machine without Node.js cannot.
        punktfunk_testkit::desktop::skip("the web console, built by scripts/console");
        return;
    }
    if !web.join("tests/node_modules/playwright-core").exists() {
        let installed =
            Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(web.join("tests")).status();
        assert!(installed.is_ok_and(|s| s.success()), "npm ci in web/tests");
    }
    let host = Host::start_with(&HostOptions {
        args: ["serve", "--desktop", "private", "--name", "living-room"].map(str::to_owned).to_vec(),
        ..HostOptions::default()
    });
    let door = host.web.expect("the console is served");
    let said = host.command(&["console-url"]);
    let link = String::from_utf8_lossy(&said.stdout).trim().to_owned();
    assert!(link.starts_with(&format!("https://{door}/#setup=")), "{link} {}", String::from_utf8_lossy(&said.stderr));

    let identity = Identity::for_tests();
    let home = tempfile::Builder::new().prefix("pf-console-").tempdir().expect("a folder");
    identity.make_dir(home.path());
    for client in ["a", "b"] {
        identity.make_dir(&home.path().join(client));
    }
    let shots = std::env::var("PUNKTFUNK_SHOTS").unwrap_or_else(|_| home.path().join("shots").display().to_string());
    let mut run = Command::new("node");
    run.arg(web.join("tests/console.mjs"))
        .env("WEB", format!("https://{door}"))
        .env("LINK", &link)
        .env("QUIC", host.quic.to_string())
        .env("PROBE", binaries().join("punktfunk-probe"))
        .env("PROBE_HOME", home.path())
        .env("SHOTS", shots);
    if rustix::process::getuid().is_root() {
        run.env("UID_", identity.uid().to_string()).env("GID_", identity.gid().to_string());
    }
    let done = run.output().expect("node starts");
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{said}\n{}", host.log());
    println!("{said}");
}
