//! Who talks to Vault: one connection pool, any path, a deadline on every call.
//!
//! Requests go through `vaultrs`; what it lacks (any path, leases, a CA from memory, an error that
//! holds no secret) is added here. API: <https://openbao.org/api-docs/>.
//!
//! Over 400 lines because it is one border: what goes out, what comes in, and what of a foreign
//! error is let through should be read together.

use crate::error::{Error, Request};
use crate::sensitive::Sensitive;
use arc_swap::ArcSwap;
use rustify::Endpoint;
use rustify::enums::{RequestMethod, RequestType, ResponseType};
use rustify::errors::ClientError as RestError;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use vaultrs::api::EndpointMiddleware;
use vaultrs::client::{Client as _, VaultClient, VaultClientSettings};
use zeroize::Zeroizing;

/// Longest time for a request, its connection included.
const DEADLINE: Duration = Duration::from_secs(10);
/// Longest time to connect.
const CONNECT_DEADLINE: Duration = Duration::from_secs(3);
/// Connections kept open between requests: more at once cost handshakes and bring nothing.
const IDLE_CONNECTIONS: usize = 4;
/// Longest text of Vault's own errors that we repeat.
const LONGEST_WORDS: usize = 512;

/// Where a server is and whom to trust.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Connection {
    /// `http(s)://host[:port]`, without a path.
    pub address: String,
    /// PEM certificates to trust; the system's where there are none.
    pub ca: Option<String>,
}

/// A client of one server. Cheap to clone; clones share connections and the token.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    address: url::Url,
    http: reqwest::Client,
    /// Swapped whole at each login, because its token can't be changed in place.
    vault: ArcSwap<VaultClient>,
}

/// The methods Vault's API knows.
#[derive(Clone, Copy, Debug)]
pub enum Method {
    /// Takes away.
    Delete,
    /// Reads.
    Get,
    /// Lists the names below a path.
    List,
    /// Writes.
    Post,
    /// Writes; some paths take only this.
    Put,
}

/// An answer of Vault.
#[derive(Debug)]
pub struct Answer<T> {
    /// What was asked for; left out where Vault has nothing to say.
    pub data: Option<T>,
    /// What a login or a renewal answers.
    pub auth: Option<Auth>,
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

impl Client {
    /// A client that has not logged in.
    pub fn new(connection: &Connection) -> Result<Self, Error> {
        let address = parse_address(&connection.address)?;
        let unusable = || Error::Certificates {
            address: connection.address.clone(),
        };
        let mut builder = reqwest::ClientBuilder::new()
            .tls_backend_rustls()
            .timeout(DEADLINE)
            .connect_timeout(CONNECT_DEADLINE)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            // A redirect would carry the token to a host nobody named.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        if let Some(pem) = &connection.ca {
            let certificates =
                reqwest::Certificate::from_pem_bundle(pem.as_bytes()).map_err(|_| unusable())?;
            if certificates.is_empty() {
                return Err(unusable());
            }
            builder = builder.tls_certs_only(certificates);
        } else if address.scheme() == "http" {
            builder = builder.tls_certs_only(Vec::new());
        }
        let http = builder.build().map_err(|_| unusable())?;
        let vault = ArcSwap::from_pointee(vault_client(&address, &http, ""));
        Ok(Self(Arc::new(Inner { address, http, vault })))
    }

    /// The server's address.
    pub fn address(&self) -> &str {
        self.0.address.as_str().trim_end_matches('/')
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
        self.0
            .vault
            .store(Arc::new(vault_client(&self.0.address, &self.0.http, token)));
        Ok(())
    }

    /// Uses no token from now on.
    pub fn clear_token(&self) {
        self.0
            .vault
            .store(Arc::new(vault_client(&self.0.address, &self.0.http, "")));
    }

    /// A client of the same server and connections with a token of its own.
    pub fn with_token(&self, token: &Sensitive<String>) -> Result<Self, Error> {
        let Inner { address, http, .. } = &*self.0;
        let vault = ArcSwap::from_pointee(vault_client(address, http, ""));
        let client = Self(Arc::new(Inner {
            address: address.clone(),
            http: http.clone(),
            vault,
        }));
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
        let request = Request {
            method: method.name(),
            path: path.to_owned(),
        };
        let endpoint = Logical {
            method,
            path: path.to_owned(),
            body: body
                .map(serde_json::to_vec)
                .transpose()
                .map_err(|_| Error::Answer {
                    request: request.clone(),
                    why: "the request can't be written as JSON".into(),
                })?,
        };
        let vault = self.0.vault.load_full();
        let result = endpoint.with_middleware(vault.middle()).exec(vault.http()).await;
        let bytes = match result {
            Ok(answer) => Zeroizing::new(answer.response.into_body()),
            Err(error) => return Err(self.convert(error, request)),
        };
        if bytes.is_empty() {
            return Ok(Answer {
                data: None,
                auth: None,
            });
        }
        let Raw { data, auth } = serde_json::from_slice(&bytes).map_err(|error| Error::Answer {
            request,
            // serde_json's own text may repeat a value; its place may not.
            why: format!(
                "not the expected JSON (line {}, column {})",
                error.line(),
                error.column()
            ),
        })?;
        Ok(Answer { data, auth })
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
        match self.call(Method::Get, path, None).await {
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

    /// Keeps code and Vault's own words of a foreign error, and nothing else of it.
    fn convert(&self, error: RestError, request: Request) -> Error {
        let RestError::ServerResponseError { code, content } = error else {
            return Error::Unreachable {
                address: self.address().into(),
                why: transport_words(&error),
            };
        };
        let why = content.as_deref().map(vault_words).unwrap_or_default();
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

impl Method {
    const fn name(self) -> &'static str {
        match self {
            Self::Delete => "DELETE",
            Self::Get => "GET",
            Self::List => "LIST",
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }
}

#[derive(Deserialize)]
struct Raw<T> {
    data: Option<T>,
    auth: Option<Auth>,
}

/// Any path below `/v1/`.
struct Logical {
    method: Method,
    path: String,
    body: Option<Vec<u8>>,
}

impl Endpoint for Logical {
    type Response = IgnoredAny;
    const REQUEST_BODY_TYPE: RequestType = RequestType::JSON;
    const RESPONSE_BODY_TYPE: ResponseType = ResponseType::JSON;

    fn path(&self) -> String {
        self.path.clone()
    }

    fn method(&self) -> RequestMethod {
        match self.method {
            Method::Delete => RequestMethod::DELETE,
            Method::Get => RequestMethod::GET,
            Method::List => RequestMethod::LIST,
            Method::Post => RequestMethod::POST,
            Method::Put => RequestMethod::PUT,
        }
    }

    fn body(&self) -> Result<Option<Vec<u8>>, RestError> {
        Ok(self.body.clone())
    }
}

fn parse_address(address: &str) -> Result<url::Url, Error> {
    let wrong = |why| Error::Address {
        address: address.to_owned(),
        why,
    };
    let url = url::Url::parse(address).map_err(|_| wrong("expected http(s)://host[:port]"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong("expected http(s)://host[:port]"));
    }
    // vaultrs puts the API's version before any path, so a server below one can't be reached.
    if url.path() != "/" || url.query().is_some() || !url.username().is_empty() {
        return Err(wrong("a path, a query and a user are not supported"));
    }
    Ok(url)
}

fn vault_client(address: &url::Url, http: &reqwest::Client, token: &str) -> VaultClient {
    // Every field is given: vaultrs would fill what is missing from VAULT_* variables.
    let settings = VaultClientSettings {
        address: address.clone(),
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
        namespace: None,
    };
    let http = rustify::clients::reqwest::Client::new(address.as_str(), http.clone());
    VaultClient {
        http,
        middle,
        settings,
    }
}

/// The `errors` of a body, joined and cut; the body itself may hold anything.
fn vault_words(body: &str) -> String {
    #[derive(Deserialize)]
    struct Errors {
        errors: Vec<String>,
    }
    let Ok(Errors { errors }) = serde_json::from_str(body) else {
        return String::new();
    };
    let mut words = errors.join("; ").split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((cut, _)) = words.char_indices().nth(LONGEST_WORDS) {
        words.truncate(cut);
    }
    words
}

/// The innermost cause of a transport error, which says what happened ("connection refused").
fn transport_words(error: &RestError) -> String {
    let (RestError::RequestError { source, .. } | RestError::ResponseError { source }) = error else {
        return "the request could not be made".into();
    };
    match source.downcast_ref::<reqwest::Error>() {
        Some(error) if error.is_timeout() => "no answer in time".into(),
        Some(error) => {
            let mut cause: &dyn std::error::Error = error;
            while let Some(next) = cause.source() {
                cause = next;
            }
            cause.to_string()
        }
        None => "the connection broke".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_scheme_host_and_port() {
        for good in [
            "https://vault.vault.svc:8200",
            "http://127.0.0.1:8200",
            "https://[::1]:8200/",
        ] {
            assert!(parse_address(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "vault:8200",
            "ftp://vault",
            "https://vault/prefix",
            "https://me@vault",
            "https://vault?x=1",
        ] {
            assert!(matches!(parse_address(bad), Err(Error::Address { .. })), "{bad}");
        }
    }

    #[test]
    fn only_vaults_own_words_are_repeated() {
        assert_eq!(vault_words(r#"{"errors":["a\n\tb","c"]}"#), "a b; c");
        assert_eq!(vault_words(r#"{"data":{"password":"hunter2"}}"#), "");
        assert_eq!(
            vault_words(&format!(r#"{{"errors":["{}"]}}"#, "é".repeat(600)))
                .chars()
                .count(),
            LONGEST_WORDS
        );
    }
}
