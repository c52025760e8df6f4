//! Connections and roles of the database engine, against real databases.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use keystead_vault::engine::{self, Action};
use keystead_vault::object::{
    Authority, DatabaseConnection, DatabaseRole, DatabaseServer, Deletion, Mount, MountKind, Object,
    RoleKind, Root, SecretKey, Tls, ValueStore,
};
use keystead_vault::{Error, Sensitive};
use serde_json::{Value, json};

use super::Corner;
use crate::rig::database::{FIRST, Postgres, redis as ask_redis, redis_root};

/// The engine of these tests: the first mounts it.
pub(super) const MOUNT: &str = "engine-databases";

/// A Secret with this password.
struct Given(String);

impl ValueStore for Given {
    async fn secret_key(&self, _: &str, _: &str, _: &str) -> Result<Sensitive<String>, Error> {
        Ok(Sensitive::from(self.0.as_str()))
    }
}

impl Corner {
    fn connection(&self, postgres: &Postgres<'_>) -> DatabaseConnection {
        DatabaseConnection {
            mount: MOUNT.into(),
            name: format!("keystead.{}.p.c.shop.orders", self.id),
            server: DatabaseServer::PostgreSql {
                database: postgres.database.clone(),
                prefix: format!("keystead.{}.p.d.", self.id),
            },
            host: postgres.server.host.clone(),
            port: postgres.server.port,
            tls: Tls::Verified(Authority::File(postgres.server.ca.display().to_string())),
            username: postgres.root.clone(),
            password: SecretKey {
                namespace: "shop".into(),
                name: "orders".into(),
                key: "password".into(),
            },
            rotate: true,
            root: Root::Given,
            allowed_roles: ["d.shop.fixed", "d.shop.orders"]
                .map(|name| format!("keystead.{}.p.{name}", self.id))
                .into(),
        }
    }

    fn role(&self, name: &str, kind: RoleKind) -> DatabaseRole {
        DatabaseRole {
            mount: MOUNT.into(),
            name: format!("keystead.{}.p.d.shop.{name}", self.id),
            connection: format!("keystead.{}.p.c.shop.orders", self.id),
            kind,
        }
    }

    /// Does what was planned, after which there is nothing to do.
    async fn made(&self, store: &Given, object: &Object, action: Action) -> Result<()> {
        let planned = engine::plan(&self.operator, store, object).await?;
        let applied = engine::apply(&self.operator, store, object).await?;
        ensure!(
            (planned.action, applied.action) == (action, action),
            "{object}: planned {planned:?}, done {applied:?}"
        );
        Ok(())
    }

    async fn still(&self, store: &Given, object: &Object) -> Result<()> {
        self.made(store, object, Action::Unchanged).await
    }

    async fn mount_databases(&self) -> Result<()> {
        let mount = Object::Mount(Mount {
            path: MOUNT.into(),
            kind: MountKind::Database,
        });
        engine::apply(&self.operator, &Given(String::new()), &mount).await?;
        self.still(&Given(String::new()), &mount).await
    }

    /// A user and a password, as Vault gives them.
    async fn credentials(&self, role: &DatabaseRole) -> Result<(String, String)> {
        let found: Value = self.root.read(&role.credentials()).await?;
        let text = |name: &str| found[name].as_str().map(str::to_owned).context("credentials");
        Ok((text("username")?, text("password")?))
    }
}

pub(super) async fn objects(corner: Corner) -> Result<()> {
    let bed = corner.bed.clone();
    let postgres = Postgres::new(&bed, &corner.id)?;
    corner.mount_databases().await?;
    let mut connection = corner.connection(&postgres);

    // What can't log in is said in the server's words, and not kept.
    let wrong = Given("the-wrong-password".into());
    let refused = engine::apply(
        &corner.operator,
        &wrong,
        &Object::DatabaseConnection(connection.clone()),
    )
    .await;
    let words = refused.err().context("the password is wrong")?.to_string();
    ensure!(words.contains("password authentication failed"), "{words}");
    ensure!(!words.contains(&wrong.0), "{words}");

    let given = Given(FIRST.into());
    let made = Object::DatabaseConnection(connection.clone());
    corner.made(&given, &made, Action::Create).await?;
    connection.root = Root::Rotated;
    let settled = Object::DatabaseConnection(connection.clone());
    corner.still(&given, &settled).await?;
    let first = postgres.login(&postgres.root, FIRST, "SELECT 1")?;
    ensure!(first.is_err(), "the first password works no more");

    // Drift is mended without the password, which would be refused.
    let path = format!("{MOUNT}/config/{}", connection.name);
    corner.root.write(&path, &json!({"allowed_roles": ["*"]})).await?;
    corner.made(&wrong, &settled, Action::Change).await?;
    corner.still(&given, &settled).await?;

    users(&corner, &postgres, &given).await?;
    fixed(&corner, &postgres, &given).await?;
    lost(&corner, &postgres, connection).await
}

/// A dynamic role: its users work, and end with it.
async fn users(corner: &Corner, postgres: &Postgres<'_>, given: &Given) -> Result<()> {
    let kind = |ttl| RoleKind::Dynamic {
        creation: vec![
            "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'".into(),
        ],
        revocation: vec!["DROP ROLE IF EXISTS \"{{name}}\"".into()],
        default_ttl: Duration::from_mins(ttl),
        max_ttl: Duration::from_hours(1),
    };
    let role = corner.role("orders", kind(5));
    corner
        .made(given, &Object::DatabaseRole(role.clone()), Action::Create)
        .await?;
    corner.still(given, &Object::DatabaseRole(role.clone())).await?;
    let longer = Object::DatabaseRole(corner.role("orders", kind(10)));
    corner.made(given, &longer, Action::Change).await?;
    corner.still(given, &longer).await?;

    let (user, password) = corner.credentials(&role).await?;
    ensure!(user.starts_with("ks-shop.orders-"), "{user}");
    let works = postgres.login(&user, &password, "SELECT 1")?;
    ensure!(works == Ok("1".into()), "{works:?}");

    let planned = engine::plan_removal(&corner.operator, &longer, Deletion::Delete).await?;
    ensure!(planned.action == Action::Delete, "{planned:?}");
    engine::remove(&corner.operator, &longer, Deletion::Delete).await?;
    engine::remove(&corner.operator, &longer, Deletion::Delete).await?;
    let works = postgres.login(&user, &password, "SELECT 1")?;
    ensure!(works.is_err(), "its users end with a role: {works:?}");
    let planned = engine::plan(&corner.operator, given, &longer).await?;
    ensure!(planned.action == Action::Create, "it is gone: {planned:?}");

    // Nobody else's role is in reach.
    let mut theirs = role;
    theirs.name = "somebody-elses".into();
    let refused = engine::apply(&corner.operator, given, &Object::DatabaseRole(theirs)).await;
    ensure!(matches!(refused, Err(Error::Denied { .. })), "{refused:?}");
    Ok(())
}

/// A static role: the password of a user that is there.
async fn fixed(corner: &Corner, postgres: &Postgres<'_>, given: &Given) -> Result<()> {
    let user = format!("{}-fixed", corner.id);
    postgres.administer(
        "postgres",
        &format!("CREATE ROLE \"{user}\" LOGIN PASSWORD '{FIRST}'"),
    )?;
    let kind = |hours| RoleKind::Static {
        username: user.clone(),
        rotation_period: Duration::from_hours(hours),
    };
    let role = corner.role("fixed", kind(1));
    corner
        .made(given, &Object::DatabaseRole(role.clone()), Action::Create)
        .await?;
    corner.still(given, &Object::DatabaseRole(role.clone())).await?;
    let rarer = Object::DatabaseRole(corner.role("fixed", kind(2)));
    corner.made(given, &rarer, Action::Change).await?;
    let (named, password) = corner.credentials(&role).await?;
    let works = postgres.login(&named, &password, "SELECT 1")?;
    ensure!(
        (named.as_str(), &works) == (user.as_str(), &Ok("1".into())),
        "{named}: {works:?}"
    );
    let first = postgres.login(&user, FIRST, "SELECT 1")?;
    ensure!(first.is_err(), "its first password works no more");
    engine::remove(&corner.operator, &rarer, Deletion::Delete).await?;
    corner.made(given, &rarer, Action::Create).await?;
    engine::remove(&corner.operator, &rarer, Deletion::Delete)
        .await
        .map(drop)?;
    Ok(())
}

/// A connection that is gone took a password with it: it comes back with one that people set anew.
async fn lost(corner: &Corner, postgres: &Postgres<'_>, mut connection: DatabaseConnection) -> Result<()> {
    let given = Given("a-new-password".into());
    let settled = Object::DatabaseConnection(connection.clone());
    engine::remove(&corner.operator, &settled, Deletion::Delete).await?;
    let error = engine::apply(&corner.operator, &given, &settled).await;
    ensure!(matches!(error, Err(Error::RootLost { .. })), "{error:?}");
    let line = format!("ALTER ROLE \"{}\" PASSWORD '{}'", postgres.root, given.0);
    postgres.administer("postgres", &line)?;
    connection.root = Root::Again;
    let again = Object::DatabaseConnection(connection);
    corner.made(&given, &again, Action::Create).await?;
    let works = postgres.login(&postgres.root, &given.0, "SELECT 1")?;
    ensure!(works.is_err(), "it is rotated at once");
    // Killed before that was noted: it is sent, refused, and no harm done.
    corner.made(&given, &again, Action::Change).await?;
    corner.still(&given, &settled).await
}

pub(super) async fn redis(corner: Corner) -> Result<()> {
    corner.mount_databases().await?;
    let bed = corner.bed.clone();
    let server = bed.redis.as_ref().context("this test needs the bed's Redis")?;
    let (root, given) = (format!("{}-root", corner.id), Given(FIRST.into()));
    redis_root(&bed, &root)?;
    for (plugin, name) in [
        (DatabaseServer::Redis, "redis"),
        (DatabaseServer::Valkey, "valkey"),
    ] {
        let role = DatabaseRole {
            connection: format!("keystead.{}.p.c.shop.{name}", corner.id),
            ..corner.role(
                name,
                RoleKind::Dynamic {
                    creation: vec![r#"["~*", "+@read"]"#.into()],
                    revocation: Vec::new(),
                    default_ttl: Duration::from_mins(5),
                    max_ttl: Duration::from_hours(1),
                },
            )
        };
        let connection = DatabaseConnection {
            mount: MOUNT.into(),
            name: role.connection.clone(),
            server: plugin,
            host: server.host.clone(),
            port: server.port,
            tls: Tls::Verified(Authority::Bundle(fs::read_to_string(&server.ca)?)),
            username: root.clone(),
            password: SecretKey {
                namespace: "shop".into(),
                name: name.into(),
                key: "password".into(),
            },
            rotate: false,
            root: Root::Given,
            allowed_roles: vec![role.name.clone()],
        };
        let connection = Object::DatabaseConnection(connection);
        corner.made(&given, &connection, Action::Create).await?;
        corner.still(&given, &connection).await?;
        let object = Object::DatabaseRole(role.clone());
        corner.made(&given, &object, Action::Create).await?;
        corner.still(&given, &object).await?;
        let (user, password) = corner.credentials(&role).await?;
        let read = ask_redis(&bed, &user, &password, &["GET", "nothing"])?;
        ensure!(read == Ok(String::new()), "{read:?}");
        let write = ask_redis(&bed, &user, &password, &["SET", "a", "b"])?;
        ensure!(
            write.is_err_and(|words| words.contains("NOPERM")),
            "it may only read"
        );
        engine::remove(&corner.operator, &object, Deletion::Delete).await?;
        let read = ask_redis(&bed, &user, &password, &["GET", "nothing"])?;
        ensure!(read.is_err(), "its users end with a role: {read:?}");
        engine::remove(&corner.operator, &connection, Deletion::Delete).await?;
    }
    Ok(())
}
