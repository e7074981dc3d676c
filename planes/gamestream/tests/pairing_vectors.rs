//! The recorded pairing, every intermediate value (gamestream.md §13).

use aes::Aes128;
use aes::cipher::generic_array::GenericArray;
use aes::cipher::{BlockDecrypt as _, KeyInit as _};
use punktfunk_gamestream::wire::pairing::{ClientCertificate, HostCertificate, Phase2, PhaseError, pairing_key};
use punktfunk_gamestream::wire::query::{Query, to_hex};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

struct Vectors(Value);

impl Vectors {
    fn load() -> Self {
        Self(serde_json::from_str(include_str!("vectors/pairing.json")).expect("JSON"))
    }

    fn text(&self, path: &str) -> &str {
        self.0.pointer(path).and_then(Value::as_str).unwrap_or_else(|| panic!("{path} is there"))
    }

    fn bytes(&self, path: &str) -> Vec<u8> {
        let text = format!("x={}", self.text(path));
        Query::parse(&text).expect("plain").bytes("x", 8192).expect("hexadecimal")
    }

    fn array<const N: usize>(&self, path: &str) -> [u8; N] {
        self.bytes(path).try_into().expect("the length")
    }

    fn host(&self) -> HostCertificate {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.bytes("/server_key_pkcs8_der")));
        HostCertificate::new(self.text("/server_cert_pem"), &key).expect("a usable identity")
    }

    fn client(&self) -> ClientCertificate {
        ClientCertificate::from_pem(&self.bytes("/phase1/query_clientcert")).expect("a usable certificate")
    }

    fn random(&self) -> [u8; 32] {
        let both = [self.bytes("/phase2/server_secret"), self.bytes("/phase2/server_challenge")].concat();
        both.try_into().expect("16 bytes each")
    }
}

fn decrypt(key: &[u8; 16], bytes: &[u8]) -> Vec<u8> {
    let cipher = Aes128::new(GenericArray::from_slice(key));
    let mut out = bytes.to_vec();
    out.chunks_exact_mut(16).for_each(|block| cipher.decrypt_block(GenericArray::from_mut_slice(block)));
    out
}

fn signature_of(pem: &str) -> String {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM");
    let (_, parsed) = x509_parser::parse_x509_certificate(&der).expect("X.509");
    to_hex(&parsed.signature_value.data)
}

#[test]
fn the_key_comes_from_salt_and_pin() {
    let v = Vectors::load();
    let salt = v.array("/salt");
    assert_eq!(to_hex(&*pairing_key(&salt, b"1234")), v.text("/aes_key"));
    assert_eq!(to_hex(&*pairing_key(&salt, b"1235")), v.text("/aes_key_for_wrong_pin_1235"));
    assert_eq!((v.text("/pin"), v.text("/phase1/query_salt")), ("1234", v.text("/salt")));
}

#[test]
fn certificates_are_known_by_their_own_signatures() {
    let v = Vectors::load();
    assert_eq!(signature_of(v.text("/server_cert_pem")), v.text("/server_cert_signature"));
    assert_eq!(signature_of(v.text("/client_cert_pem")), v.text("/client_cert_signature"));
    assert_eq!(to_hex(v.host().pem().as_bytes()), v.text("/phase1/response_plaincert"));
    assert_eq!(v.bytes("/phase1/query_clientcert"), v.text("/client_cert_pem").as_bytes());
    let der = CertificateDer::from_pem_slice(v.text("/client_cert_pem").as_bytes()).expect("PEM");
    assert_eq!(v.client().fingerprint().0, <[u8; 32]>::from(Sha256::digest(&der)));
}

#[test]
fn every_phase_answers_what_was_recorded() {
    let v = Vectors::load();
    let (host, key) = (v.host(), v.array("/aes_key"));
    let challenge = v.bytes("/phase2/query_clientchallenge");
    assert_eq!(decrypt(&key, &challenge), v.bytes("/phase2/client_challenge_plain"));
    let phase2 = Phase2::new(v.client(), &v.array("/salt"), b"1234");
    let (phase3, answer) = phase2.answer(&challenge, &host, v.random()).expect("the length");
    assert_eq!(to_hex(&answer), v.text("/phase2/response_challengeresponse"));
    let plain = to_hex(&decrypt(&key, &answer));
    assert_eq!(plain, v.text("/phase2/response_challengeresponse_plain"));
    assert!(plain.starts_with(v.text("/phase2/server_hash")));

    let response = v.bytes("/phase3/query_serverchallengeresp");
    assert_eq!(to_hex(&decrypt(&key, &response)), v.text("/phase3/client_hash"));
    let (phase4, answer) = phase3.answer(&response, &host).expect("the length");
    assert_eq!(to_hex(&answer), v.text("/phase3/response_pairingsecret"));
    assert_eq!(to_hex(&answer[16..]), v.text("/phase3/server_signature"));

    let secret = v.bytes("/phase4/query_clientpairingsecret");
    assert_eq!(to_hex(&secret[..16]), v.text("/phase3/client_secret"));
    assert_eq!(to_hex(&secret[16..]), v.text("/phase4/client_signature"));
    assert_eq!(phase4.check(&secret).expect("proven"), v.client());
}

#[test]
fn each_condition_of_the_last_phase_counts_by_itself() {
    let v = Vectors::load();
    let run = |pin: &[u8; 4], response: &[u8], secret: &[u8]| {
        let phase2 = Phase2::new(v.client(), &v.array("/salt"), pin);
        let (phase3, _) = phase2.answer(&v.bytes("/phase2/query_clientchallenge"), &v.host(), v.random())?;
        phase3.answer(response, &v.host())?.0.check(secret)
    };
    let response = v.bytes("/phase3/query_serverchallengeresp");
    let secret = v.bytes("/phase4/query_clientpairingsecret");
    assert!(run(b"1234", &response, &secret).is_ok());
    assert_eq!(run(b"1235", &response, &secret), Err(PhaseError::NotProven), "a wrong PIN");
    for at in [0, 15, 16, secret.len() - 1] {
        let mut changed = secret.clone();
        changed[at] ^= 1;
        assert_eq!(run(b"1234", &response, &changed), Err(PhaseError::NotProven), "byte {at}");
    }
    let mut changed = response.clone();
    changed[31] ^= 1;
    assert_eq!(run(b"1234", &changed, &secret), Err(PhaseError::NotProven), "another hash, the signature still fits");
    assert_eq!(run(b"1234", &response[..16], &secret), Err(PhaseError::Length));
    assert_eq!(run(b"1234", &[response.clone(), response.clone()].concat(), &secret), Err(PhaseError::Length));
    assert_eq!(run(b"1234", &response, &secret[..15]), Err(PhaseError::Length));
    assert_eq!(run(b"1234", &response, &secret[..16]), Err(PhaseError::NotProven), "no signature at all");
}
