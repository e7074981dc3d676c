//! The whole conversation of a stock client, and what each path says to whom.

mod common;

use common::certs::Shape;
use common::{ClientIdentity, Pairer, TestHost, get, get_tls};
use punktfunk_core::Grants;
use punktfunk_hub::trust::{ClientChange, ClientKind};
use rustls::version::{TLS12, TLS13};

const KEY: &str = "rikey=000102030405060708090A0B0C0D0E0F&rikeyid=-1234567";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_pairs_lists_launches_resumes_and_quits() {
    let host = TestHost::start();
    let client = ClientIdentity::stock();
    let plain = get(host.http, "/serverinfo?uniqueid=0123456789ABCDEF&uuid=1").await;
    assert_eq!((plain.http_status, plain.status()), (200, 200));
    for (element, value) in [
        ("hostname", "Test host"),
        ("appversion", "7.1.431.-1"),
        ("GfeVersion", "3.23.0.74"),
        ("uniqueid", "a-uuid"),
        ("HttpsPort", &host.https.port().to_string()),
        ("ExternalPort", &host.http.port().to_string()),
        ("mac", "00:00:00:00:00:00"),
        ("LocalIP", "127.0.0.1"),
        ("MaxLumaPixelsHEVC", "0"),
        ("ServerCodecModeSupport", "1"),
        ("PairStatus", "0"),
        ("currentgame", "0"),
        ("state", "PUNKTFUNK_SERVER_FREE"),
    ] {
        assert_eq!(plain.element(element).as_deref(), Some(value), "{element}");
    }

    host.pair(&client).await;
    let ask = async |target: &str| get_tls(host.https, target, Some(&client), &TLS13).await.unwrap();
    let last = ask("/pair?uniqueid=0&phrase=pairchallenge").await;
    assert_eq!((last.status(), last.element("paired").as_deref()), (200, Some("1")));
    assert_eq!(last.server.len(), 1, "exactly one certificate");
    let record = host.hub.trust().get(&client.fingerprint()).unwrap();
    assert_eq!((record.name.as_str(), record.kind), ("Moonlight", ClientKind::Gamestream));

    let info = ask("/serverinfo").await;
    assert_eq!(info.element("PairStatus").as_deref(), Some("1"));
    let list = ask("/applist").await;
    assert_eq!(
        list.text(),
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><root status_code=\"200\"><App><IsHdrSupported>0</IsHdrSupported>\
         <AppTitle>Desktop</AppTitle><ID>1</ID></App><App><IsHdrSupported>1</IsHdrSupported><AppTitle>A &amp; \
         &lt;B&gt;</AppTitle><ID>77</ID></App></root>"
    );
    for id in ["1", "77"] {
        let asset = ask(&format!("/appasset?appid={id}&AssetType=2&AssetIdx=0")).await;
        assert!(asset.http_status == 200 && asset.head.contains("image/png"), "{}", asset.head);
        assert!(asset.body.starts_with(b"\x89PNG"), "{id}: what is no picture is not sent as one");
    }
    for id in ["0", "5", "x", ""] {
        assert_eq!(ask(&format!("/appasset?appid={id}")).await.http_status, 404, "{id}");
    }

    let none = ask(&format!("/resume?{KEY}")).await;
    assert_eq!((none.http_status, none.status(), none.element("resume").as_deref()), (200, 503, Some("0")));
    let launch = ask(&format!("/launch?appid=77&mode=1920x1080x60&{KEY}&corever=1&gcmap=3")).await;
    assert_eq!((launch.status(), launch.element("gamesession").as_deref()), (200, Some("1")));
    assert_eq!(launch.element("sessionUrl0").as_deref(), Some("rtspenc://127.0.0.1:48010"));
    let request = host.sessions.requests.lock().unwrap()[0].clone();
    assert_eq!((request.device_name.as_str(), request.rikey_id), ("Moonlight", (-1_234_567_i32).cast_unsigned()));
    assert_eq!((request.peer.to_string(), request.pads), ("127.0.0.1".into(), 3));
    let busy = ask("/serverinfo").await;
    assert_eq!(busy.element("currentgame").as_deref(), Some("77"));
    assert_eq!(busy.element("state").as_deref(), Some("PUNKTFUNK_SERVER_BUSY"));
    let plain = get(host.http, "/serverinfo").await;
    assert_eq!(plain.element("state").as_deref(), Some("PUNKTFUNK_SERVER_FREE"), "strangers learn nothing");
    let again = ask(&format!("/launch?appid=1&{KEY}")).await;
    assert_eq!((again.status(), again.element("gamesession").as_deref()), (400, Some("0")));
    assert!(again.text().contains("An app &lt;runs&gt; already."));

    // Another client has a life of its own.
    let other = Shape { key: 1, signed_by: 1, ..Shape::default() }.make();
    host.pair(&other).await;
    let info = get_tls(host.https, "/serverinfo", Some(&other), &TLS12).await.unwrap();
    assert_eq!(info.element("state").as_deref(), Some("PUNKTFUNK_SERVER_FREE"));
    get_tls(host.https, "/cancel", Some(&other), &TLS12).await.unwrap();
    assert_eq!(ask("/serverinfo").await.element("currentgame").as_deref(), Some("77"));

    let resume = ask(&format!("/resume?{KEY}")).await;
    assert_eq!(resume.element("resume").as_deref(), Some("1"));
    assert_eq!(resume.element("sessionUrl0").as_deref(), Some("rtsp://127.0.0.1:48010"), "without corever");
    assert_eq!(ask("/cancel").await.element("cancel").as_deref(), Some("1"));
    assert_eq!(ask("/serverinfo").await.element("state").as_deref(), Some("PUNKTFUNK_SERVER_FREE"));
    host.servers.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn launches_that_make_no_sense_are_refused_in_xml() {
    let host = TestHost::start();
    let client = ClientIdentity::stock();
    host.pair(&client).await;
    for (target, status) in [
        ("/launch".to_owned(), 400),
        (format!("/launch?{KEY}"), 400),
        ("/launch?appid=1&rikeyid=1".to_owned(), 400),
        ("/launch?appid=1&rikey=000102030405060708090A0B0C0D0E0F".to_owned(), 400),
        (format!("/launch?appid=1&mode=1x&{KEY}"), 400),
        (format!("/launch?appid=5&{KEY}"), 404),
        (format!("/launch?appid=0&{KEY}"), 404),
        (format!("/launch?appid=1&{KEY}&x=%zz"), 400),
        ("/resume?rikeyid=1".to_owned(), 400),
        ("/nothing".to_owned(), 404),
        ("/pair?phrase=getservercert".to_owned(), 400),
    ] {
        let answer = get_tls(host.https, &target, Some(&client), &TLS13).await.unwrap();
        assert_eq!((answer.http_status, answer.status()), (200, status), "{target}");
        assert!(answer.text().contains("status_message=\""), "{target}");
    }
    assert!(host.sessions.requests.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_exactly_pinned_certificates_get_anywhere() {
    let host = TestHost::start();
    let paired = ClientIdentity::stock();
    host.pair(&paired).await;
    let shape = Shape::default();
    let strangers = [
        ("no certificate", None),
        ("the same names, serial number and dates, another key", Some(Shape { key: 1, signed_by: 1, ..shape.clone() })),
        ("the same key, another serial number", Some(Shape { serial: &[1], ..shape.clone() })),
        ("signed by the paired client's key", Some(Shape { key: 1, signed_by: 0, ..shape.clone() })),
        ("X.509 v1", Some(Shape { version: None, ..shape.clone() })),
        ("expired", Some(Shape { not_after: "240102000000Z", ..shape.clone() })),
        ("not yet valid", Some(Shape { not_before: "430101000000Z", ..shape.clone() })),
        ("another issuer", Some(Shape { issuer: "somebody else", signed_by: 2, ..shape.clone() })),
        ("a certificate authority", Some(Shape { extensions: true, ..shape.clone() })),
        ("a negative serial number", Some(Shape { serial: &[0xff], ..shape.clone() })),
    ];
    let strangers: Vec<_> = strangers
        .into_iter()
        .map(|(what, shape)| (what, shape.map(|s| s.make())))
        .chain([("an elliptic curve", Some(ClientIdentity::elliptic()))])
        .collect();
    let routes = [
        "/serverinfo",
        "/applist",
        "/appasset?appid=1",
        "/launch?appid=1",
        "/resume",
        "/cancel",
        "/unpair",
        "/nothing",
        "/pair?phrase=pairchallenge",
    ];
    for (what, stranger) in &strangers {
        for version in [&TLS12, &TLS13] {
            // One whole row per shape over TLS 1.3, the first two routes over TLS 1.2.
            let routes = if version.version == TLS12.version { &routes[..2] } else { &routes[..] };
            for route in routes {
                let answer = get_tls(host.https, route, stranger.as_ref(), version).await;
                let answer = answer.unwrap_or_else(|e| panic!("{what} must pass TLS for {route}: {e}"));
                assert_eq!((answer.http_status, answer.status()), (200, 401), "{what}: {route}");
                assert!(answer.text().contains("query=\"/"), "{what}: {route}");
            }
        }
    }
    // Whoever shows a certificate without its key does not pass TLS.
    let thief = ClientIdentity { key: Shape { key: 1, ..shape.clone() }.make().key, ..paired.clone() };
    for version in [&TLS12, &TLS13] {
        assert!(get_tls(host.https, "/applist", Some(&thief), version).await.is_err());
        assert_eq!(get_tls(host.https, "/applist", Some(&paired), version).await.unwrap().status(), 200);
    }
    // Every odd shape works once it is pinned.
    for (what, stranger) in strangers.iter().filter_map(|(what, s)| Some((what, s.as_ref()?))) {
        let name = (*what).to_owned();
        let record = punktfunk_hub::trust::ClientRecord::new(stranger.fingerprint(), name, Grants::ALL);
        host.hub.trust().add(record).unwrap();
        for version in [&TLS12, &TLS13] {
            let answer = get_tls(host.https, "/applist", Some(stranger), version).await.unwrap();
            assert_eq!(answer.status(), 200, "{what}");
        }
    }
    let id = host.hub.trust().get(&paired.fingerprint()).unwrap().id();
    host.hub.trust().revoke(&id).unwrap();
    assert_eq!(get_tls(host.https, "/applist", Some(&paired), &TLS13).await.unwrap().status(), 401, "at once");
    let expired = ClientChange { expires_at: Some(Some(1)), ..ClientChange::default() };
    let other = strangers[3].1.as_ref().unwrap();
    host.hub.trust().change(&other.fingerprint().to_string(), expired).unwrap();
    assert_eq!(get_tls(host.https, "/applist", Some(other), &TLS13).await.unwrap().status(), 401, "expired");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_but_discovery_and_pairing_is_served_without_tls() {
    let host = TestHost::start();
    for path in ["/applist", "/appasset?appid=1", "/launch?appid=1", "/resume", "/cancel", "/", "/x", "/serverinfo/x"] {
        let answer = get(host.http, path).await;
        assert_eq!((answer.http_status, answer.status()), (200, 404), "{path}");
    }
    for path in ["/unpair", "/unpair?uniqueid=1", "/serverinfo/"] {
        assert_eq!((get(host.http, path).await.http_status, get(host.http, path).await.status()), (200, 200), "{path}");
    }
    let challenge = get(host.http, "/pair?phrase=pairchallenge").await;
    assert_eq!((challenge.status(), challenge.element("paired").as_deref()), (400, Some("0")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_certificate_survives_a_restart_and_is_never_replaced_silently() {
    let host = TestHost::start();
    let client = ClientIdentity::stock();
    let first = get_tls(host.https, "/serverinfo", None, &TLS13).await.unwrap();
    host.pair(&client).await;
    let TestHost { dir, hub, servers, .. } = host;
    servers.shutdown().await;
    drop(hub);

    let host = TestHost::start_in(dir, |config| config.uuid = "another".into());
    let info = get_tls(host.https, "/serverinfo", Some(&client), &TLS13).await.unwrap();
    assert_eq!(info.server, first.server);
    assert_eq!((info.status(), info.element("uniqueid").as_deref()), (200, Some("a-uuid")));
    let TestHost { dir, hub, servers, .. } = host;
    servers.shutdown().await;
    drop(hub);

    let path = dir.path().join("identity-gamestream.json");
    std::fs::write(&path, "{").unwrap();
    let host = TestHost::start_in(dir, |_| {});
    let pairer = Pairer::new(host.http, &client, "1", b"1234");
    let first = pairer.first_target();
    let (info, pairing) = tokio::join!(get(host.http, "/serverinfo"), get(host.http, &first));
    assert_eq!((info.status(), pairing.status()), (503, 503));
    assert!(info.text().contains("certificate is not ready"));
    assert_eq!(std::fs::read(&path).unwrap(), b"{");
}
