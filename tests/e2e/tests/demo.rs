//! `make demo`, as the README shows it: as root this also shows that the host becomes an unprivileged user.

use std::process::Command;

use punktfunk_e2e::binaries;

#[test]
fn the_demo_leaves_pictures_and_a_latency_table() {
    let out = tempfile::tempdir().unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/demo");
    let done = Command::new(script)
        .arg(binaries().join("punktfunk-host"))
        .arg(binaries().join("punktfunk-probe"))
        .env("DEMO_OUT", out.path())
        .output()
        .expect("bash runs the demo");
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    let log = std::fs::read_to_string(out.path().join("host.log")).unwrap_or_default();
    assert!(done.status.success(), "{said}\n{log}");
    let names: Vec<String> =
        std::fs::read_dir(out.path()).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    assert!(names.iter().filter(|n| n.ends_with(".png")).count() >= 2, "{names:?}\n{said}");
    let report = std::fs::read_to_string(out.path().join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert!(report["frames_received"].as_u64().is_some_and(|n| n > 30), "{report}");
    assert!(said.contains("latency"), "{said}");
}
