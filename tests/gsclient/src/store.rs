//! What the binary keeps between runs, in a folder: `key.der`, `cert.pem`, and for each host `HOST_PORT.host.pem`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::der::{from_pem, pem};
use crate::{Error, Identity, Shape};

/// The folder.
pub struct Store {
    dir: PathBuf,
}

impl Store {
    /// Opens a folder, making it if needed.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        fs::create_dir_all(dir).map_err(Error::io("making the key folder"))?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// Our identity; made, in this shape, if there is none yet.
    ///
    /// # Errors
    /// Files that cannot be read or written.
    pub fn identity(&self, shape: Shape) -> Result<Identity, Error> {
        let (key, certificate) = (self.dir.join("key.der"), self.dir.join("cert.pem"));
        match (fs::read(&key), fs::read_to_string(&certificate)) {
            (Ok(key), Ok(pem)) => Identity::load(&key, &pem),
            (Err(e), _) if e.kind() == io::ErrorKind::NotFound => {
                let identity = Identity::generate(shape)?;
                fs::write(&certificate, identity.pem()).map_err(Error::io("writing cert.pem"))?;
                let mut options = OpenOptions::new();
                let file = options.write(true).create(true).truncate(true).mode(0o600).open(&key);
                let mut file = file.map_err(Error::io("writing key.der"))?;
                file.write_all(&identity.pkcs8()?).map_err(Error::io("writing key.der"))?;
                Ok(identity)
            }
            (Err(source), _) => Err(Error::Io { what: "reading key.der", source }),
            (_, Err(source)) => Err(Error::Io { what: "reading cert.pem", source }),
        }
    }

    /// The certificate of a host that we paired with.
    #[must_use]
    pub fn host(&self, address: SocketAddr) -> Option<Vec<u8>> {
        from_pem(&fs::read_to_string(self.path(address)).ok()?)
    }

    /// Remembers a host.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn remember(&self, address: SocketAddr, certificate: &[u8]) -> Result<(), Error> {
        fs::write(self.path(address), pem("CERTIFICATE", certificate))
            .map_err(Error::io("writing the host's certificate"))
    }

    fn path(&self, address: SocketAddr) -> PathBuf {
        let name = format!("{}_{}.host.pem", address.ip(), address.port()).replace(':', "-");
        self.dir.join(name)
    }
}
