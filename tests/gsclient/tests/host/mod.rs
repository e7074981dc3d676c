//! A small host by the book, for the client's own tests: one client, one session, synthetic pictures and sound.

pub mod packets;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use packets::{AudioPacketizer, Packetizer, unit};
use punktfunk_gsclient::control::{Opener, Sealer, Version};
use punktfunk_gsclient::crypto::{Gcm, ecb_decrypt, ecb_encrypt};
use punktfunk_gsclient::rtsp::{self, Originator};
use punktfunk_gsclient::{Identity, Shape};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, ServerConfig, ServerConnection, SignatureScheme, StreamOwned};
use sha2::{Digest, Sha256};
use x509_parser::prelude::FromDer;

/// The PIN that its user types.
pub const PIN: &str = "4711";

pub struct Host {
    /// Where HTTP is.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    identity: Identity,
    https_port: u16,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    pairing: Option<Pairing>,
    paired: Vec<Vec<u8>>,
    running: bool,
    /// What the client asked for: every request's path and query.
    asked: Vec<String>,
    /// Control messages of the client: channel, type, payload.
    said: Vec<(u8, u16, Vec<u8>)>,
}

#[derive(Default)]
struct Pairing {
    key: [u8; 16],
    certificate: Vec<u8>,
    secret: [u8; 16],
    challenge: [u8; 16],
    hash: Vec<u8>,
}

impl Host {
    pub fn start() -> Self {
        let (http, https) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let shared = Arc::new(Shared {
            identity: Identity::generate(Shape::V3).unwrap(),
            https_port: https.local_addr().unwrap().port(),
            state: Mutex::default(),
        });
        let address = http.local_addr().unwrap();
        let plain = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in http.incoming().map_while(Result::ok) {
                answer(&plain, stream, None);
            }
        });
        let sealed = Arc::clone(&shared);
        thread::spawn(move || {
            let config = tls(&sealed.identity);
            for stream in https.incoming().map_while(Result::ok) {
                let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream);
                if stream.conn.complete_io(&mut stream.sock).is_ok() {
                    let certificate = stream.conn.peer_certificates().map(|c| c[0].to_vec());
                    answer(&sealed, stream, Some(certificate.unwrap_or_default()));
                }
            }
        });
        Self { address, shared }
    }

    pub fn certificate(&self) -> &[u8] {
        self.shared.identity.der()
    }

    /// Requests so far that begin with this.
    pub fn asked(&self, path: &str) -> usize {
        self.shared.state.lock().unwrap().asked.iter().filter(|a| a.starts_with(path)).count()
    }

    /// Control messages so far.
    pub fn said(&self) -> Vec<(u8, u16, Vec<u8>)> {
        self.shared.state.lock().unwrap().said.clone()
    }
}

fn answer(shared: &Arc<Shared>, mut stream: impl Read + Write, certificate: Option<Vec<u8>>) {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while !request.windows(4).any(|w| w == b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(n @ 1..) => request.extend(&buffer[..n]),
            _ => return,
        }
    }
    let text = String::from_utf8_lossy(&request);
    let target = text.split(' ').nth(1).unwrap_or_default().to_owned();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let body = respond(shared, path, query, certificate.as_deref());
    let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    let _ = stream.write_all((head + &body).as_bytes());
    let _ = stream.flush();
}

fn respond(shared: &Arc<Shared>, path: &str, query: &str, certificate: Option<&[u8]>) -> String {
    let mut state = shared.state.lock().unwrap();
    state.asked.push(path.to_owned());
    let known = certificate.is_some_and(|c| state.paired.iter().any(|p| p == c));
    let get = |name: &str| query.split('&').find_map(|p| p.strip_prefix(name)?.strip_prefix('='));
    if certificate.is_some() && !known {
        return r#"<root status_code="401" status_message="The client is not authorized."/>"#.to_owned();
    }
    let ok =
        |inner: String| format!("<?xml version=\"1.0\" encoding=\"utf-8\"?><root status_code=\"200\">{inner}</root>");
    match path {
        "/serverinfo" => ok(format!(
            "<hostname>fake</hostname><appversion>7.1.431.-1</appversion><GfeVersion>3.23.0.74</GfeVersion>\
             <uniqueid>ABCD</uniqueid><HttpsPort>{}</HttpsPort><mac>00:00:00:00:00:00</mac>\
             <MaxLumaPixelsHEVC>0</MaxLumaPixelsHEVC><ServerCodecModeSupport>1</ServerCodecModeSupport>\
             <PairStatus>{}</PairStatus><currentgame>{}</currentgame><state>FAKE_SERVER_{}</state>",
            shared.https_port,
            u8::from(known),
            if state.running { 7 } else { 0 },
            if state.running { "BUSY" } else { "FREE" }
        )),
        "/pair" => match pair(shared, &mut state, &get, known) {
            Some(inner) => ok(format!("<paired>1</paired>{inner}")),
            None => {
                state.pairing = None;
                ok("<paired>0</paired>".to_owned())
            }
        },
        "/unpair" => ok(String::new()),
        "/applist" => {
            ok("<App><AppTitle>Desk &amp; top</AppTitle><ID>7</ID><IsHdrSupported>0</IsHdrSupported></App>".to_owned())
        }
        "/launch" | "/resume" => {
            let (Some(key), Some(id)) = (get("rikey").map(unhex), get("rikeyid").and_then(|i| i.parse::<i32>().ok()))
            else {
                return r#"<root status_code="400" status_message="no key"><gamesession>0</gamesession></root>"#
                    .to_owned();
            };
            state.running = true;
            let sealed = get("corever") == Some("1");
            let port = session(shared, key.try_into().unwrap(), id as u32, sealed);
            let scheme = if sealed { "rtspenc" } else { "rtsp" };
            let element = if path == "/launch" { "gamesession" } else { "resume" };
            ok(format!("<sessionUrl0>{scheme}://127.0.0.1:{port}</sessionUrl0><{element}>1</{element}>"))
        }
        "/cancel" => {
            state.running = false;
            ok("<cancel>1</cancel>".to_owned())
        }
        _ => r#"<root status_code="404"/>"#.to_owned(),
    }
}

fn pair<'a>(shared: &Shared, state: &mut State, get: &dyn Fn(&str) -> Option<&'a str>, known: bool) -> Option<String> {
    match get("phrase") {
        Some("getservercert") => {
            let salt = unhex(get("salt")?);
            let digest = Sha256::new().chain_update(&salt).chain_update(PIN).finalize();
            let pem = String::from_utf8(unhex(get("clientcert")?)).ok()?;
            let (_, block) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).ok()?;
            let key = digest[..16].try_into().ok()?;
            let (secret, challenge) = ([3; 16], [4; 16]);
            state.pairing = Some(Pairing { key, certificate: block.contents, secret, challenge, hash: Vec::new() });
            return Some(format!("<plaincert>{}</plaincert>", hex(shared.identity.pem().as_bytes())));
        }
        Some("pairchallenge") => return known.then(String::new),
        _ => {}
    }
    let pairing = state.pairing.as_mut()?;
    if let Some(challenge) = get("clientchallenge") {
        let mut challenge = unhex(challenge);
        ecb_decrypt(&pairing.key, &mut challenge);
        let hash = Sha256::new().chain_update(challenge).chain_update(shared.identity.signature());
        let mut out = hash.chain_update(pairing.secret).finalize().to_vec();
        out.extend(pairing.challenge);
        ecb_encrypt(&pairing.key, &mut out);
        return Some(format!("<challengeresponse>{}</challengeresponse>", hex(&out)));
    }
    if let Some(response) = get("serverchallengeresp") {
        let mut response = unhex(response);
        ecb_decrypt(&pairing.key, &mut response);
        pairing.hash = response;
        let mut out = pairing.secret.to_vec();
        out.extend(shared.identity.sign(&pairing.secret).ok()?);
        return Some(format!("<pairingsecret>{}</pairingsecret>", hex(&out)));
    }
    let secret = unhex(get("clientpairingsecret")?);
    let (secret, signature) = secret.split_at_checked(16)?;
    let (_, parsed) = x509_parser::certificate::X509Certificate::from_der(&pairing.certificate).ok()?;
    let hash = Sha256::new().chain_update(pairing.challenge).chain_update(&parsed.signature_value.data);
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &parsed.public_key().subject_public_key.data);
    if hash.chain_update(secret).finalize().to_vec() != pairing.hash || key.verify(secret, signature).is_err() {
        return None;
    }
    state.paired.push(pairing.certificate.clone());
    Some(String::new())
}

/// Starts a session's threads; gives the RTSP port.
fn session(shared: &Arc<Shared>, key: [u8; 16], id: u32, sealed: bool) -> u16 {
    let rtsp = TcpListener::bind("127.0.0.1:0").unwrap();
    let [video, audio, control] = [(); 3].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    let ports = [&audio, &video, &control].map(|s| s.local_addr().unwrap().port());
    let port = rtsp.local_addr().unwrap().port();
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        let announce = handshake(&rtsp, &key, sealed, ports);
        let attribute = |name: &str| {
            let line = announce.lines().find_map(|l| l.strip_prefix(&format!("a={name}:")[..])?.trim().parse().ok());
            line.unwrap_or(0_u32)
        };
        // Two ways to say that audio is encrypted.
        let sealed_audio = if attribute("x-nv-general.featureFlags") & 0x20 != 0 { 4 } else { 0 };
        let encryption = attribute("x-ss-general.encryptionEnabled") | sealed_audio;
        let packet_size = attribute("x-nv-video[0].packetSize") as usize;
        let media = Media { key, id, encryption, packet_size, legacy: attribute("x-ml-general.featureFlags") == 0 };
        thread::scope(|scope| {
            scope.spawn(|| media.control(control, &shared));
            scope.spawn(|| media.video(&video));
            scope.spawn(|| media.audio(&audio));
        });
    });
    port
}

fn handshake(listener: &TcpListener, key: &[u8; 16], sealed: bool, ports: [u16; 3]) -> String {
    let gcm = Gcm::new(key).unwrap();
    let mut setups = ports.into_iter();
    let mut announced = String::new();
    for cseq in 1.. {
        let (mut tcp, _) = listener.accept().unwrap();
        let request = read_request(&mut tcp, &gcm, sealed);
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let rest = match head.split(' ').next().unwrap() {
            "DESCRIBE" => "\r\na=x-ss-general.featureFlags:3\na=x-ss-general.encryptionSupported:7\n\
                           a=x-ss-general.encryptionRequested:0\na=fmtp:97 surround-params=21101\n"
                .to_owned(),
            "SETUP" => {
                let port = setups.next().unwrap();
                format!(
                    "Session: TOKEN;timeout = 90\r\nTransport: server_port={port}\r\n\
                     X-SS-Ping-Payload: 0123456789ABCDEF\r\nX-SS-Connect-Data: 4242\r\n\r\n"
                )
            }
            "ANNOUNCE" => {
                body.clone_into(&mut announced);
                "\r\n".to_owned()
            }
            _ => "\r\n".to_owned(),
        };
        let answer = format!("RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\n{rest}");
        let wire = match sealed {
            true => rtsp::seal(&gcm, Originator::Host, cseq, answer.as_bytes()).unwrap(),
            false => answer.into_bytes(),
        };
        tcp.write_all(&wire).unwrap();
        if head.starts_with("PLAY") {
            break;
        }
    }
    announced
}

fn read_request(tcp: &mut TcpStream, gcm: &Gcm, sealed: bool) -> String {
    let (mut wire, mut buffer) = (Vec::new(), [0; 2048]);
    loop {
        let n = tcp.read(&mut buffer).unwrap();
        assert!(n > 0, "the client hung up");
        wire.extend(&buffer[..n]);
        if sealed {
            if let Some((_, text)) = rtsp::open(gcm, Originator::Client, &wire) {
                return String::from_utf8(text).unwrap();
            }
            continue;
        }
        let text = String::from_utf8_lossy(&wire).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|l| l.strip_prefix("Content-length: ")?.parse().ok()).unwrap_or(0);
        if body.len() == length {
            return text;
        }
    }
}

struct Media {
    key: [u8; 16],
    id: u32,
    encryption: u32,
    packet_size: usize,
    legacy: bool,
}

impl Media {
    /// The client's address, once it pinged as it should.
    fn pinged(&self, socket: &UdpSocket) -> SocketAddr {
        let mut ping = [0; 64];
        let (len, from) = socket.recv_from(&mut ping).unwrap();
        let expected: &[u8] = if self.legacy { b"PING" } else { b"0123456789ABCDEF\x00\x00\x00\x01" };
        assert_eq!(&ping[..len], expected);
        from
    }

    fn video(&self, socket: &UdpSocket) {
        let to = self.pinged(socket);
        let key = (self.encryption & 2 != 0).then_some(self.key);
        let mut packets = Packetizer::new(self.packet_size, key);
        let begun = Instant::now();
        for index in 1..=FRAMES {
            let kind = if index == 1 { 2 } else { 1 };
            for datagram in packets.frame(index, kind, &unit(kind == 2, 20_000, index as u8), index * 900) {
                let _ = socket.send_to(&datagram, to);
            }
            thread::sleep((begun + Duration::from_millis(10) * index).saturating_duration_since(Instant::now()));
        }
    }

    fn audio(&self, socket: &UdpSocket) {
        let to = self.pinged(socket);
        let mut packets = AudioPacketizer::default();
        let begun = Instant::now();
        for index in 0..FRAMES * 2 {
            let mut payload = vec![index as u8; 60];
            if self.encryption & 4 != 0 {
                payload = self.cbc(index, &payload);
            }
            for datagram in packets.packet(&payload, 5) {
                let _ = socket.send_to(&datagram, to);
            }
            thread::sleep((begun + Duration::from_millis(5) * index).saturating_duration_since(Instant::now()));
        }
    }

    /// CBC by hand, from ECB blocks: nothing of the client's own code.
    fn cbc(&self, sequence: u32, text: &[u8]) -> Vec<u8> {
        let pad = 16 - text.len() % 16;
        let padded = [text, &vec![pad as u8; pad]].concat();
        let mut before = [0; 16];
        before[..4].copy_from_slice(&self.id.wrapping_add(sequence).to_be_bytes());
        let mut out = Vec::new();
        for block in padded.chunks(16) {
            before.iter_mut().zip(block).for_each(|(b, t)| *b ^= t);
            ecb_encrypt(&self.key, &mut before);
            out.extend(before);
        }
        out
    }

    fn control(&self, socket: UdpSocket, shared: &Shared) {
        let settings =
            rusty_enet::HostSettings { peer_limit: 8, channel_limit: 48, ..rusty_enet::HostSettings::default() };
        let mut host = rusty_enet::Host::new(socket, settings).unwrap();
        let version = if self.encryption & 1 != 0 { Version::V2 } else { Version::V1 };
        let opener = Opener::new(&self.key, version, Originator::Client).unwrap();
        let mut sealer = Sealer::new(&self.key, version, Originator::Host).unwrap();
        let begun = Instant::now();
        let mut told = false;
        while begun.elapsed() < Duration::from_secs(60) {
            match host.service().unwrap().map(rusty_enet::Event::no_ref) {
                Some(rusty_enet::EventNoRef::Connect { data, .. }) => {
                    assert_eq!(data, if self.legacy { 0 } else { 4242 })
                }
                Some(rusty_enet::EventNoRef::Receive { channel_id, packet, peer }) => {
                    let (_, kind, payload) = opener.open(packet.data()).unwrap();
                    // The last key of a test: the host says goodbye.
                    let bye = kind == 0x0206 && payload.get(9) == Some(&0x1B);
                    shared.state.lock().unwrap().said.push((channel_id, kind, payload));
                    let mut say = |kind, payload: &[u8]| {
                        let packet = rusty_enet::Packet::reliable(&sealer.seal(kind, payload).unwrap()[..]);
                        host.peer_mut(peer).send(0, &packet).unwrap();
                    };
                    if !std::mem::replace(&mut told, true) {
                        say(0x010E, &[0; 27]);
                        say(0x010B, &[0, 0, 0, 0, 1, 0, 2, 0, 3, 0]);
                    }
                    if bye {
                        say(0x0109, &0x8003_0023_u32.to_be_bytes());
                    }
                    host.flush();
                }
                Some(rusty_enet::EventNoRef::Disconnect { .. }) => break,
                None => thread::sleep(Duration::from_millis(1)),
            }
        }
    }
}

/// At 100 a second.
pub const FRAMES: u32 = 100;

fn tls(identity: &Identity) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(identity.pkcs8().unwrap()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .unwrap()
        .with_client_cert_verifier(Arc::new(Anybody))
        .with_single_cert(vec![CertificateDer::from(identity.der().to_vec())], key)
        .unwrap();
    Arc::new(config)
}

/// Lets every certificate in, as §3.9 wants; who it is gets decided in XML.
#[derive(Debug)]
struct Anybody;

impl ClientCertVerifier for Anybody {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        self.verify_tls12_signature(message, certificate, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::RSA_PSS_SHA256, SignatureScheme::RSA_PKCS1_SHA256]
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map_while(|i| u8::from_str_radix(text.get(2 * i..2 * i + 2)?, 16).ok()).collect()
}
