//! The secrets as they were read last, and how they are told.

use crate::config::Settings;
use crate::metrics::Metrics;
use bytes::Bytes;
use keystead_crds::sidecar::{ScopeConfig, SecretConfig, SecretSource};
use keystead_vault::Sensitive;
use keystead_vault::resolve::{Missing, Origin, Resolved, Secrets};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use warp::http::{Method, Response, StatusCode, header};

/// Below it are the secrets.
const ROOT: &str = "/v1/secrets";

/// What the application is told. Clones speak of the same secrets.
#[derive(Clone)]
pub(crate) struct Answers(Arc<Inner>);

struct Inner {
    /// Which keys the bindings show; none means all of them.
    shown: BTreeMap<SecretSource, Option<BTreeSet<String>>>,
    /// None before the first time.
    secrets: Mutex<Option<Secrets>>,
    metrics: Metrics,
}

/// A value, or that there is one.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    database_role: Option<&'a str>,
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    /// Which scope serves it; a path has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<ScopeConfig>,
    /// Of the values at that place, where they are versioned.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    /// When Vault will delete it, where it will.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<&'a str>,
}

#[derive(Serialize)]
struct List<'a> {
    secrets: Vec<Item<'a>>,
}

/// Why there is no value.
#[derive(Serialize)]
struct Problem {
    error: &'static str,
    message: String,
    #[serde(skip)]
    status: StatusCode,
}

impl Answers {
    /// Answers that say "not yet".
    pub(crate) fn new(settings: &Settings, metrics: Metrics) -> Self {
        let mut shown: BTreeMap<SecretSource, Option<BTreeSet<String>>> = BTreeMap::new();
        for SecretConfig { from, keys, .. } in settings.secrets.values() {
            let known = shown.entry(from.clone()).or_insert_with(|| Some(BTreeSet::new()));
            if keys.is_empty() {
                *known = None;
            } else if let Some(known) = known {
                known.extend(keys.iter().cloned());
            }
        }
        Self(Arc::new(Inner {
            shown,
            secrets: Mutex::default(),
            metrics,
        }))
    }

    /// Tells these from now on, as far as the bindings show them.
    pub(crate) fn set(&self, mut secrets: Secrets) {
        for (source, secret) in &mut secrets {
            secret.keys.retain(|key, _| self.shows(source, key));
        }
        *self.0.secrets.lock().unwrap_or_else(PoisonError::into_inner) = Some(secrets);
    }

    /// What Vault makes for the pod is asked for by its path, too.
    fn made(&self, asked: &SecretSource) -> Option<SecretSource> {
        let SecretSource::Path(asked) = asked else {
            return None;
        };
        let mut known = self.0.shown.keys();
        let found = known.find(|source| source.is_made() && source.path() == Some(asked));
        found.cloned()
    }

    /// As they are told now, these in the place of those before.
    pub(crate) fn with(&self, news: Secrets) -> Secrets {
        let told = self.0.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = told.clone().unwrap_or_default();
        all.extend(news);
        all
    }

    fn shows(&self, source: &SecretSource, key: &str) -> bool {
        match self.0.shown.get(source) {
            Some(Some(keys)) => keys.contains(key),
            Some(None) => true,
            None => false,
        }
    }

    /// The answer to a request.
    pub(super) fn to(&self, method: &Method, path: &str) -> Response<Bytes> {
        let secrets = self.0.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = match (&*secrets, path.strip_prefix(ROOT)) {
            _ if *method != Method::GET => Err(Problem {
                error: "MethodNotAllowed",
                message: "only GET is answered here".to_owned(),
                status: StatusCode::METHOD_NOT_ALLOWED,
            }),
            (_, None) => Err(elsewhere()),
            (None, Some(_)) => Err(Problem {
                error: "NotReady",
                message: "the secrets are not there yet: the log of container keystead says why".to_owned(),
                status: StatusCode::SERVICE_UNAVAILABLE,
            }),
            (Some(secrets), Some("" | "/")) => Ok(json(&list(secrets), 0)),
            (Some(secrets), Some(rest)) => self.one(secrets, rest),
        };
        let (status, body) = match answer {
            Ok(body) => (StatusCode::OK, body),
            Err(problem) => (problem.status, json(&problem, 0)),
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let kind = header::HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }

    fn one(&self, secrets: &Secrets, rest: &str) -> Result<Bytes, Problem> {
        let (source, key) = parse(rest).ok_or_else(elsewhere)?;
        let source = self.made(&source).unwrap_or(source);
        if !self.shows(&source, &key) {
            let name = source.name();
            return Err(not_found(format!("no SecretBinding shows this pod {name}/{key}")));
        }
        let secret = secrets.get(&source);
        if let Some(refused) = secret.and_then(|secret| secret.refused.as_ref()) {
            return Err(Problem {
                error: "AccessDenied",
                message: refused.to_string(),
                status: StatusCode::FORBIDDEN,
            });
        }
        let Some(found) = secret.and_then(|secret| secret.keys.get(&key)) else {
            let asked = SecretConfig {
                name: String::new(),
                from: source,
                keys: Vec::new(),
                optional: false,
                overlap_millis: None,
            };
            return Err(not_found(Missing::new(secrets, &asked, Some(&key)).to_string()));
        };
        self.0.metrics.hit();
        let value = found.value.expose();
        Ok(json(
            &Item {
                value: Some(value),
                ..item(&source, &key, found)
            },
            value.len(),
        ))
    }
}

/// A service, or a path, which has slashes, and then the key.
fn parse(rest: &str) -> Option<(SecretSource, String)> {
    let decode = |text: &str| percent_decode_str(text).decode_utf8().ok().map(String::from);
    let (source, key) = rest.strip_prefix('/')?.rsplit_once('/')?;
    let kind = if source.contains('/') {
        SecretSource::Path
    } else {
        SecretSource::Service
    };
    let source = kind(decode(source)?);
    Some((source, decode(key)?))
}

fn list(secrets: &Secrets) -> List<'_> {
    let items = secrets.iter().flat_map(|(source, secret)| {
        let keys = secret.keys.iter();
        keys.map(move |(key, found)| item(source, key, found))
    });
    List {
        secrets: items.collect(),
    }
}

/// All but the value.
fn item<'a>(source: &'a SecretSource, key: &'a str, found: &'a Resolved) -> Item<'a> {
    let (service, database_role) = match source {
        SecretSource::Service(service) => (Some(service.as_str()), None),
        SecretSource::Database(at) => (None, Some(at.role.as_str())),
        SecretSource::Path(_) | SecretSource::Made(_) => (None, None),
    };
    let scope = match &found.origin {
        Origin::Scope(scope) => Some(ScopeConfig {
            level: scope.level,
            id: scope.id.clone(),
        }),
        Origin::Path => None,
    };
    Item {
        service,
        path: source.path(),
        database_role,
        key,
        value: None,
        scope,
        version: found.version,
        expires_at: found.ends.as_deref(),
    }
}

fn elsewhere() -> Problem {
    not_found(format!("here are {ROOT} and {ROOT}/SERVICE/KEY"))
}

fn not_found(message: String) -> Problem {
    Problem {
        error: "NotFound",
        message,
        status: StatusCode::NOT_FOUND,
    }
}

/// As JSON, in a buffer that need not grow for a value of so many bytes: growing leaves copies behind.
fn json(answer: &impl Serialize, value: usize) -> Bytes {
    struct Body(Sensitive<Vec<u8>>);
    impl AsRef<[u8]> for Body {
        fn as_ref(&self) -> &[u8] {
            self.0.expose()
        }
    }
    let mut text = Vec::with_capacity(1024 + 2 * value);
    // Nothing in an answer can't be written as JSON.
    let _ = serde_json::to_writer(&mut text, answer);
    Bytes::from_owner(Body(Sensitive::new(text)))
}
