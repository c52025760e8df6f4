//! A program's own HTTPS port, asked from within the bed's network.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::bed::Bed;

/// The longest that one answer may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// A port, and who is to answer there.
pub(crate) struct Https {
    bed: Bed,
    host: String,
    port: u16,
    tls: Arc<ClientConfig>,
    server: ServerName<'static>,
}

impl Https {
    /// One that shows a certificate for `server`, signed by one of the authorities in `ca`.
    pub(crate) fn new(bed: &Bed, host: &str, port: u16, server: String, ca: &[u8]) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca) {
            roots.add(certificate.context("the CA is PEM")?)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            bed: bed.clone(),
            host: host.to_owned(),
            port,
            tls: Arc::new(tls),
            server: ServerName::try_from(server)?,
        })
    }

    /// A connection. The thread that asks for it is in the bed's network from then on.
    pub(crate) fn connect(&self) -> Result<StreamOwned<ClientConnection, TcpStream>> {
        // The network is a thread's own.
        self.bed.enter()?;
        let stream = TcpStream::connect((&*self.host, self.port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        let tls = ClientConnection::new(Arc::clone(&self.tls), self.server.clone())?;
        Ok(StreamOwned::new(tls, stream))
    }

    /// Sends a body with a bearer token; answers the status and what is said.
    pub(crate) fn post(&self, path: &str, token: &str, body: &str) -> Result<(u16, String)> {
        let ask = || {
            let request = format!(
                "POST {path} HTTP/1.1\r\nHost: keystead\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let mut stream = self.connect()?;
            stream.write_all(request.as_bytes())?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            let (head, said) = answer.split_once("\r\n\r\n").context("an answer has a head")?;
            let status = head.split(' ').nth(1).context("an answer has a status")?;
            Ok((status.parse()?, said.to_owned()))
        };
        let asked = thread::scope(|scope| scope.spawn(ask).join());
        asked.map_err(|_| anyhow!("it panicked: see above"))?
    }
}
