//! How to reach a server and whom to trust, and the HTTP client that does.

use crate::error::Error;
use crate::sensitive::Sensitive;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Longest time for a request, its connection included.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);
/// Longest time to connect.
const CONNECT_DEADLINE: Duration = Duration::from_secs(3);
/// Connections kept open between requests: as many as anybody of ours has requests at once, because
/// one that is closed in between costs a handshake for each request.
const IDLE_CONNECTIONS: usize = 16;

/// Where a server is, how to reach it and whom to trust.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Connection {
    /// `http(s)://host[:port]`, without a path.
    pub address: String,
    /// PEM certificates to trust; the system's where there are none.
    pub ca: Option<String>,
    /// Vault namespace of every request, such as `team/prod`; the token's own where there is none.
    pub namespace: Option<String>,
    /// DNS name that the server's certificate has, where that is not the address's host.
    pub server_name: Option<String>,
    /// PEM certificate chain and private key to show to the server.
    pub identity: Option<Sensitive<String>>,
    /// `http(s)://host[:port]` of a proxy; without it none, whatever the environment says.
    pub proxy: Option<String>,
}

impl Connection {
    /// The address, checked.
    pub(super) fn url(&self) -> Result<Url, Error> {
        let wrong = |why| Error::Address {
            address: self.address.clone(),
            why,
        };
        let url = http_url(&self.address).ok_or_else(|| wrong("expected http(s)://host[:port]"))?;
        // vaultrs puts the API's version before any path, so a server below one can't be reached.
        if !is_bare(&url) {
            return Err(wrong("a path, a query and a user are not supported"));
        }
        Ok(url)
    }

    /// The URL that requests name: its host is what the certificate is checked for.
    pub(super) fn target(&self) -> Result<Url, Error> {
        let mut url = self.url()?;
        let Some(name) = self.renamed(&url) else {
            return Ok(url);
        };
        let wrong = |why| self.unusable("the TLS server name", why);
        if self.proxy.is_some() {
            return Err(wrong(
                "through a proxy the address's host is the name; leave one of the two out",
            ));
        }
        let set = url.set_host(Some(name));
        // An IP address would be connected to, and not looked up.
        if set.is_err() || url.domain().is_none() {
            return Err(wrong("expected a DNS name, such as vault.example"));
        }
        Ok(url)
    }

    /// The namespace as it stands in its header.
    pub(super) fn namespace(&self) -> Result<Option<String>, Error> {
        let Some(given) = self.namespace.as_deref() else {
            return Ok(None);
        };
        let name = given.trim_matches('/');
        if !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(self.unusable(
                "the namespace",
                "expected printable ASCII without spaces, such as team/prod",
            ));
        }
        Ok((!name.is_empty()).then(|| name.to_owned()))
    }

    /// The client of all requests; it is good for servers of another kind, too.
    pub fn http(&self) -> Result<reqwest::Client, Error> {
        const CA: &str = "the CA certificates";
        const IDENTITY: &str = "the client certificate";
        let wrong_ca = || self.unusable(CA, "expected PEM blocks 'BEGIN CERTIFICATE'");
        let client = self.builder(wrong_ca)?.build().map_err(|_| wrong_ca())?;
        let Some(identity) = &self.identity else {
            return Ok(client);
        };
        // The errors' own words are not repeated: they are of the key.
        let wrong = || {
            self.unusable(
                IDENTITY,
                "expected PEM blocks 'BEGIN CERTIFICATE' and the one 'BEGIN PRIVATE KEY' that belongs to the first of them",
            )
        };
        let identity = reqwest::Identity::from_pem(identity.expose().as_bytes()).map_err(|_| wrong())?;
        // Whether the two fit together is known when it is built; the rest was built already.
        let builder = self.builder(wrong_ca)?.identity(identity);
        builder.build().map_err(|_| wrong())
    }

    fn builder(&self, wrong_ca: impl Fn() -> Error) -> Result<reqwest::ClientBuilder, Error> {
        let url = self.url()?;
        let proxy = self.proxy()?;
        let mut builder = reqwest::ClientBuilder::new()
            .tls_backend_rustls()
            .timeout(DEADLINE)
            .connect_timeout(CONNECT_DEADLINE)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            // A redirect would carry the token to a host nobody named.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        let plain = url.scheme() == "http" && proxy.as_ref().is_none_or(|proxy| proxy.scheme() == "http");
        if let Some(pem) = &self.ca {
            builder = builder.tls_certs_only(certificates(pem).ok_or_else(wrong_ca)?);
        } else if plain {
            builder = builder.tls_certs_only(Vec::new());
        }
        if let Some(name) = self.renamed(&url) {
            builder = builder.dns_resolver(Arc::new(Renamed {
                name: name.to_owned(),
                host: host(&url),
            }));
        }
        if let Some(proxy) = proxy {
            let proxy = reqwest::Proxy::all(proxy).map_err(|_| self.wrong_proxy())?;
            builder = builder.proxy(proxy);
        }
        Ok(builder)
    }

    /// The server's name, where it is another than the address's host and matters.
    fn renamed(&self, url: &Url) -> Option<&str> {
        let name = self.server_name.as_deref()?;
        (url.scheme() == "https" && !name.eq_ignore_ascii_case(&host(url))).then_some(name)
    }

    fn proxy(&self) -> Result<Option<Url>, Error> {
        let Some(proxy) = &self.proxy else { return Ok(None) };
        let url = http_url(proxy).filter(is_bare);
        url.map(Some).ok_or_else(|| self.wrong_proxy())
    }

    /// It is not repeated: it may have a password in it.
    fn wrong_proxy(&self) -> Error {
        self.unusable(
            "the proxy",
            "expected http(s)://host[:port] without a user or a path",
        )
    }

    fn unusable(&self, what: &'static str, why: &'static str) -> Error {
        Error::Connection {
            address: self.address.clone(),
            what,
            why,
        }
    }
}

/// Whether a text is what a [`Connection`] can trust: PEM blocks of certificates. Those themselves are
/// not looked into.
pub fn holds_certificates(pem: &str) -> bool {
    certificates(pem).is_some()
}

fn certificates(pem: &str) -> Option<Vec<reqwest::Certificate>> {
    let found = reqwest::Certificate::from_pem_bundle(pem.as_bytes()).ok()?;
    (!found.is_empty()).then_some(found)
}

/// Looks up another host for one name.
struct Renamed {
    name: String,
    host: String,
}

impl Resolve for Renamed {
    fn resolve(&self, name: Name) -> Resolving {
        let host = if name.as_str().eq_ignore_ascii_case(&self.name) {
            self.host.clone()
        } else {
            name.as_str().to_owned()
        };
        Box::pin(async move {
            // The port is the URL's.
            let found = tokio::net::lookup_host((host, 0)).await?;
            let addresses: Addrs = Box::new(found.collect::<Vec<_>>().into_iter());
            Ok(addresses)
        })
    }
}

fn http_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
}

/// Whether there is nothing but scheme, host and port.
fn is_bare(url: &Url) -> bool {
    url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none()
}

/// The host as a resolver takes it: an IPv6 address without its brackets.
fn host(url: &Url) -> String {
    match url.host() {
        Some(url::Host::Ipv6(address)) => address.to_string(),
        Some(host) => host.to_string(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests;
