//! What becomes of tokens that are given up, against a server that numbers them.

use keystead_runtime::crypto;
use keystead_vault::session::Kept;
use keystead_vault::{Client, Connection, Login, Session};
use serde_json::json;
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::Instant;
use warp::Filter as _;
use warp::http::{Response, StatusCode};

/// Every request as `path token`, and how the server behaves.
#[derive(Default)]
struct State {
    asked: Vec<String>,
    logins: u32,
    /// What a login answers; 0 is a token.
    login_code: u16,
    renew_code: u16,
    revocation_hangs: bool,
}

impl State {
    fn answer(&mut self, path: &str, token: &str) -> (u16, String) {
        let path = path.trim_start_matches("/v1/auth/");
        self.asked.push(format!("{path} {token}").trim_end().to_owned());
        match path {
            "jwt/login" if self.login_code == 0 => {
                self.logins += 1;
                // Of no life, so that a renewal is always due.
                let token = format!("token-{}", self.logins);
                let auth = json!({"client_token": token, "lease_duration": 0, "renewable": true});
                (200, json!({"auth": auth}).to_string())
            }
            "jwt/login" => (self.login_code, r#"{"errors":[]}"#.into()),
            "token/renew-self" => (self.renew_code, r#"{"errors":[]}"#.into()),
            _ => (204, String::new()),
        }
    }
}

struct Bed {
    state: Arc<Mutex<State>>,
    session: Session,
    _dir: TempDir,
}

async fn bed() -> Bed {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let state = Arc::new(Mutex::new(State::default()));
    let served = Arc::clone(&state);
    let routes = warp::path::full()
        .and(warp::header::optional::<String>("x-vault-token"))
        .then(move |path: warp::path::FullPath, token: Option<String>| {
            let served = Arc::clone(&served);
            async move {
                let (path, token) = (path.as_str(), token.unwrap_or_default());
                let (code, body) = served.lock().unwrap().answer(path, &token);
                let hangs = served.lock().unwrap().revocation_hangs;
                if hangs && path.ends_with("revoke-self") {
                    std::future::pending::<()>().await;
                }
                let status = StatusCode::from_u16(code).unwrap();
                Response::builder().status(status).body(body).unwrap()
            }
        });
    tokio::spawn(warp::serve(routes).incoming(listener).run());
    // Another test may have been first.
    let _ = crypto::install();
    let dir = tempfile::tempdir().unwrap();
    let jwt_file = dir.path().join("jwt");
    fs::write(&jwt_file, "jwt").unwrap();
    let (mount, role) = ("jwt".to_owned(), "web".to_owned());
    let login = Login::Jwt {
        mount,
        role,
        jwt_file,
    };
    let client = Client::new(&Connection {
        address,
        ..Connection::default()
    })
    .unwrap();
    Bed {
        state,
        session: Session::new(client, login),
        _dir: dir,
    }
}

impl Bed {
    /// The requests since the last look.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
    }

    async fn logged_in() -> Self {
        let mut bed = bed().await;
        assert_eq!(bed.session.keep().await.unwrap(), Kept::LoggedIn);
        assert_eq!(bed.asked(), ["jwt/login"]);
        bed
    }
}

#[tokio::test]
async fn a_forgotten_token_is_revoked_after_the_next_login() {
    let mut bed = Bed::logged_in().await;
    bed.session.forget();
    assert_eq!(
        bed.asked(),
        [""; 0],
        "nothing is sent before there is a new token"
    );
    assert_eq!(bed.session.keep().await.unwrap(), Kept::LoggedIn);
    assert_eq!(bed.asked(), ["jwt/login token-1", "token/revoke-self token-1"]);
    bed.session.revoke().await.unwrap();
    assert_eq!(bed.asked(), ["token/revoke-self token-2"], "once is enough");
}

#[tokio::test]
async fn a_forgotten_token_without_a_successor_is_revoked_at_the_end() {
    let mut bed = Bed::logged_in().await;
    bed.session.forget();
    bed.set(|state| state.login_code = 403);
    bed.session.keep().await.unwrap_err();
    bed.asked();
    bed.session.revoke().await.unwrap();
    assert_eq!(bed.asked(), ["token/revoke-self token-1"]);
    bed.session.revoke().await.unwrap();
    assert_eq!(bed.asked(), [""; 0]);
    // And nothing of it is used any more.
    bed.session.client().read_optional::<()>("auth/x").await.unwrap();
    assert_eq!(bed.asked(), ["x"]);
}

#[tokio::test]
async fn a_token_that_is_not_renewed_is_replaced_and_revoked() {
    for code in [400, 403] {
        let mut bed = Bed::logged_in().await;
        bed.set(|state| state.renew_code = code);
        assert_eq!(bed.session.keep().await.unwrap(), Kept::LoggedIn, "{code}");
        let expected = [
            "token/renew-self token-1",
            "jwt/login token-1",
            "token/revoke-self token-1",
        ];
        assert_eq!(bed.asked(), expected, "{code}");
    }
}

#[tokio::test]
async fn a_token_stays_until_its_successor_is_there() {
    let mut bed = Bed::logged_in().await;
    bed.set(|state| (state.renew_code, state.login_code) = (400, 500));
    for _ in 0..2 {
        bed.session.keep().await.unwrap_err();
        assert_eq!(bed.asked(), ["token/renew-self token-1", "jwt/login token-1"]);
    }
    bed.session.revoke().await.unwrap();
    assert_eq!(bed.asked(), ["token/revoke-self token-1"]);
}

#[tokio::test]
async fn a_dead_token_is_not_renewed_again() {
    let mut bed = Bed::logged_in().await;
    bed.set(|state| (state.renew_code, state.login_code) = (403, 500));
    bed.session.keep().await.unwrap_err();
    bed.session.keep().await.unwrap_err();
    let expected = [
        "token/renew-self token-1",
        "jwt/login token-1",
        "jwt/login token-1",
    ];
    assert_eq!(bed.asked(), expected);
}

#[tokio::test]
async fn a_revocation_without_an_answer_does_not_hold_up_a_login() {
    let mut bed = Bed::logged_in().await;
    bed.session.forget();
    bed.set(|state| state.revocation_hangs = true);
    let begun = Instant::now();
    assert_eq!(bed.session.keep().await.unwrap(), Kept::LoggedIn);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(bed.asked(), ["jwt/login token-1", "token/revoke-self token-1"]);
}

#[tokio::test]
async fn a_pass_that_is_dropped_loses_no_token() {
    let mut bed = Bed::logged_in().await;
    bed.session.forget();
    bed.set(|state| state.revocation_hangs = true);
    tokio::time::timeout(Duration::from_millis(500), bed.session.keep())
        .await
        .unwrap_err();
    bed.asked();
    bed.set(|state| state.revocation_hangs = false);
    bed.session.revoke().await.unwrap();
    let mut asked = bed.asked();
    asked.sort();
    assert_eq!(asked, ["token/revoke-self token-1", "token/revoke-self token-2"]);
}
