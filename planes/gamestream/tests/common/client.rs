//! The client's side: plain and secured requests, and the phases of pairing with arithmetic of its own.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use aes::Aes128;
use aes::cipher::generic_array::GenericArray;
use aes::cipher::{BlockDecrypt as _, BlockEncrypt as _, KeyInit as _};
use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme, SupportedProtocolVersion};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{ClientIdentity, PATIENCE};

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub http_status: u16,
    pub head: String,
    pub body: Vec<u8>,
    /// The certificates that the server showed.
    pub server: Vec<Vec<u8>>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// `status_code` of the root.
    pub fn status(&self) -> u16 {
        let text = self.text();
        let after = text.split_once("<root status_code=\"").unwrap_or_else(|| panic!("a root: {text}")).1;
        after.split_once('"').unwrap().0.parse().unwrap()
    }

    /// Text of the only element of this name.
    pub fn element(&self, name: &str) -> Option<String> {
        let text = self.text();
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        assert!(text.matches(&open).count() <= 1, "{name} once: {text}");
        Some(text.split_once(&open)?.1.split_once(&close)?.0.to_owned())
    }
}

/// One plain request. The server must close after its answer.
pub async fn get(address: SocketAddr, target: &str) -> Answer {
    let stream = TcpStream::connect(address).await.unwrap();
    exchange(stream, target).await.unwrap()
}

/// One request over TLS; an error if there is no connection or no answer.
pub async fn get_tls(
    address: SocketAddr,
    target: &str,
    client: Option<&ClientIdentity>,
    version: &'static SupportedProtocolVersion,
) -> std::io::Result<Answer> {
    let provider = punktfunk_net::tls::provider();
    let verifier = Arc::new(AnyServer { seen: Mutex::default() });
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[version])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&verifier) as Arc<dyn ServerCertVerifier>);
    let config = match client {
        None => config.with_no_client_auth(),
        Some(client) => {
            let key = provider.key_provider.load_private_key(client.private_key()).unwrap();
            config.with_client_cert_resolver(Arc::new(Always(Arc::new(CertifiedKey::new(client.chain(), key)))))
        }
    };
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("any.name").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    let mut answer = exchange(stream, target).await?;
    answer.server = verifier.seen.lock().unwrap().clone();
    Ok(answer)
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, target: &str) -> std::io::Result<Answer> {
    stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: x\r\nUser-Agent: Test\r\n\r\n").as_bytes()).await?;
    stream.flush().await?;
    let mut bytes = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("the server closes")?;
    let split = bytes.windows(4).position(|w| w == b"\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let head = String::from_utf8(bytes[..split].to_vec()).unwrap();
    assert!(head.to_lowercase().contains("connection: close"), "{head}");
    let http_status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Ok(Answer { http_status, head, body: bytes.split_off(split + 4), server: Vec::new() })
}

#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesClientCert for Always {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Notes the whole chain.
#[derive(Debug)]
struct AnyServer {
    seen: Mutex<Vec<Vec<u8>>>,
}

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.seen.lock().unwrap() = std::iter::once(end_entity).chain(intermediates).map(|c| c.to_vec()).collect();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        punktfunk_net::tls::provider().signature_verification_algorithms.supported_schemes()
    }
}

/// A client that pairs. Which checks it leaves out is up to the test.
pub struct Pairer {
    pub address: SocketAddr,
    pub client: ClientIdentity,
    pub uniqueid: String,
    cipher: Aes128,
    /// Signature of the host's certificate.
    host_signature: Vec<u8>,
    challenge: [u8; 16],
    secret: [u8; 16],
    answer2: Vec<u8>,
}

const SALT: &str = "000102030405060708090a0b0c0d0e0f";

impl Pairer {
    pub fn new(address: SocketAddr, client: &ClientIdentity, uniqueid: &str, pin: &[u8; 4]) -> Self {
        let key = Sha256::new().chain_update(unhex(SALT)).chain_update(pin).finalize();
        Self {
            address,
            client: client.clone(),
            uniqueid: uniqueid.into(),
            cipher: Aes128::new(GenericArray::from_slice(&key[..16])),
            host_signature: Vec::new(),
            challenge: [0x10; 16],
            secret: [0x40; 16],
            answer2: Vec::new(),
        }
    }

    fn target(&self, rest: &str) -> String {
        format!("/pair?uniqueid={}&uuid=1234&devicename=roth&updateState=1&{rest}", self.uniqueid)
    }

    pub fn first_target(&self) -> String {
        self.target(&format!("phrase=getservercert&salt={SALT}&clientcert={}", hex(self.client.pem().as_bytes())))
    }

    /// Sends phase 1; the answer comes when the PIN is typed.
    pub fn spawn_first(&self) -> JoinHandle<Answer> {
        let (address, target) = (self.address, self.first_target());
        tokio::spawn(async move { get(address, &target).await })
    }

    /// The host's certificate, or the answer without one.
    pub async fn finish_first(&mut self, first: JoinHandle<Answer>) -> Result<Vec<u8>, Answer> {
        let answer = first.await.unwrap();
        if answer.element("paired").as_deref() != Some("1") {
            return Err(answer);
        }
        let Some(plain) = answer.element("plaincert") else { return Err(answer) };
        let pem = unhex(&plain);
        let der = <CertificateDer<'_> as rustls_pki_types::pem::PemObject>::from_pem_slice(&pem).unwrap();
        self.host_signature = x509_parser::parse_x509_certificate(&der).unwrap().1.signature_value.data.to_vec();
        Ok(der.to_vec())
    }

    pub fn second_target(&self) -> String {
        self.target(&format!("clientchallenge={}", hex(&self.encrypt(&self.challenge))))
    }

    pub async fn second(&mut self) -> Answer {
        let answer = get(self.address, &self.second_target()).await;
        if let Some(text) = answer.element("challengeresponse") {
            self.answer2 = self.decrypt(&unhex(&text));
            assert_eq!(self.answer2.len(), 48);
        }
        answer
    }

    pub fn third_target(&self) -> String {
        let hash = Sha256::new()
            .chain_update(&self.answer2[32..])
            .chain_update(self.client.signature())
            .chain_update(self.secret)
            .finalize();
        self.target(&format!("serverchallengeresp={}", hex(&self.encrypt(&hash))))
    }

    /// Sends phase 3; the second value: whether the host knows the PIN.
    pub async fn third(&mut self) -> (Answer, bool) {
        let answer = get(self.address, &self.third_target()).await;
        let right = answer.element("pairingsecret").is_some_and(|text| {
            let secret = unhex(&text);
            assert_eq!(secret.len(), 16 + 256);
            let hash = Sha256::new()
                .chain_update(self.challenge)
                .chain_update(&self.host_signature)
                .chain_update(&secret[..16])
                .finalize();
            hash[..] == self.answer2[..32]
        });
        (answer, right)
    }

    pub fn fourth_target(&self) -> String {
        let secret = [self.secret.to_vec(), self.client.sign(&self.secret)].concat();
        self.target(&format!("clientpairingsecret={}", hex(&secret)))
    }

    pub async fn fourth(&self) -> Answer {
        get(self.address, &self.fourth_target()).await
    }

    /// Phases 2 to 4 as a client that checks everything.
    pub async fn rest(&mut self) -> bool {
        self.second().await.element("paired").as_deref() == Some("1")
            && self.third().await.1
            && self.fourth().await.element("paired").as_deref() == Some("1")
    }

    pub async fn unpair(&self) -> Answer {
        get(self.address, &format!("/unpair?uniqueid={}&uuid=5", self.uniqueid)).await
    }

    fn encrypt(&self, plain: &[u8]) -> Vec<u8> {
        let mut out = plain.to_vec();
        out.chunks_exact_mut(16).for_each(|b| self.cipher.encrypt_block(GenericArray::from_mut_slice(b)));
        out
    }

    fn decrypt(&self, sealed: &[u8]) -> Vec<u8> {
        let mut out = sealed.to_vec();
        out.chunks_exact_mut(16).for_each(|b| self.cipher.decrypt_block(GenericArray::from_mut_slice(b)));
        out
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02X}")).collect()
}

pub fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).map(|p| u8::from_str_radix(std::str::from_utf8(p).unwrap(), 16).unwrap()).collect()
}
