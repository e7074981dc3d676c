//! The host's HTTP interface ("nvhttp", §3), over blocking sockets: one request, one connection.

mod launch;
mod response;
mod server_info;

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use crate::bytes::{random, to_hex};
use crate::tls::{self, Versions};
use crate::xml::Xml;
use crate::{Error, Identity, Violations};

pub use launch::{Launch, Started};
pub use response::Response;
pub use server_info::ServerInfo;

/// A client's view of one host's HTTP interface.
pub struct Http {
    address: SocketAddr,
    https_port: u16,
    identity: Arc<Identity>,
    show_certificate: bool,
    pinned: Option<Vec<u8>>,
    unique_id: String,
    timeout: Duration,
    versions: Versions,
    violations: Mutex<Violations>,
}

/// One entry of `/applist`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// Stable number, not 0.
    pub id: u32,
    /// Name.
    pub title: String,
    /// Whether the app can show HDR.
    pub hdr: bool,
}

impl Http {
    /// For the host whose HTTP port is at `address`. The HTTPS port is taken from `/serverinfo`; until then it is five
    /// below.
    #[must_use]
    pub fn new(address: SocketAddr, identity: Arc<Identity>) -> Self {
        Self {
            address,
            https_port: address.port().wrapping_sub(5),
            identity,
            show_certificate: true,
            pinned: None,
            unique_id: "0123456789ABCDEF".to_owned(),
            timeout: Duration::from_secs(120),
            versions: Versions::Both,
            violations: Mutex::default(),
        }
    }

    /// Accepts this certificate alone from now on.
    pub fn pin(&mut self, certificate: Option<Vec<u8>>) {
        self.pinned = certificate;
    }

    /// The pinned certificate.
    #[must_use]
    pub fn pinned(&self) -> Option<&[u8]> {
        self.pinned.as_deref()
    }

    /// Whether to show our certificate in TLS; tests turn it off.
    pub fn show_certificate(&mut self, show: bool) {
        self.show_certificate = show;
    }

    /// Speaks TLS 1.2 and nothing newer.
    pub fn only_tls12(&mut self) {
        self.versions = Versions::Only12;
    }

    /// How long to wait for an answer; 120 s until set.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// The `uniqueid` parameter; all Android devices share the default.
    pub fn set_unique_id(&mut self, id: &str) {
        id.clone_into(&mut self.unique_id);
    }

    /// Where HTTPS is, if not where `/serverinfo` says.
    pub fn set_https_port(&mut self, port: u16) {
        self.https_port = port;
    }

    /// Where HTTP is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Who we are.
    #[must_use]
    pub fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// Rules broken in answers so far.
    #[must_use]
    pub fn violations(&self) -> Violations {
        self.violations.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends these bytes as they are and gives everything that comes back until the host closes.
    ///
    /// # Errors
    /// Sockets, TLS, or more than 8 MiB.
    pub fn raw(&self, request: &[u8], tls: bool) -> Result<Vec<u8>, Error> {
        let port = if tls { self.https_port } else { self.address.port() };
        let address = SocketAddr::new(self.address.ip(), port);
        let tcp = TcpStream::connect_timeout(&address, self.timeout.min(CONNECT_TIMEOUT))
            .map_err(Error::io("connecting to the host"))?;
        tcp.set_read_timeout(Some(self.timeout)).map_err(Error::io("socket options"))?;
        tcp.set_write_timeout(Some(self.timeout)).map_err(Error::io("socket options"))?;
        tcp.set_nodelay(true).map_err(Error::io("socket options"))?;
        if !tls {
            return exchange(tcp, request);
        }
        let identity = self.show_certificate.then_some(&*self.identity);
        let config = tls::config(identity, self.pinned.clone(), self.versions)?;
        let name = ServerName::IpAddress(self.address.ip().into());
        let connection = ClientConnection::new(config, name).map_err(|e| Error::Tls(e.to_string()))?;
        exchange(StreamOwned::new(connection, tcp), request)
    }

    /// `GET target`, as clients send it.
    ///
    /// # Errors
    /// Sockets, TLS, or an answer that is not HTTP.
    pub fn get(&self, target: &str, tls: bool) -> Result<Response, Error> {
        let host = match self.address.ip() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        let port = if tls { self.https_port } else { self.address.port() };
        let request =
            format!("GET {target} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: gsclient\r\nAccept: */*\r\n\r\n");
        Response::parse(&self.raw(request.as_bytes(), tls)?)
    }

    /// An endpoint with the common parameters and `query`, its answer as XML, whatever its `status_code`.
    ///
    /// # Errors
    /// As [`Http::get`], HTTP errors, and answers that are not XML.
    pub fn xml(&self, path: &str, query: &str, tls: bool) -> Result<Xml, Error> {
        let uuid = to_hex(&random::<16>()?);
        let separator = if query.is_empty() { "" } else { "&" };
        let target = format!("{path}?uniqueid={}&uuid={uuid}{separator}{query}", self.unique_id);
        let response = self.get(&target, tls)?;
        if response.status != 200 {
            return Err(Error::Answer(format!("{path}: HTTP {}", response.status)));
        }
        let text = String::from_utf8(response.body).map_err(|_| Error::answer(format!("{path}: not UTF-8")))?;
        let xml = Xml::parse(&text).map_err(|e| Error::answer(format!("{path}: {e}")))?;
        xml.check(path, &mut self.noted());
        Ok(xml)
    }

    /// As [`Http::xml`], with an error of the host as an error.
    ///
    /// # Errors
    /// [`Error::Refused`] too.
    pub fn ok(&self, path: &str, query: &str, tls: bool) -> Result<Xml, Error> {
        let xml = self.xml(path, query, tls)?;
        match xml.status() {
            Some(200) => Ok(xml),
            Some(code) => {
                Err(Error::Refused { code, message: xml.attribute("status_message").unwrap_or_default().to_owned() })
            }
            None => Err(Error::answer(format!("{path}: no status_code"))),
        }
    }

    /// `/serverinfo` over HTTP or HTTPS; remembers the HTTPS port.
    ///
    /// # Errors
    /// As [`Http::ok`], and elements that clients cannot do without.
    pub fn server_info(&mut self, tls: bool) -> Result<ServerInfo, Error> {
        let xml = self.ok("/serverinfo", "", tls)?;
        let info = ServerInfo::read(xml, tls, &mut self.noted())?;
        self.https_port = info.https_port;
        Ok(info)
    }

    /// `/applist`.
    ///
    /// # Errors
    /// As [`Http::ok`], and entries that make clients throw the list away.
    pub fn app_list(&self) -> Result<Vec<App>, Error> {
        let xml = self.ok("/applist", "", true)?;
        let mut apps: Vec<App> = Vec::new();
        let mut titles = xml.leaves.iter().filter(|(path, _)| path == "App/AppTitle");
        let mut hdr = xml.leaves.iter().filter(|(path, _)| path == "App/IsHdrSupported");
        for (_, id) in xml.leaves.iter().filter(|(path, _)| path == "App/ID") {
            let id: u32 = id.parse().map_err(|_| Error::answer(format!("app id {id:?}")))?;
            let (_, title) = titles.next().ok_or_else(|| Error::answer("an app without a title"))?;
            self.noted().check(id != 0 && id < 1 << 31, "§3.5", || format!("app id {id}"));
            self.noted().check(!apps.iter().any(|a| a.id == id), "§3.5", || format!("app id {id} twice"));
            apps.push(App { id, title: title.clone(), hdr: hdr.next().is_some_and(|(_, v)| v == "1") });
        }
        Ok(apps)
    }

    /// `/appasset`: the picture of an app.
    ///
    /// # Errors
    /// As [`Http::get`].
    pub fn app_asset(&self, id: u32) -> Result<Response, Error> {
        self.get(&format!("/appasset?uniqueid={}&appid={id}&AssetType=2&AssetIdx=0", self.unique_id), true)
    }

    /// `/launch`.
    ///
    /// # Errors
    /// As [`Http::ok`], and answers without a session.
    pub fn launch(&self, launch: &Launch) -> Result<Started, Error> {
        self.start("/launch", "gamesession", launch)
    }

    /// `/resume`.
    ///
    /// # Errors
    /// As [`Http::launch`].
    pub fn resume(&self, launch: &Launch) -> Result<Started, Error> {
        self.start("/resume", "resume", launch)
    }

    fn start(&self, path: &str, element: &str, launch: &Launch) -> Result<Started, Error> {
        let xml = self.ok(path, &launch.query(), true)?;
        match xml.get(element) {
            Some("0") | None => return Err(Error::answer(format!("{path}: <{element}> is {:?}", xml.get(element)))),
            Some(_) => {}
        }
        let url = xml.get("sessionUrl0").ok_or_else(|| Error::answer(format!("{path}: no sessionUrl0")))?;
        let sealed = url.starts_with("rtspenc://");
        let expected = launch.corever.unwrap_or(0) >= 1;
        self.noted().check(sealed == expected, "§3.7", || format!("{url} for corever {:?}", launch.corever));
        let port = url.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        let port = port.ok_or_else(|| Error::answer(format!("{path}: no port in {url}")))?;
        Ok(Started { url: url.to_owned(), sealed, port, resumed: element == "resume" })
    }

    /// `/cancel`.
    ///
    /// # Errors
    /// As [`Http::ok`], and `cancel` = 0.
    pub fn cancel(&self) -> Result<(), Error> {
        let xml = self.ok("/cancel", "", true)?;
        match xml.get("cancel") {
            Some(text) if text != "0" => Ok(()),
            other => Err(Error::answer(format!("/cancel: <cancel> is {other:?}"))),
        }
    }

    /// `/unpair` over HTTP: "wrong PIN", as Qt and Android say it.
    ///
    /// # Errors
    /// As [`Http::xml`].
    pub fn unpair(&self) -> Result<Xml, Error> {
        self.xml("/unpair", "", false)
    }

    fn noted(&self) -> std::sync::MutexGuard<'_, Violations> {
        self.violations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn exchange(mut stream: impl Read + Write, request: &[u8]) -> Result<Vec<u8>, Error> {
    let failed = |what| {
        move |source: io::Error| match source.kind() {
            io::ErrorKind::InvalidData => Error::Tls(source.to_string()),
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Error::Timeout("HTTP answer"),
            _ => Error::Io { what, source },
        }
    };
    stream.write_all(request).and_then(|()| stream.flush()).map_err(failed("sending a request"))?;
    let mut answer = Vec::new();
    match stream.take(MAX_ANSWER).read_to_end(&mut answer) {
        Ok(_) => {}
        // Closed without TLS's farewell: clients do not mind.
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof && !answer.is_empty() => {}
        Err(e) => return Err(failed("reading an answer")(e)),
    }
    if answer.len() as u64 >= MAX_ANSWER {
        return Err(Error::answer("more than 8 MiB"));
    }
    Ok(answer)
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_ANSWER: u64 = 8 << 20;
