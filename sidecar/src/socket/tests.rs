use super::*;
use crate::config::Settings;
use crate::metrics::Metrics;
use keystead_crds::scope::Level;
use keystead_crds::sidecar::SecretSource;
use keystead_runtime::shutdown;
use keystead_vault::resolve::{Origin, Resolved, ScopeName, Secret, Secrets};
use keystead_vault::{Error as VaultError, Request};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::os::unix::fs::FileTypeExt as _;
use std::path::PathBuf;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn settings() -> Settings {
    let config = json!({
        "version": 1,
        "vault": {
            "address": "http://127.0.0.1:1", "authMount": "jwt", "role": "r", "kvMount": "kv",
            "pathPrefix": "keystead", "environment": "production", "scopes": [{"level": "Global"}],
        },
        "secrets": [
            {"name": "crm", "from": {"service": "hubspot"}},
            {"name": "user", "from": {"path": "secret/data/team-a/app"}, "keys": ["user"]},
            {"name": "stripe", "from": {"service": "stripe"}},
        ],
        "fileMode": 0o440,
        "refreshMillis": 60_000,
    });
    Settings::new(serde_json::from_value(config).unwrap(), None).unwrap()
}

fn secrets() -> Secrets {
    let acme = || ScopeName {
        level: Level::Company,
        id: Some("acme".into()),
    };
    let keys = |pairs: &[(&str, &str)], origin: &Origin, version: Option<u64>| {
        let resolved = |value: &str| Resolved {
            value: value.into(),
            origin: origin.clone(),
            version,
            ends: version.map(|_| "2030-01-01T00:00:00Z".to_owned()),
        };
        let pairs = pairs.iter();
        pairs
            .map(|(key, value)| ((*key).to_owned(), resolved(value)))
            .collect::<BTreeMap<_, _>>()
    };
    let hubspot = Secret {
        keys: keys(
            &[("api_key", "it's \"k\"\n"), ("base/url", "https://x")],
            &Origin::Scope(acme()),
            Some(3),
        ),
        searched: vec![acme()],
        refused: None,
    };
    let app = Secret {
        keys: keys(&[("user", "u"), ("password", "hidden")], &Origin::Path, None),
        ..Secret::default()
    };
    let stripe = Secret {
        refused: Some(VaultError::Denied {
            request: Request {
                method: "GET",
                path: "kv/data/x".into(),
            },
        }),
        ..Secret::default()
    };
    Secrets::from([
        (SecretSource::Service("hubspot".into()), hubspot),
        (SecretSource::Path("secret/data/team-a/app".into()), app),
        (SecretSource::Service("stripe".into()), stripe),
    ])
}

struct Bed {
    dir: TempDir,
    answers: Answers,
    metrics: Metrics,
    _trigger: shutdown::Trigger,
}

fn bed() -> Bed {
    let metrics = Metrics::new().unwrap();
    let answers = Answers::new(&settings(), metrics.clone());
    let dir = tempfile::tempdir().unwrap();
    let (trigger, shutdown) = shutdown::channel();
    let (files, served) = (dir.path().to_owned(), answers.clone());
    tokio::spawn(async move { serve(&files, 0o440, served, shutdown).await });
    Bed {
        dir,
        answers,
        metrics,
        _trigger: trigger,
    }
}

impl Bed {
    fn path(&self) -> PathBuf {
        self.dir.path().join(NAME)
    }

    async fn connect(&self) -> UnixStream {
        loop {
            match UnixStream::connect(self.path()).await {
                Ok(stream) => return stream,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    }

    async fn ask(&self, request: &str) -> (u16, Value) {
        let mut stream = self.connect().await;
        let request = format!("{request} HTTP/1.1\r\nhost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("content-type: application/json"), "{head}");
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap())
    }
}

#[tokio::test]
async fn values_are_told_with_where_they_are_from() {
    let bed = bed();
    bed.answers.set(secrets());
    let expected = json!({
        "service": "hubspot", "key": "api_key", "value": "it's \"k\"\n",
        "scope": {"level": "Company", "id": "acme"}, "version": 3, "expiresAt": "2030-01-01T00:00:00Z",
    });
    assert_eq!(bed.ask("GET /v1/secrets/hubspot/api_key").await, (200, expected));
    let (status, found) = bed.ask("GET /v1/secrets/hubspot/base%2Furl").await;
    assert_eq!((status, &found["value"]), (200, &json!("https://x")));
    let expected = json!({"path": "secret/data/team-a/app", "key": "user", "value": "u"});
    assert_eq!(
        bed.ask("GET /v1/secrets/secret/data/team-a/app/user").await,
        (200, expected)
    );
    let page = prometheus::TextEncoder::new()
        .encode_to_string(&bed.metrics.registry.gather())
        .unwrap();
    assert!(page.contains("vault_secret_cache_hits_total 3"), "{page}");
}

#[tokio::test]
async fn the_list_has_what_is_shown_and_no_values() {
    let bed = bed();
    bed.answers.set(secrets());
    let scope = json!({"level": "Company", "id": "acme"});
    let ends = "2030-01-01T00:00:00Z";
    let expected = json!({"secrets": [
        {"service": "hubspot", "key": "api_key", "scope": scope, "version": 3, "expiresAt": ends},
        {"service": "hubspot", "key": "base/url", "scope": scope, "version": 3, "expiresAt": ends},
        {"path": "secret/data/team-a/app", "key": "user"},
    ]});
    assert_eq!(bed.ask("GET /v1/secrets").await, (200, expected));
}

#[tokio::test]
async fn what_is_not_told_is_named() {
    let bed = bed();
    assert_eq!(bed.ask("GET /v1/secrets/hubspot/api_key").await.0, 503);
    bed.answers.set(secrets());
    let cases = [
        (
            "GET /v1/secrets/hubspot/other",
            404,
            "NotFound",
            "no value for hubspot/other in company acme",
        ),
        (
            "GET /v1/secrets/github/token",
            404,
            "NotFound",
            "no SecretBinding shows this pod github/token",
        ),
        (
            "GET /v1/secrets/secret/data/team-a/app/password",
            404,
            "NotFound",
            "no SecretBinding shows this pod secret/data/team-a/app/password",
        ),
        (
            "GET /v1/secrets/stripe/key",
            403,
            "AccessDenied",
            "permission denied: GET kv/data/x",
        ),
        (
            "GET /",
            404,
            "NotFound",
            "here are /v1/secrets and /v1/secrets/SERVICE/KEY",
        ),
        (
            "GET /v1/secrets/hubspot",
            404,
            "NotFound",
            "here are /v1/secrets and /v1/secrets/SERVICE/KEY",
        ),
        (
            "POST /v1/secrets",
            405,
            "MethodNotAllowed",
            "only GET is answered here",
        ),
    ];
    for (request, status, error, message) in cases {
        let expected = json!({"error": error, "message": message});
        assert_eq!(bed.ask(request).await, (status, expected), "{request}");
    }
}

#[tokio::test]
async fn who_may_read_the_files_may_connect() {
    for (files, expected) in [(0o400, 0o600), (0o440, 0o660), (0o444, 0o666)] {
        let dir = tempfile::tempdir().unwrap();
        // What a killed predecessor left.
        drop(bind(dir.path(), 0o400).unwrap());
        fs::write(dir.path().join(".socket.next"), "").unwrap();
        let _listener = bind(dir.path(), files).unwrap();
        let metadata = fs::symlink_metadata(dir.path().join(NAME)).unwrap();
        assert!(metadata.file_type().is_socket());
        assert_eq!(metadata.permissions().mode() & 0o777, expected);
        UnixStream::connect(dir.path().join(NAME)).await.unwrap();
    }
}

#[tokio::test]
async fn silent_clients_are_given_up_and_others_served() {
    let bed = bed();
    bed.answers.set(secrets());
    let mut silent = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        let mut stream = bed.connect().await;
        stream.write_all(b"GET /v1/secrets HTTP/1.1\r\n").await.unwrap();
        silent.push(stream);
    }
    let answer = tokio::spawn(async move { bed.ask("GET /v1/secrets").await.0 });
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert!(!answer.is_finished(), "there is no bound");
    tokio::time::pause();
    assert_eq!(answer.await.unwrap(), 200);
}
