//! Pairing (§4): five requests that turn a PIN into mutual trust.

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use sha2::{Digest, Sha256};

use crate::bytes::{from_hex, random, to_hex};
use crate::crypto::{Key, ecb_decrypt, ecb_encrypt};
use crate::der::from_pem;
use crate::identity::{public_key_of, signature_of};
use crate::xml::Xml;
use crate::{Error, Http, Identity};

/// What a client does once it knows that the PIN is wrong (§4.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// Qt and Android: stop after phase 3 and send `/unpair`.
    Qt,
    /// The embedded library: does not look, goes on to phase 4, and relies on the host to refuse.
    Embedded,
}

/// One attempt. Each phase can be called by itself, in any order, so that tests can misbehave; [`pair`] is how clients
/// call them.
pub struct Attempt<'a> {
    http: &'a Http,
    math: Math,
    host_certificate: Vec<u8>,
    host_answer: Vec<u8>,
}

/// The arithmetic of an attempt, all randomness given.
pub struct Math {
    /// AES key of PIN and salt.
    pub key: Key,
    /// The salt itself.
    pub salt: [u8; 16],
    /// Our challenge to the host (c).
    pub challenge: [u8; 16],
    /// Our secret (cs).
    pub secret: [u8; 16],
}

/// Runs all five phases and pins the host's certificate.
///
/// # Errors
/// [`Error::WrongPin`] (Qt style), [`Error::NotPaired`], [`Error::Mitm`], and whatever HTTP has to say. In Qt style
/// `/unpair` has been sent then.
pub fn pair(http: &mut Http, pin: &str, style: Style) -> Result<(), Error> {
    let mut attempt = Attempt::new(http, pin)?;
    let outcome = (|| {
        attempt.phase1()?;
        attempt.phase2()?;
        let right = attempt.phase3()?;
        if !right && style == Style::Qt {
            return Err(Error::WrongPin);
        }
        attempt.phase4()
    })();
    let certificate = std::mem::take(&mut attempt.host_certificate);
    if outcome.is_ok() {
        http.pin(Some(certificate));
    }
    let outcome = outcome.and_then(|()| phase5(http));
    if outcome.is_err() {
        // Both styles say so; the answer changes nothing any more, but it has to be one.
        http.unpair()?;
    }
    outcome
}

impl<'a> Attempt<'a> {
    /// With a fresh salt.
    ///
    /// # Errors
    /// If there are no random numbers.
    pub fn new(http: &'a Http, pin: &str) -> Result<Self, Error> {
        let math = Math::new(pin, random()?, random()?, random()?);
        Ok(Self { http, math, host_certificate: Vec::new(), host_answer: Vec::new() })
    }

    /// Sends the certificate and the salt; returns once the PIN was typed at the host.
    ///
    /// # Errors
    /// [`Error::NotPaired`], or an answer that is none.
    pub fn phase1(&mut self) -> Result<(), Error> {
        let certificate = to_hex(self.http.identity().pem().as_bytes());
        let salt = to_hex(&self.math.salt);
        let xml = self.ask(1, &format!("phrase=getservercert&salt={salt}&clientcert={certificate}"))?;
        let plain = xml.get("plaincert").ok_or(Error::NotPaired(1))?;
        let pem = from_hex(plain).and_then(|bytes| String::from_utf8(bytes).ok());
        let der = pem.as_deref().and_then(from_pem).ok_or_else(|| Error::answer("plaincert"))?;
        self.host_certificate = der;
        Ok(())
    }

    /// Challenges the host.
    ///
    /// # Errors
    /// As [`Attempt::phase1`].
    pub fn phase2(&mut self) -> Result<(), Error> {
        let xml = self.ask(2, &format!("clientchallenge={}", to_hex(&self.math.client_challenge())))?;
        let mut answer = hex_of(&xml, "challengeresponse")?;
        if answer.len() != 48 {
            return Err(Error::answer(format!("challengeresponse of {} bytes", answer.len())));
        }
        ecb_decrypt(&self.math.key, &mut answer);
        self.host_answer = answer;
        Ok(())
    }

    /// Answers the host's challenge; true if the host knows the PIN.
    ///
    /// # Errors
    /// As [`Attempt::phase1`], and [`Error::Mitm`].
    pub fn phase3(&mut self) -> Result<bool, Error> {
        let (hash, challenge) = self.host_answer.split_at(self.host_answer.len().min(32));
        let response = self.math.challenge_response(self.http.identity(), challenge);
        let xml = self.ask(3, &format!("serverchallengeresp={}", to_hex(&response)))?;
        let secret = hex_of(&xml, "pairingsecret")?;
        if secret.len() != 16 + 256 {
            return Err(Error::answer(format!("pairingsecret of {} bytes", secret.len())));
        }
        let (secret, signature) = secret.split_at(16);
        let key = public_key_of(&self.host_certificate)?;
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key);
        key.verify(secret, signature).map_err(|_| Error::Mitm)?;
        Ok(self.math.host_hash(&signature_of(&self.host_certificate)?, secret) == hash)
    }

    /// Proves that we hold our key and know the PIN.
    ///
    /// # Errors
    /// As [`Attempt::phase1`].
    pub fn phase4(&mut self) -> Result<(), Error> {
        let secret = self.math.client_pairing_secret(self.http.identity())?;
        self.ask(4, &format!("clientpairingsecret={}", to_hex(&secret))).map(drop)
    }

    /// The host's certificate, once phase 1 gave it.
    #[must_use]
    pub fn host_certificate(&self) -> &[u8] {
        &self.host_certificate
    }

    fn ask(&self, phase: u8, query: &str) -> Result<Xml, Error> {
        let xml = self.http.xml("/pair", &format!("devicename=roth&updateState=1&{query}"), false)?;
        paired(phase, xml)
    }
}

/// Checks over HTTPS that our certificate is known now.
///
/// # Errors
/// [`Error::NotPaired`], or what TLS says if the host shows another certificate.
pub fn phase5(http: &Http) -> Result<(), Error> {
    let xml = http.xml("/pair", "devicename=roth&updateState=1&phrase=pairchallenge", true)?;
    paired(5, xml).map(drop)
}

impl Math {
    /// Derives the key: SHA-256 of salt and PIN, cut to 16 bytes.
    #[must_use]
    pub fn new(pin: &str, salt: [u8; 16], challenge: [u8; 16], secret: [u8; 16]) -> Self {
        let digest = Sha256::new().chain_update(salt).chain_update(pin).finalize();
        let mut key = [0; 16];
        key.copy_from_slice(&digest[..16]);
        Self { key, salt, challenge, secret }
    }

    /// Phase 2's parameter.
    #[must_use]
    pub fn client_challenge(&self) -> [u8; 16] {
        let mut sealed = self.challenge;
        ecb_encrypt(&self.key, &mut sealed);
        sealed
    }

    /// What the host's hash must be.
    #[must_use]
    pub fn host_hash(&self, host_signature: &[u8], host_secret: &[u8]) -> [u8; 32] {
        Sha256::new()
            .chain_update(self.challenge)
            .chain_update(host_signature)
            .chain_update(host_secret)
            .finalize()
            .into()
    }

    /// Phase 3's parameter.
    #[must_use]
    pub fn challenge_response(&self, identity: &Identity, host_challenge: &[u8]) -> [u8; 32] {
        let hash =
            Sha256::new().chain_update(host_challenge).chain_update(identity.signature()).chain_update(self.secret);
        let mut sealed: [u8; 32] = hash.finalize().into();
        ecb_encrypt(&self.key, &mut sealed);
        sealed
    }

    /// Phase 4's parameter.
    ///
    /// # Errors
    /// If our key cannot sign.
    pub fn client_pairing_secret(&self, identity: &Identity) -> Result<Vec<u8>, Error> {
        let mut out = self.secret.to_vec();
        out.extend(identity.sign(&self.secret)?);
        Ok(out)
    }
}

fn paired(phase: u8, xml: Xml) -> Result<Xml, Error> {
    if xml.status() == Some(200) && xml.get("paired") == Some("1") { Ok(xml) } else { Err(Error::NotPaired(phase)) }
}

fn hex_of(xml: &Xml, name: &str) -> Result<Vec<u8>, Error> {
    xml.get(name).and_then(from_hex).ok_or_else(|| Error::answer(format!("<{name}> is {:?}", xml.get(name))))
}
