//! Who talks to Vault: one connection pool, any path, a deadline on every call.
//!
//! Requests go through `vaultrs`; what it lacks (any path, leases, a CA from memory, an error that
//! holds no secret) is added here. API: <https://openbao.org/api-docs/>.

mod connection;
mod request;
mod words;

pub use connection::{Connection, holds_certificates};
pub use request::Method;

use crate::error::{Error, Request};
use crate::lease::Lease;
use crate::sensitive::Sensitive;
use arc_swap::ArcSwap;
use connection::DEADLINE;
use request::Logical;
use rustify::Endpoint;
use rustify::errors::ClientError as RestError;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use vaultrs::api::EndpointMiddleware;
use vaultrs::client::{Client as _, VaultClient, VaultClientSettings};
use zeroize::Zeroizing;

/// Asks for an answer in every state of the server, and not for an error.
const ANY_STATE: &str = "standbyok=true&perfstandbyok=true&sealedcode=200&uninitcode=200&drsecondarycode=200";

/// A client of one server. Cheap to clone; clones share connections and the token.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    server: Server,
    /// Swapped whole at each login, because its token can't be changed in place.
    vault: ArcSwap<VaultClient>,
    /// What is known of the server's engines by mount, so that it is asked for once.
    counting: Mutex<BTreeSet<String>>,
}

/// Everything but the token.
#[derive(Clone)]
struct Server {
    /// As given.
    address: String,
    target: url::Url,
    http: reqwest::Client,
    namespace: Option<String>,
}

/// An answer of Vault.
#[derive(Debug)]
pub struct Answer<T> {
    /// What was asked for; left out where Vault has nothing to say.
    pub data: Option<T>,
    /// What a login or a renewal answers.
    pub auth: Option<Auth>,
    /// By which Vault keeps alive what it made for this answer; none where it made nothing.
    pub lease: Option<Lease>,
}

/// The part of an answer that speaks of a token.
#[derive(Debug, Deserialize)]
pub struct Auth {
    /// The token.
    pub client_token: Sensitive<String>,
    /// Its life from now on, in seconds.
    pub lease_duration: u64,
    /// Whether it can be renewed at all.
    pub renewable: bool,
}

/// How a server is.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
pub struct Health {
    /// Its version.
    #[serde(default)]
    pub version: String,
    /// Whether it was ever initialized.
    pub initialized: bool,
    /// Whether it can't read its own storage yet.
    pub sealed: bool,
    /// Whether another server of its cluster is the active one.
    #[serde(default)]
    pub standby: bool,
    /// What tells its storage from every other; none while it is sealed.
    #[serde(default)]
    pub cluster_id: Option<String>,
}

impl Client {
    /// A client that has not logged in.
    pub fn new(connection: &Connection) -> Result<Self, Error> {
        let server = Server {
            address: connection.url()?.as_str().trim_end_matches('/').to_owned(),
            target: connection.target()?,
            namespace: connection.namespace()?,
            http: connection.http()?,
        };
        Ok(Self::logged_out(server))
    }

    fn logged_out(server: Server) -> Self {
        let vault = ArcSwap::from_pointee(server.client("", server.namespace.clone()));
        Self(Arc::new(Inner {
            server,
            vault,
            counting: Mutex::default(),
        }))
    }

    /// The server's address.
    pub fn address(&self) -> &str {
        &self.0.server.address
    }

    /// Uses this token from now on; a token with control characters is refused (it can't be a header).
    pub fn set_token(&self, token: &Sensitive<String>) -> Result<(), Error> {
        let token = token.expose().trim();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let request = Request {
                method: "use",
                path: "token".into(),
            };
            return Err(Error::Answer {
                request,
                why: "a token of other than printable characters".into(),
            });
        }
        self.store(token);
        Ok(())
    }

    /// Uses no token from now on.
    pub fn clear_token(&self) {
        self.store("");
    }

    fn store(&self, token: &str) {
        let Inner { server, vault, .. } = &*self.0;
        vault.store(Arc::new(server.client(token, server.namespace.clone())));
    }

    /// A client of the same server and connections with a token of its own.
    pub fn with_token(&self, token: &Sensitive<String>) -> Result<Self, Error> {
        let client = Self::logged_out(self.0.server.clone());
        client.set_token(token)?;
        Ok(client)
    }

    /// One request whose answer's `data` is a `T`.
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer<T>, Error> {
        self.ask(Logical::new(method, path, body)?).await
    }

    async fn ask<T: DeserializeOwned>(&self, asked: Logical) -> Result<Answer<T>, Error> {
        let vault = self.0.vault.load_full();
        let (bytes, request) = self.send(&vault, asked).await?;
        if bytes.is_empty() {
            return Ok(Answer {
                data: None,
                auth: None,
                lease: None,
            });
        }
        let raw: Raw<T> = parse(&bytes, request)?;
        let lease = raw.lease_id.filter(|id| !id.is_empty()).map(|id| Lease {
            id,
            life: Duration::from_secs(raw.lease_duration),
            renewable: raw.renewable,
        });
        let Raw { data, auth, .. } = raw;
        Ok(Answer { data, auth, lease })
    }

    /// How the server is; needs no token.
    pub async fn health(&self) -> Result<Health, Error> {
        // Only the root namespace answers it.
        let vault = self.0.server.client("", None);
        let mut asked = Logical::new(Method::Get, "sys/health", None)?;
        asked.query = Some(ANY_STATE.to_owned());
        let (bytes, request) = self.send(&vault, asked).await?;
        parse(&bytes, request)
    }

    async fn send(
        &self,
        vault: &VaultClient,
        asked: Logical,
    ) -> Result<(Zeroizing<Vec<u8>>, Request), Error> {
        let request = asked.request();
        match asked.with_middleware(vault.middle()).exec(vault.http()).await {
            Ok(answer) => Ok((Zeroizing::new(answer.response.into_body()), request)),
            Err(error) => Err(self.convert(error, request)),
        }
    }

    /// A request whose answer must have data.
    pub async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let answer = self.call(Method::Get, path, None).await?;
        let request = || Request {
            method: "GET",
            path: path.to_owned(),
        };
        answer.data.ok_or_else(|| Error::Answer {
            request: request(),
            why: "no data".into(),
        })
    }

    /// Reads what may not be there.
    pub async fn read_optional<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Error> {
        self.look(Logical::new(Method::Get, path, None)?).await
    }

    /// Reads a version of what a KV engine keeps, which may not be there any more.
    pub(crate) async fn read_version<T: DeserializeOwned>(
        &self,
        path: &str,
        version: u64,
    ) -> Result<Option<T>, Error> {
        let mut asked = Logical::new(Method::Get, path, None)?;
        // In the path it would be a part of a name.
        asked.query = Some(format!("version={version}"));
        self.look(asked).await
    }

    async fn look<T: DeserializeOwned>(&self, asked: Logical) -> Result<Option<T>, Error> {
        match self.ask(asked).await {
            Ok(answer) => Ok(answer.data),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes, and does not care for the answer's data.
    pub async fn write(&self, path: &str, body: &Value) -> Result<(), Error> {
        self.call::<IgnoredAny>(Method::Post, path, Some(body))
            .await
            .map(|_| ())
    }

    /// The names below a path; none where the path does not exist.
    pub async fn list(&self, path: &str) -> Result<Vec<String>, Error> {
        #[derive(Deserialize)]
        struct Keys {
            keys: Vec<String>,
        }
        match self.call::<Keys>(Method::List, path, None).await {
            Ok(answer) => Ok(answer.data.map(|data| data.keys).unwrap_or_default()),
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Takes away what is at the path; nothing there is fine.
    pub async fn delete(&self, path: &str) -> Result<(), Error> {
        match self.call::<IgnoredAny>(Method::Delete, path, None).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The KV engines that are known to have check-and-set for metadata.
    pub(crate) fn counting(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.counting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps code and Vault's own words of a foreign error, and nothing else of it.
    fn convert(&self, error: RestError, request: Request) -> Error {
        let RestError::ServerResponseError { code, content } = error else {
            return Error::Unreachable {
                address: self.address().into(),
                why: words::of_transport(&error),
            };
        };
        let why = content.as_deref().map(words::of_vault).unwrap_or_default();
        match code {
            // Without words nothing is there; with words there is no such engine.
            404 if why.is_empty() => Error::NotFound { request },
            403 => Error::Denied { request },
            503 if why.contains("sealed") => Error::Sealed {
                address: self.address().into(),
            },
            502..=504 => Error::Unreachable {
                address: self.address().into(),
                why: format!("{code} {why}"),
            },
            _ => Error::Refused { request, code, why },
        }
    }
}

#[derive(Deserialize)]
struct Raw<T> {
    data: Option<T>,
    auth: Option<Auth>,
    lease_id: Option<String>,
    #[serde(default)]
    lease_duration: u64,
    #[serde(default)]
    renewable: bool,
}

impl Server {
    fn client(&self, token: &str, namespace: Option<String>) -> VaultClient {
        // Every field is given: vaultrs would fill what is missing from VAULT_* variables.
        let settings = VaultClientSettings {
            address: self.target.clone(),
            ca_certs: Vec::new(),
            identity: None,
            timeout: Some(DEADLINE),
            token: String::new(),
            verify: true,
            version: 1,
            wrapping: false,
            namespace: None,
            proxy: None,
        };
        let middle = EndpointMiddleware {
            token: token.to_owned(),
            version: "v1".into(),
            wrap: None,
            namespace,
        };
        let http = rustify::clients::reqwest::Client::new(self.target.as_str(), self.http.clone());
        VaultClient {
            http,
            middle,
            settings,
        }
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8], request: Request) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|error| Error::Answer {
        request,
        // serde_json's own text may repeat a value; its place may not.
        why: format!(
            "not the expected JSON (line {}, column {})",
            error.line(),
            error.column()
        ),
    })
}

#[cfg(test)]
mod tests;
