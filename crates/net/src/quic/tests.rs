//! Handshakes over loopback: who gets in, as whom, and what each side learns when not.

use std::sync::Arc;

use super::*;
use crate::Identity;

fn identity() -> Identity {
    Identity::generate(&["punktfunk-test".into()]).unwrap()
}

fn loopback(ip: &str) -> SocketAddr {
    SocketAddr::new(ip.parse().unwrap(), 0)
}

/// Accepts one client and keeps its connection until told to let go.
fn serve(server: &Server) -> tokio::task::JoinHandle<Result<Handshaken, HandshakeError>> {
    let server = server.clone();
    tokio::spawn(async move { server.accept().await.expect("the endpoint is open").handshake().await })
}

#[tokio::test]
async fn both_ends_learn_the_others_identity_over_both_families() {
    for ip in ["127.0.0.1", "::1"] {
        let (host, client) = (identity(), identity());
        let server = server_endpoint(loopback(ip), &host, EndpointOptions::default()).unwrap();
        let address = server.local_addr().unwrap();
        let accepted = serve(&server);
        let endpoint = client_endpoint(unspecified_for(address)).unwrap();
        let options = DialOptions::new(Some(&client), Some(host.fingerprint()));
        let dialed = dial(&endpoint, address, options).await.unwrap();
        let seen = accepted.await.unwrap().unwrap();
        assert_eq!(dialed.host, host.fingerprint());
        assert_eq!(seen.fingerprint, Some(client.fingerprint()));
        assert_eq!(seen.protocol, Protocol::Pkf1);
        assert_eq!(seen.local_ip, Some(ip.parse().unwrap()));
        assert_eq!(seen.remote.ip(), ip.parse::<IpAddr>().unwrap());
        assert!(seen.connection.max_datagram_size().is_some(), "datagrams work both ways");
        assert!(dialed.connection.max_datagram_size().is_some());
    }
}

#[tokio::test]
async fn a_dual_stack_host_sees_plain_ipv4_addresses() {
    let host = identity();
    let server = server_endpoint(loopback("::"), &host, EndpointOptions::default()).unwrap();
    let address = SocketAddr::new("127.0.0.1".parse().unwrap(), server.local_addr().unwrap().port());
    let accepted = serve(&server);
    let endpoint = client_endpoint(unspecified_for(address)).unwrap();
    let _dialed = dial(&endpoint, address, DialOptions::new(None, None)).await.unwrap();
    let seen = accepted.await.unwrap().unwrap();
    assert_eq!(seen.remote.ip(), IpAddr::from([127, 0, 0, 1]));
    assert_eq!(seen.local_ip, Some(IpAddr::from([127, 0, 0, 1])));
    assert_eq!(seen.fingerprint, None, "a client certificate is optional");
}

#[tokio::test]
async fn a_host_that_is_not_the_pinned_one_is_refused_in_the_handshake() {
    let (host, expected) = (identity(), identity().fingerprint());
    let server = server_endpoint(loopback("127.0.0.1"), &host, EndpointOptions::default()).unwrap();
    let address = server.local_addr().unwrap();
    let accepted = serve(&server);
    let endpoint = client_endpoint(unspecified_for(address)).unwrap();
    let error = dial(&endpoint, address, DialOptions::new(None, Some(expected))).await.unwrap_err();
    let DialError::OtherHost { expected: pinned, seen } = error else { panic!("{error}") };
    assert_eq!((pinned, seen), (expected, host.fingerprint()));
    assert!(accepted.await.unwrap().is_err(), "the connection never reaches the application");
}

#[tokio::test]
async fn unknown_and_newer_protocols_are_told_apart() {
    let host = identity();
    let server = server_endpoint(loopback("127.0.0.1"), &host, EndpointOptions::default()).unwrap();
    let address = server.local_addr().unwrap();
    let endpoint = client_endpoint(unspecified_for(address)).unwrap();
    for (offer, too_new) in [(&[&b"pkf2"[..]][..], true), (&[b"h3"], false), (&[b"h3", b"pkf2"], true)] {
        let accepted = serve(&server);
        let mut options = DialOptions::new(None, None);
        options.alpn = offer.iter().map(|name| name.to_vec()).collect();
        let error = dial(&endpoint, address, options).await.unwrap_err();
        assert!(matches!(error, DialError::NoCommonProtocol), "{error}");
        let error = accepted.await.unwrap().err().expect("no common protocol");
        assert_eq!(error.client_too_new(), too_new);
        assert_eq!(error.offered, offer);
    }
    // A transition client that offers both gets what we speak.
    let accepted = serve(&server);
    let mut options = DialOptions::new(None, None);
    options.alpn = vec![b"pkf2".to_vec(), b"pkf1".to_vec()];
    let _dialed = dial(&endpoint, address, options).await.unwrap();
    assert_eq!(accepted.await.unwrap().unwrap().protocol, Protocol::Pkf1);
}

#[tokio::test]
async fn a_certificate_without_its_key_identifies_nobody() {
    let (host, victim, thief) = (identity(), identity(), identity());
    let server = server_endpoint(loopback("127.0.0.1"), &host, EndpointOptions::default()).unwrap();
    let address = server.local_addr().unwrap();
    let accepted = serve(&server);
    let endpoint = client_endpoint(unspecified_for(address)).unwrap();
    let provider = crate::tls::provider();
    let signer = provider.key_provider.load_private_key(thief.key()).unwrap();
    let stolen = rustls::sign::CertifiedKey::new(vec![victim.cert_der().clone()], signer);
    let mut config = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(tls::PinnedHost::new(provider, None)))
        .with_client_cert_resolver(Arc::new(Always(Arc::new(stolen))));
    config.alpn_protocols = Protocol::alpn();
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(config).unwrap();
    let config = quinn::ClientConfig::new(Arc::new(crypto));
    let connecting = endpoint.connect_with(config, address, "punktfunk").unwrap();
    // TLS 1.3 lets the client finish first; the host's verdict arrives right after.
    let _client = connecting.await;
    assert!(accepted.await.unwrap().is_err(), "the signature must be checked");
}

#[derive(Debug)]
struct Always(Arc<rustls::sign::CertifiedKey>);

impl rustls::client::ResolvesClientCert for Always {
    fn resolve(
        &self,
        _hints: &[&[u8]],
        _schemes: &[rustls::SignatureScheme],
    ) -> Option<Arc<rustls::sign::CertifiedKey>> {
        Some(self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn a_retry_proves_the_clients_address() {
    let host = identity();
    let server = server_endpoint(loopback("127.0.0.1"), &host, EndpointOptions::default()).unwrap();
    let address = server.local_addr().unwrap();
    let task = tokio::spawn({
        let server = server.clone();
        async move {
            let first = server.accept().await.unwrap();
            assert!(!first.is_validated());
            first.retry();
            let second = server.accept().await.unwrap();
            assert!(second.is_validated());
            second.handshake().await.map(|h| h.remote)
        }
    });
    let endpoint = client_endpoint(unspecified_for(address)).unwrap();
    dial(&endpoint, address, DialOptions::new(None, None)).await.unwrap();
    assert!(task.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_taken_port_says_so() {
    let host = identity();
    let server = server_endpoint(loopback("127.0.0.1"), &host, EndpointOptions::default()).unwrap();
    let again = server_endpoint(server.local_addr().unwrap(), &host, EndpointOptions::default());
    let Err(EndpointError::Bind { source, .. }) = again else { panic!("must not bind twice") };
    assert_eq!(source.kind(), io::ErrorKind::AddrInUse);
}
