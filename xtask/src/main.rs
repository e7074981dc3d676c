//! Development tasks: `cargo xtask deps` checks the dependency arrows, `cargo xtask prepush` runs what CI runs.

use std::collections::BTreeMap;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("deps") => deps(),
        Some("prepush") => prepush(),
        _ => {
            eprintln!("usage: cargo xtask deps | prepush");
            ExitCode::from(2)
        }
    }
}

/// Which packages of the workspace a package may use. The drawing is in docs/architecture.md; this is its only
/// executable copy. A name ending in `*` matches a prefix.
const ALLOWED: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("media", &["core"]),
    ("accel", &["core"]),
    ("convert", &["media"]),
    ("net", &["core"]),
    ("engine", &["core", "media"]),
    ("library", &["media"]),
    ("hub", &["core", "engine", "library", "media"]),
    ("client", &["accel", "core", "media", "net"]),
    ("sys-avcodec", &[]),
    ("wayland", &["media"]),
    ("capture", &["core", "media", "wayland"]),
    ("clipboard", &["media", "wayland"]),
    ("inject", &["core", "media", "wayland"]),
    ("encode", &["sys-avcodec", "convert", "core", "media"]),
    ("audio", &["core", "media"]),
    ("compositor", &["convert", "core", "inject", "media"]),
    // A program like any other: it knows neither the desktop that it runs on nor the host that feeds it, only how programs that
    // ended are told of.
    ("launcher", &["media"]),
    ("desktop", &["audio", "capture", "clipboard", "compositor", "convert", "core", "inject", "media"]),
    ("native", &["accel", "core", "engine", "hub", "media", "net"]),
    ("gamestream", &["accel", "core", "engine", "hub", "media", "net"]),
    ("mgmt", &["core", "engine", "hub", "media", "net"]),
    ("probe", &["accel", "audio", "client", "core", "encode", "media", "net"]),
    ("fuzz", &["audio", "core", "gamestream", "library", "media"]),
    ("testkit", &["accel", "client", "core", "media"]),
    // The other end: it shares the wire's arithmetic with the core, and nothing with the plane that it judges.
    ("gsclient", &["accel", "core", "encode", "media", "net"]),
    ("e2e", &[]),
    // Runs inside an emulated machine: the backend against a real kernel, and nothing above it.
    ("guest", &["core", "desktop", "inject", "media", "testkit"]),
    ("host", &["*"]),
];

fn deps() -> ExitCode {
    let metadata = match cargo_metadata::MetadataCommand::new().no_deps().exec() {
        Ok(metadata) => metadata,
        Err(e) => {
            eprintln!("deps: cargo metadata failed: {e}");
            return ExitCode::FAILURE;
        }
    };
    let mut edges: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in &metadata.packages {
        let Some(name) = package.name.strip_prefix("punktfunk-") else { continue };
        let uses = package
            .dependencies
            .iter()
            // A test may use anything of ours; what ships may not.
            .filter(|d| d.kind != cargo_metadata::DependencyKind::Development)
            .filter_map(|d| d.name.strip_prefix("punktfunk-").map(str::to_owned))
            .collect();
        edges.insert(name.to_owned(), uses);
    }
    let wrong = violations(&edges);
    for line in &wrong {
        eprintln!("deps: {line}");
    }
    if wrong.is_empty() {
        println!("deps: {} packages, every arrow points the right way", edges.len());
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn violations(edges: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, uses) in edges {
        let Some((_, allowed)) = ALLOWED.iter().find(|(n, _)| n == name) else {
            wrong.push(format!("{name} has no row in xtask's table: give it its place"));
            continue;
        };
        for used in uses {
            let fits = |rule: &&str| rule.strip_suffix('*').map_or(*rule == used, |prefix| used.starts_with(prefix));
            if !allowed.iter().any(fits) {
                wrong.push(format!("{name} must not depend on {used}"));
            }
        }
    }
    wrong
}

fn prepush() -> ExitCode {
    match Command::new("make").arg("test").status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("prepush: make could not be started: {e}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::violations;
    use std::collections::BTreeMap;

    #[test]
    fn a_wrong_arrow_is_named() {
        let edges = BTreeMap::from([
            ("core".to_owned(), vec!["net".to_owned()]),
            ("host".to_owned(), vec!["core".to_owned(), "desktop".to_owned()]),
            ("surprise".to_owned(), vec![]),
        ]);
        let wrong = violations(&edges);
        assert_eq!(wrong.len(), 2);
        assert_eq!(wrong[0], "core must not depend on net");
        assert!(wrong[1].starts_with("surprise has no row"));
    }
}
