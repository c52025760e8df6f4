//! The sidecar against a server on loopback that answers by script, some of it hostile. What a real
//! server does is the test bed's to show.

mod leases;
mod tokens;

use super::*;
use crate::config::Environment;
use crate::gate::Gate;
use crate::{Error as SidecarError, run};
use keystead_runtime::{crypto, shutdown};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use warp::Filter as _;
use warp::http::{Response, StatusCode};

/// Stands for every secret there is: the service account token, Vault's token, the values.
const MARK: &str = "hunter2";

type Script = BTreeMap<&'static str, (u16, String)>;

/// A server that answers each path by script (404 otherwise) and keeps the paths it was asked for.
async fn server(script: Script) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    let routes = warp::path::full().map(move |path: warp::path::FullPath| {
        seen.lock().unwrap().push(path.as_str().to_owned());
        let (code, body) = script
            .get(path.as_str())
            .cloned()
            .unwrap_or_else(|| (404, r#"{"errors":[]}"#.into()));
        let status = StatusCode::from_u16(code).unwrap();
        Response::builder().status(status).body(body).unwrap()
    });
    tokio::spawn(warp::serve(routes).incoming(listener).run());
    (port, asked)
}

fn environment(dir: &TempDir, port: u16) -> Environment {
    let config = json!({
        "version": 1,
        "vault": {
            "address": format!("http://127.0.0.1:{port}"), "authMount": "jwt", "role": "web", "kvMount": "kv",
            "pathPrefix": "keystead", "environment": "production",
            "scopes": [{"level": "Company", "id": "acme"}, {"level": "Global"}],
        },
        "secrets": [{"name": "crm", "from": {"service": "hubspot"}}],
        "files": [{"path": "crm.env", "format": "Dotenv", "secret": "crm"}],
        "env": [{"name": "CRM_KEY", "secret": "crm", "key": "api_key"}],
        "fileMode": 0o440,
        "refreshMillis": 1000,
    });
    let mut environment = Environment::read(|name| (name == names::CONFIG_ENV).then(|| config.to_string()));
    let dirs = &mut environment.dirs;
    for (name, place) in [
        ("files", &mut dirs.files),
        ("private", &mut dirs.private),
        ("token", &mut dirs.token),
    ] {
        *place = dir.path().join(name);
        fs::create_dir(&*place).unwrap();
    }
    fs::write(environment.dirs.token.join(names::TOKEN_FILE), MARK).unwrap();
    // Another test may have been first.
    let _ = crypto::install();
    environment
}

fn login() -> (u16, String) {
    let auth = json!({"client_token": MARK, "lease_duration": 60, "renewable": true});
    (200, json!({"auth": auth}).to_string())
}

fn values(pairs: &Value) -> (u16, String) {
    (
        200,
        json!({"data": {"data": pairs, "metadata": {"version": 1}}}).to_string(),
    )
}

const LOGIN: &str = "/v1/auth/jwt/login";
const ACME: &str = "/v1/kv/data/keystead/production/company/acme/hubspot";
const GLOBAL: &str = "/v1/kv/data/keystead/production/global/all/hubspot";
const REVOKE: &str = "/v1/auth/token/revoke-self";

#[tokio::test]
async fn values_arrive_and_the_token_is_revoked() {
    let (port, asked) = server(Script::from([
        (LOGIN, login()),
        (ACME, values(&json!({"api_key": "acme", "port": 5432}))),
        (
            GLOBAL,
            values(&json!({"api_key": "all", "base_url": "https://x"})),
        ),
        (REVOKE, (204, String::new())),
    ]))
    .await;
    let dir = tempfile::tempdir().unwrap();
    let environment = environment(&dir, port);
    let (trigger, shutdown) = shutdown::channel();
    let gate = Gate::new(&environment.dirs);
    let end = async {
        let opened = async {
            while !gate.is_open() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(10), opened).await.unwrap();
        let file = fs::read_to_string(environment.dirs.files.join("crm.env")).unwrap();
        assert_eq!(file, "API_KEY='acme'\nBASE_URL='https://x'\nPORT='5432'\n");
        let env = fs::read_to_string(environment.dirs.private.join("env")).unwrap();
        assert_eq!(env, "CRM_KEY='acme'\n");
        trigger.drain();
    };
    let (outcome, ()) = tokio::join!(run::run(&environment, &shutdown), end);
    outcome.unwrap();
    assert!(!gate.is_open());
    let asked = asked.lock().unwrap();
    assert_eq!(asked[0], LOGIN);
    assert_eq!(asked.iter().filter(|path| *path == LOGIN).count(), 1);
    assert_eq!(asked.last().unwrap(), REVOKE);
}

/// What a pass says against this script.
async fn error(script: Script) -> SidecarError {
    let (port, _) = server(script).await;
    let dir = tempfile::tempdir().unwrap();
    let environment = environment(&dir, port);
    let settings = environment.settings().unwrap();
    let mut server = Server::new(&settings, &environment.dirs).unwrap();
    let outcome = async {
        server.keep().await?;
        let secrets = server.read().await?;
        if let Some(refused) = secrets.values().find_map(|secret| secret.refused.clone()) {
            return Err(refused.into());
        }
        crate::render::render(&settings, &secrets)
    };
    outcome.await.unwrap_err()
}

#[tokio::test]
async fn no_answer_of_a_server_gets_into_an_error() {
    let errors = [
        error(Script::from([(LOGIN, (200, MARK.into()))])).await,
        error(Script::from([(
            LOGIN,
            (200, format!(r#"{{"auth":{{"client_token":["{MARK}"]}}}}"#)),
        )]))
        .await,
        error(Script::from([(
            LOGIN,
            (200, login().1.replace(MARK, &format!("{MARK}\\u0001"))),
        )]))
        .await,
        error(Script::from([(
            LOGIN,
            (403, json!({"errors": [], "jwt": MARK}).to_string()),
        )]))
        .await,
        error(Script::from([(LOGIN, (500, MARK.into()))])).await,
        error(Script::from([
            (LOGIN, login()),
            (ACME, (200, json!({"data": {"data": MARK}}).to_string())),
        ]))
        .await,
        error(Script::from([
            (LOGIN, login()),
            (ACME, (200, format!(r#"{{"data": {{"data": {{"{MARK}": "#))),
        ]))
        .await,
        error(Script::from([(LOGIN, login()), (ACME, (500, MARK.into()))])).await,
        error(Script::from([(LOGIN, login()), (ACME, (403, MARK.into()))])).await,
        error(Script::from([(LOGIN, login()), (ACME, (503, MARK.into()))])).await,
        error(Script::from([(LOGIN, login())])).await,
        error(Script::from([
            (LOGIN, login()),
            (ACME, values(&json!({"api_key": format!("{MARK}'")}))),
        ]))
        .await,
        error(Script::from([
            (LOGIN, login()),
            (ACME, values(&json!({"other": MARK}))),
        ]))
        .await,
    ];
    for error in &errors {
        assert!(
            !format!("{error} {error:?} {error:#?}").contains(MARK),
            "{error:?}"
        );
    }
    let said: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        said[3],
        "Vault refused the login: role web at auth/jwt: permission denied"
    );
    assert_eq!(
        said[8],
        "permission denied: GET kv/data/keystead/production/company/acme/hubspot"
    );
    assert_eq!(said[10], "no value for hubspot in company acme, global");
    assert_eq!(said[12], "no value for hubspot/api_key in company acme, global");
}
