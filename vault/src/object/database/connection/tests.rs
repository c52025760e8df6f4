use super::*;
use crate::fake::{Answer, Fake};

/// What nobody may see.
const PASSWORD: &str = "pass/word +1;=";

struct Secret;

impl ValueStore for Secret {
    async fn secret_key(&self, _: &str, _: &str, _: &str) -> Result<Sensitive<String>, Error> {
        Ok(Sensitive::from(PASSWORD))
    }
}

fn connection(root: Root) -> DatabaseConnection {
    DatabaseConnection {
        mount: "database".into(),
        name: "keystead.c1.p.c.shop.orders".into(),
        server: DatabaseServer::PostgreSql {
            database: "orders".into(),
            prefix: "keystead.c1.p.d.".into(),
        },
        host: "db.example.com".into(),
        port: 5432,
        tls: Tls::Verified(Authority::File("/etc/ca.crt".into())),
        username: "root".into(),
        password: SecretKey {
            namespace: "shop".into(),
            name: "orders".into(),
            key: "password".into(),
        },
        rotate: true,
        root,
        allowed_roles: vec!["keystead.c1.p.d.shop.orders".into()],
    }
}

/// What Vault answers that has the connection as it should be, but for `change`.
fn there(change: Value) -> Answer {
    let mut details = connection(Root::Rotated).fields();
    let roles = details.remove("allowed_roles");
    let plugin = details.remove("plugin_name");
    details.extend(fields(change));
    Answer::ok(
        json!({"data": {"allowed_roles": roles, "plugin_name": plugin, "connection_details": details}}),
    )
}

fn missing() -> Answer {
    Answer::refused(404, "")
}

/// The requests of a pass, each with whether it carried the password.
async fn pass(
    root: Root,
    read: fn() -> Answer,
    write: fn(bool) -> Answer,
) -> (Result<Action, Error>, Vec<String>) {
    pass_of(&connection(root), read, write).await
}

async fn pass_of(
    wanted: &DatabaseConnection,
    read: impl Fn() -> Answer + Send + Sync + 'static,
    write: fn(bool) -> Answer,
) -> (Result<Action, Error>, Vec<String>) {
    let fake = Fake::start(move |asked| match asked.method.as_str() {
        "GET" => read(),
        _ => write(asked.body.get("password").is_some()),
    })
    .await;
    let result = wanted.reconcile(&fake.client(), &Secret).await;
    (result, fake.asked())
}

fn good(_: bool) -> Answer {
    Answer::ok(Value::Null)
}

fn refuses_the_given(given: bool) -> Answer {
    if given {
        Answer::refused(400, "error verifying connection: no such user")
    } else {
        good(false)
    }
}

const CONFIG: &str = "/v1/database/config/keystead.c1.p.c.shop.orders";
const ROTATE: &str = "POST /v1/database/rotate-root/keystead.c1.p.c.shop.orders";

#[tokio::test]
async fn the_password_is_sent_once_and_rotated_at_once() {
    let [read, write] = ["GET", "POST"].map(|method| format!("{method} {CONFIG}"));
    let (result, asked) = pass(Root::Given, missing, good).await;
    assert_eq!(result, Ok(Action::Create));
    assert_eq!(asked, [&read, &write, ROTATE]);
    // Killed before it could say so: it is rotated, and not sent again.
    let (result, asked) = pass(Root::Given, || there(json!({})), good).await;
    assert_eq!(
        (result, asked),
        (Ok(Action::Change), vec![read.clone(), ROTATE.into()])
    );
    let (result, asked) = pass(Root::Rotated, || there(json!({})), good).await;
    assert_eq!((result, asked), (Ok(Action::Unchanged), vec![read]));
}

#[tokio::test]
async fn drift_is_mended_without_the_password() {
    let fake = Fake::start(|asked| match asked.method.as_str() {
        "GET" => there(json!({"username": "other"})),
        _ => good(false),
    })
    .await;
    let result = connection(Root::Rotated).reconcile(&fake.client(), &Secret).await;
    assert_eq!(result, Ok(Action::Change));
    let body = fake.last().body;
    assert_eq!(body["verify_connection"], json!(true));
    assert!(body.get("password").is_none(), "{body}");
}

#[tokio::test]
async fn a_lost_password_is_told_and_the_old_one_not_tried() {
    let (result, asked) = pass(Root::Rotated, missing, good).await;
    assert!(matches!(result, Err(Error::RootLost { .. })), "{result:?}");
    assert_eq!(asked.len(), 1);
    let (result, asked) = pass(Root::Again, missing, good).await;
    assert_eq!((result, asked.len()), (Ok(Action::Create), 3));
}

#[tokio::test]
async fn a_password_that_is_asked_for_again_may_have_been_rotated_already() {
    let (result, asked) = pass(Root::Again, || there(json!({})), refuses_the_given).await;
    assert_eq!((result, asked.len()), (Ok(Action::Change), 4));
    let both = |_: bool| Answer::refused(400, "error verifying connection: no such user");
    let (result, _) = pass(Root::Again, || there(json!({})), both).await;
    assert!(result.unwrap_err().to_string().contains("no such user"));
}

#[tokio::test]
async fn a_wrong_password_that_nobody_rotates_is_refused() {
    let mut kept = connection(Root::Again);
    kept.rotate = false;
    let (result, asked) = pass_of(&kept, || there(json!({})), refuses_the_given).await;
    assert!(result.is_err(), "{asked:?}");
    assert_eq!(asked.len(), 2, "Vault's own is not asked for: {asked:?}");
}

#[tokio::test]
async fn what_vault_keeps_is_shown_to_no_other_server() {
    let changes: [fn(&mut DatabaseConnection); 2] = [
        |moved| moved.host = "evil.example.com".into(),
        |moved| moved.port = 1,
    ];
    for server in [connection(Root::Given).server, DatabaseServer::Redis] {
        for (change, root) in changes
            .into_iter()
            .flat_map(|change| [Root::Given, Root::Rotated, Root::Again].map(|root| (change, root)))
        {
            let mut moved = connection(root);
            moved.server = server.clone();
            let before = moved.fields();
            change(&mut moved);
            let read = move || Answer::ok(json!({"data": {"connection_details": before}}));
            let (result, asked) = pass_of(&moved, read, refuses_the_given).await;
            if root == Root::Again {
                // The given one was refused, and Vault's own is not tried.
                assert!(matches!(result, Err(Error::Refused { .. })), "{result:?}");
                assert_eq!(asked.len(), 2, "{asked:?}");
            } else {
                assert!(matches!(result, Err(Error::Moved { .. })), "{result:?}");
                assert_eq!(asked.len(), 1, "{asked:?}");
            }
        }
    }
    // With a password of its own it may go.
    let mut moved = connection(Root::Again);
    moved.host = "new.example.com".into();
    let (result, asked) = pass_of(&moved, || there(json!({})), good).await;
    assert_eq!((result, asked.len()), (Ok(Action::Change), 3));
}

#[tokio::test]
async fn what_a_server_repeats_of_a_password_is_not_said() {
    let tells = |_: bool| {
        Answer::refused(
            400,
            "error verifying connection: pass/word +1;=, pass%2Fword+%2B1%3B%3D, pass%2Fword%20+1%3B= or pass%2Fword%20+1;= is bad",
        )
    };
    let (result, _) = pass(Root::Given, missing, tells).await;
    let words = result.unwrap_err().to_string();
    assert!(
        words.contains(": [redacted], [redacted], [redacted] or [redacted] is bad"),
        "{words}"
    );
}
