//! Credentials at a server that makes a user for each who asks, and keeps a list of those that live.

use super::*;
use std::sync::PoisonError;
use tokio::net::TcpListener;
use warp::filters::path::FullPath;

/// What lives there.
#[derive(Default)]
struct World {
    users: BTreeMap<String, &'static str>,
    made: usize,
    logins: usize,
    /// What the next requests for a user are answered instead.
    troubles: Vec<u16>,
    /// What the next renewals are answered instead.
    renewals: Vec<u16>,
    /// Of a static user.
    password: String,
    /// The sidecar's state, and whether it said at each request for a user that one is asked for.
    state: std::path::PathBuf,
    asking: Vec<bool>,
}

/// The names of tokens, in their order.
const TOKENS: [&str; 4] = ["s.first", "s.second", "s.third", "s.fourth"];

type Shared = Arc<Mutex<World>>;

fn lock(world: &Shared) -> std::sync::MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_asking(state: &std::path::Path) -> bool {
    fs::read_to_string(state).unwrap().contains("\"asking\":true")
}

fn answer(world: &Shared, path: &str, token: &str) -> (u16, Value) {
    let mut world = lock(world);
    let known = TOKENS.into_iter().find(|known| *known == token);
    match path.trim_start_matches("/v1/") {
        "auth/jwt/login" => {
            let token = TOKENS[world.logins];
            world.logins += 1;
            (
                200,
                json!({"auth": {"client_token": token, "lease_duration": 60, "renewable": true}}),
            )
        }
        "auth/token/renew-self" => (
            200,
            json!({"auth": {"client_token": token, "lease_duration": 60, "renewable": true}}),
        ),
        "auth/token/revoke-self" => {
            world.users.retain(|_, made_by| *made_by != token);
            (204, json!({}))
        }
        "database/static-creds/fixed" => {
            let data = json!({
                "username": "fixed", "password": world.password, "ttl": 3600, "last_vault_rotation": "2026-01-01T00:00:00Z",
            });
            (200, json!({ "data": data }))
        }
        "database/creds/users" => {
            let says = is_asking(&world.state);
            world.asking.push(says);
            let trouble = world.troubles.pop();
            if trouble.is_none_or(|code| code == 504) {
                // What is not heard was made all the same.
                world.made += 1;
                let id = format!("database/creds/users/{}", world.made);
                world.users.insert(id, known.unwrap_or_default());
            }
            let id = format!("database/creds/users/{}", world.made);
            match trouble {
                Some(code) => (code, json!({"errors": ["trouble"]})),
                None => (
                    200,
                    json!({
                        "lease_id": id, "lease_duration": 60, "renewable": true,
                        "data": {"username": format!("u{}", world.made), "password": MARK},
                    }),
                ),
            }
        }
        other => {
            let (renews, revokes) = (
                other.strip_prefix("sys/leases/renew/"),
                other.strip_prefix("sys/leases/revoke/"),
            );
            let Some(id) = renews.or(revokes) else {
                return (404, json!({"errors": []}));
            };
            if let Some(code) = world.renewals.pop().filter(|_| renews.is_some()) {
                return (code, json!({"errors": ["not now"]}));
            }
            if !world.users.contains_key(id) {
                return (400, json!({"errors": ["invalid lease"]}));
            }
            if revokes.is_some() {
                world.users.remove(id);
            }
            (
                200,
                json!({"lease_id": id, "lease_duration": 60, "renewable": true}),
            )
        }
    }
}

struct Bed {
    dir: TempDir,
    port: u16,
    world: Shared,
}

impl Bed {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let world = Shared::default();
        let seen = Arc::clone(&world);
        let token = warp::header::optional::<String>("x-vault-token");
        let routes = warp::path::full()
            .and(token)
            .map(move |path: FullPath, token: Option<String>| {
                let (code, body) = answer(&seen, path.as_str(), token.as_deref().unwrap_or_default());
                let status = StatusCode::from_u16(code).unwrap();
                Response::builder().status(status).body(body.to_string()).unwrap()
            });
        tokio::spawn(warp::serve(routes).incoming(listener).run());
        let dir = tempfile::tempdir().unwrap();
        environment(&dir, port);
        lock(&world).state = dir.path().join("private/session");
        Self { dir, port, world }
    }

    /// A sidecar's session; each time as after a restart.
    fn server(&self) -> Server {
        self.server_of("database/creds/users")
    }

    fn server_of(&self, path: &str) -> Server {
        let config = json!({
            "version": 1,
            "vault": {
                "address": format!("http://127.0.0.1:{}", self.port), "authMount": "jwt", "role": "web",
                "kvMount": "kv", "pathPrefix": "keystead", "environment": "production",
                "scopes": [{"level": "Global"}],
            },
            "secrets": [{"name": "db", "overlapMillis": 0, "from": {"database": {
                "role": "users", "path": path, "scheme": "postgresql", "host": "db", "port": 5432,
            }}}],
            "fileMode": 0o440,
            "refreshMillis": 1000,
        });
        let mut environment =
            Environment::read(|name| (name == names::CONFIG_ENV).then(|| config.to_string()));
        for (name, place) in [
            ("private", &mut environment.dirs.private),
            ("token", &mut environment.dirs.token),
        ] {
            *place = self.dir.path().join(name);
        }
        Server::new(&environment.settings().unwrap(), &environment.dirs).unwrap()
    }

    fn users(&self) -> usize {
        lock(&self.world).users.len()
    }
}

/// What a start does; answers the user.
async fn start(server: &mut Server) -> Result<String, SidecarError> {
    server.keep().await?;
    server.tend().await;
    let secrets = server.read().await?;
    server.written();
    Ok(user(&secrets))
}

fn user(secrets: &Secrets) -> String {
    let keys = &secrets.values().next().unwrap().keys;
    keys["username"].value.expose().clone()
}

#[tokio::test]
async fn a_restart_takes_up_where_its_predecessor_was() {
    let bed = Bed::new().await;
    assert_eq!(start(&mut bed.server()).await.unwrap(), "u1");
    for _ in 0..20 {
        // As after `kill -9`: nothing was tidied up.
        assert_eq!(start(&mut bed.server()).await.unwrap(), "u1");
    }
    let world = lock(&bed.world);
    assert_eq!((world.users.len(), world.logins), (1, 1));
    assert_eq!(
        world.asking,
        [true],
        "had it died there, its successor would have known"
    );
    assert!(!is_asking(&world.state));
}

#[tokio::test]
async fn one_that_went_while_nobody_looked_is_replaced_before_the_application_has_it() {
    let bed = Bed::new().await;
    assert_eq!(start(&mut bed.server()).await.unwrap(), "u1");
    lock(&bed.world).users.clear();
    assert_eq!(start(&mut bed.server()).await.unwrap(), "u2");
    assert_eq!(bed.users(), 1);
}

#[tokio::test]
async fn a_user_that_was_made_unheard_ends_with_its_token() {
    let bed = Bed::new().await;
    lock(&bed.world).troubles.push(504);
    let mut server = bed.server();
    start(&mut server).await.unwrap_err();
    assert_eq!(bed.users(), 1, "it was made");
    assert_eq!(start(&mut server).await.unwrap(), "u2");
    assert_eq!(bed.users(), 2);
    // The token is due to be replaced, and with it the user.
    assert!(server.due() <= Instant::now());
    server.keep().await.unwrap();
    let news = server.tend().await.news.unwrap();
    assert_eq!(user(&news), "u3");
    assert_eq!(bed.users(), 3, "the application has the old one");
    server.written();
    server.tend().await;
    assert_eq!(
        lock(&bed.world).users.keys().collect::<Vec<_>>(),
        ["database/creds/users/3"]
    );
}

#[tokio::test]
async fn so_does_one_that_was_asked_for_by_a_process_that_died() {
    let bed = Bed::new().await;
    let mut server = bed.server();
    assert_eq!(start(&mut server).await.unwrap(), "u1");
    // It dies between the request and its answer.
    server.asking = true;
    server.save().unwrap();
    lock(&bed.world).users.insert("unknown".to_owned(), "s.first");
    let mut server = bed.server();
    assert_eq!(start(&mut server).await.unwrap(), "u2");
    assert_eq!(
        bed.users(),
        3,
        "the application has the old one until the new one is there"
    );
    server.tend().await;
    assert_eq!(
        lock(&bed.world).users.keys().collect::<Vec<_>>(),
        ["database/creds/users/2"]
    );
}

#[tokio::test]
async fn a_revoked_lease_is_noticed_and_an_outage_is_no_reason_to_ask_anew() {
    let bed = Bed::new().await;
    let mut server = bed.server();
    assert_eq!(start(&mut server).await.unwrap(), "u1");
    let source = server.sources[0].secret.clone();
    let due = |server: &mut Server| {
        let found = server.held.credentials.get_mut(&source).unwrap();
        if let held::Hold::Lease { renew, .. } = &mut found.hold {
            *renew = Instant::now();
        }
    };
    due(&mut server);
    let tended = server.tend().await;
    assert!(tended.news.is_none() && tended.trouble.is_none());
    // That it can't be told now is no reason to ask for another.
    for code in [500, 429] {
        lock(&bed.world).renewals.push(code);
        due(&mut server);
        let tended = server.tend().await;
        assert!(tended.news.is_none() && tended.trouble.is_some(), "{code}");
        server
            .held
            .renewed(&source, Duration::from_mins(1), Instant::now());
    }
    lock(&bed.world).users.clear();
    due(&mut server);
    let tended = server.tend().await;
    assert_eq!(user(&tended.news.unwrap()), "u2");
    assert!(tended.trouble.is_none());
    assert_eq!(bed.users(), 1);
}

#[tokio::test]
async fn what_can_not_be_replaced_stays_and_is_tried_again() {
    let bed = Bed::new().await;
    let mut server = bed.server();
    assert_eq!(start(&mut server).await.unwrap(), "u1");
    server.held.outlive_token();
    lock(&bed.world).troubles.push(500);
    let tended = server.tend().await;
    assert!(tended.news.is_none());
    let text = tended.trouble.unwrap().to_string();
    assert!(
        text.starts_with("Vault answered 500 to GET database/creds/users"),
        "{text}"
    );
    let secrets = server.read().await.unwrap();
    assert_eq!(user(&secrets), "u1", "a refresh leaves it alone");
    assert!(server.tend_due().unwrap() > Instant::now());
    lock(&bed.world).troubles.push(403);
    server.held.outlive_token();
    server.held.renewed(
        &server.sources[0].secret.clone(),
        Duration::from_mins(1),
        Instant::now(),
    );
    let tended = server.tend().await;
    assert!(matches!(
        tended.trouble,
        Some(SidecarError::Vault(keystead_vault::Error::Denied { .. }))
    ));
    server.keep().await.unwrap();
    assert_eq!(bed.users(), 1, "a refusal ends nothing");
    assert_eq!(user(&server.read().await.unwrap()), "u2", "access came back");
    server.written();
    server.tend().await;
    assert_eq!(bed.users(), 1, "the first has ended");
}

#[tokio::test]
async fn nothing_is_left_at_the_end() {
    let bed = Bed::new().await;
    let mut server = bed.server();
    start(&mut server).await.unwrap();
    let state = bed.dir.path().join("private/session");
    assert!(state.exists());
    server.revoke().await.unwrap();
    assert_eq!(bed.users(), 0);
    assert!(!state.exists());
}

#[tokio::test]
async fn a_static_password_is_read_at_each_refresh() {
    let bed = Bed::new().await;
    lock(&bed.world).password = "first".to_owned();
    let mut server = bed.server_of("database/static-creds/fixed");
    start(&mut server).await.unwrap();
    // Somebody rotates it by hand, an hour before its time.
    lock(&bed.world).password = "second".to_owned();
    assert!(server.tend_due().unwrap() > Instant::now() + Duration::from_mins(50));
    let secrets = server.read().await.unwrap();
    let keys = &secrets.values().next().unwrap().keys;
    assert_eq!(keys["password"].value.expose(), "second");
    assert_eq!(keys["url"].value.expose(), "postgresql://fixed:second@db:5432");
}
