//! The metrics page while somebody streams: every figure that is promised, in the format that Prometheus reads.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use common::LiveSession;
use punktfunk_core::{Fingerprint, Grants};
use punktfunk_hub::trust::ClientRecord;
use punktfunk_hub::{Hub, HubConfig};
use punktfunk_mgmt::access::Caller;
use punktfunk_mgmt::{HostFacts, MgmtState, router};
use tower::ServiceExt as _;

const TV: Fingerprint = Fingerprint([1; 32]);

/// Metric and labels → value, as a scraper reads the page; panics where it would complain.
fn scrape(page: &str) -> BTreeMap<String, f64> {
    let mut kinds = BTreeMap::new();
    let mut values = BTreeMap::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a kind");
            assert!(kinds.insert(name, kind).is_none(), "{name} twice");
        } else if !line.starts_with("# HELP ") {
            let (key, value) = line.rsplit_once(' ').expect("a value");
            let name = key.split('{').next().expect("a name");
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            let kind = kinds.get(name).or_else(|| kinds.get(family?).filter(|kind| **kind == "histogram"));
            assert!(kind.is_some(), "{line}: no type before it");
            assert!(values.insert(key.to_owned(), value.parse().expect("a number")).is_none(), "{key} twice");
        }
    }
    values
}

#[tokio::test(flavor = "multi_thread")]
async fn every_promised_figure_is_told_of_a_live_session() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::open(HubConfig::new(dir.path().join("state"))).expect("free");
    hub.trust().add(ClientRecord::new(TV, "tv".into(), Grants::ALL)).expect("saved");
    let session = LiveSession::start(&hub, TV, "tv").await;
    let facts = HostFacts { name: "test".into(), version: "0.0.1\"\n".into(), fingerprint: Fingerprint([7; 32]) };
    let api = router(MgmtState::new(Arc::clone(&hub), facts));
    let page = async || {
        let mut request =
            Request::builder().uri("/metrics").header("host", "localhost").body(Body::empty()).expect("one");
        request.extensions_mut().insert(Caller::Socket);
        let answer = api.clone().oneshot(request).await.expect("infallible").into_body();
        let bytes = http_body_util::BodyExt::collect(answer).await.expect("a body").to_bytes();
        String::from_utf8(bytes.to_vec()).expect("text")
    };
    let text = page().await;
    let values = scrape(&text);
    let of = |name: &str| *values.get(name).unwrap_or_else(|| panic!("{name} is missing\n{text}"));
    assert_eq!((of("punktfunk_sessions"), of("punktfunk_clients")), (1.0, 1.0));
    assert!(of("process_resident_memory_bytes") > 1e6 && of("process_open_fds") > 3.0);
    let labels = format!("{{session=\"{}\",plane=\"native\"}}", session.id());
    for figure in ["fps", "bitrate_bps", "budget_bps", "loss_ratio", "fec_overhead_ratio"] {
        assert!(of(&format!("punktfunk_session_{figure}{labels}")) >= 0.0);
    }
    for stage in ["host", "queue", "encode"] {
        let bucket = |le: &str| of(&format!("punktfunk_stage_seconds_bucket{{stage=\"{stage}\",le=\"{le}\"}}"));
        assert!(bucket("+Inf") >= 1.0, "the picture that was waited for went through {stage}");
        assert_eq!(bucket("+Inf"), of(&format!("punktfunk_stage_seconds_count{{stage=\"{stage}\"}}")));
    }
    let reasons: BTreeSet<_> = values.keys().filter_map(|k| k.strip_prefix("punktfunk_drops_total{reason=")).collect();
    assert!(reasons.len() >= 6 && reasons.contains("\"newer_picture\"}"), "{reasons:?}");
    for counter in ["input_events", "input_refused", "input_overflowed"] {
        assert_eq!(of(&format!("punktfunk_{counter}_total")), 0.0, "nobody typed");
    }

    // What the documentation names is there, and the end of a session takes its gauges along.
    let document = include_str!("../../../docs/api.md");
    let metrics = document.split("## Metrics").nth(1).expect("a section");
    let named = metrics
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|name| name.starts_with("punktfunk_") || name.starts_with("process_"));
    for name in named.filter(|name| !name.contains('…')) {
        assert!(values.keys().any(|key| key.starts_with(name)), "{name}");
    }
    drop(session);
    let text = page().await;
    assert!(!text.contains("punktfunk_session_fps{") && text.contains("\npunktfunk_sessions 0\n"), "{text}");
}
