use super::*;
use crate::engine;
use crate::fake::{Answer, Fake};
use crate::object::{ClosedConnection, Object};
use crate::sensitive::Sensitive;

struct Nothing;

impl crate::object::ValueStore for Nothing {
    async fn secret_key(&self, _: &str, _: &str, _: &str) -> Result<Sensitive<String>, Error> {
        Err(Error::Value("none is needed".into()))
    }
}

fn role(kind: RoleKind) -> DatabaseRole {
    DatabaseRole {
        mount: "database".into(),
        name: "keystead.c1.p.d.shop.orders".into(),
        connection: "keystead.c1.p.c.shop.orders".into(),
        kind,
    }
}

fn dynamic() -> DatabaseRole {
    role(RoleKind::Dynamic {
        creation: vec!["CREATE ROLE".into()],
        revocation: Vec::new(),
        default_ttl: Duration::from_hours(1),
        max_ttl: Duration::from_hours(24),
    })
}

fn fixed() -> DatabaseRole {
    role(RoleKind::Static {
        username: "legacy".into(),
        rotation_period: Duration::from_hours(24),
    })
}

/// What is planned where Vault answers `found`.
async fn planned(object: &Object, found: Option<Value>) -> Planned {
    let fake = Fake::start(move |_| match &found {
        Some(found) => Answer::ok(json!({ "data": found })),
        None => Answer::refused(404, ""),
    })
    .await;
    engine::plan(&fake.client(), &Nothing, object).await.unwrap()
}

#[tokio::test]
async fn a_role_is_planned_by_what_differs() {
    for (role, field, other) in [
        (dynamic(), "creation_statements", json!(["DROP DATABASE"])),
        (dynamic(), "max_ttl", json!(1)),
        (fixed(), "rotation_period", json!(5)),
        (fixed(), "username", json!("root")),
    ] {
        let mut found = role.fields();
        // Vault answers more than we set.
        found.insert("credential_type".into(), json!("password"));
        let there = Value::Object(found.clone());
        let object = Object::DatabaseRole(role);
        assert_eq!(planned(&object, Some(there)).await, Planned::default());
        found.insert(field.into(), other);
        let changed = planned(&object, Some(Value::Object(found))).await;
        let line = format!("{field} is changed");
        assert_eq!(changed, Planned::new(Action::Change, vec![line]));
        assert_eq!(planned(&object, None).await.action, Action::Create);
    }
}

#[tokio::test]
async fn a_connection_is_closed_once_and_none_is_made_for_it() {
    let closed = Object::ClosedConnection(ClosedConnection {
        mount: "database".into(),
        name: "keystead.c1.p.c.shop.orders".into(),
    });
    let open = planned(&closed, Some(json!({"allowed_roles": ["a"]}))).await;
    assert_eq!(open.action, Action::Change);
    for there in [None, Some(json!({"allowed_roles": []})), Some(json!({}))] {
        assert_eq!(planned(&closed, there).await, Planned::default());
    }
    let fake = Fake::start(|asked| match asked.method.as_str() {
        "GET" => Answer::ok(json!({"data": {"allowed_roles": ["a"]}})),
        _ => Answer::ok(Value::Null),
    })
    .await;
    engine::apply(&fake.client(), &Nothing, &closed).await.unwrap();
    let body = fake.last().body;
    assert_eq!(body, json!({"allowed_roles": [], "verify_connection": false}));
}

#[tokio::test]
async fn the_users_of_a_role_go_first_or_stay() {
    let path = "/v1/database/roles/keystead.c1.p.d.shop.orders";
    let leases = "/v1/sys/leases/revoke-prefix/database/creds/keystead.c1.p.d.shop.orders";
    for (users, expected) in [
        (
            Deletion::Delete,
            vec![format!("POST {leases}"), format!("DELETE {path}")],
        ),
        (Deletion::Retain, vec![format!("DELETE {path}")]),
    ] {
        let fake = Fake::start(|_| Answer::ok(Value::Null)).await;
        let object = Object::DatabaseRole(dynamic());
        engine::remove(&fake.client(), &object, users).await.unwrap();
        assert_eq!(fake.asked(), expected);
    }
}

#[tokio::test]
async fn vault_says_when_a_password_was_rotated_and_when_it_is_due() {
    let fake = Fake::start(|_| {
        let found = json!({"last_vault_rotation": "2026-11-22T10:00:00.25Z", "rotation_period": 60});
        Answer::ok(json!({ "data": found }))
    })
    .await;
    let rotated_at = 1_795_341_600;
    let state = PasswordState {
        rotated_at,
        due: rotated_at + 60,
    };
    assert_eq!(fixed().password(&fake.client()).await.unwrap(), Some(state));
    assert_eq!(dynamic().password(&fake.client()).await.unwrap(), None);
    assert_eq!(fake.asked().len(), 1, "of users that are made nobody asks");
}
