//! How an operator logs in, what it may do, and in which namespace.

use anyhow::{Context, Result, ensure};
use keystead_vault::client::Method;
use keystead_vault::engine::{self, Action};
use keystead_vault::hcl;
use keystead_vault::object::Object;
use keystead_vault::session::Kept;
use keystead_vault::{Client, Connection, Error, Login, Session, rights};
use serde_json::{Value, json};

use super::{Corner, KV, NoSecrets, operator_policy, token, usable};

pub(super) async fn logins(corner: Corner) -> Result<()> {
    let health = Client::new(&corner.connection)?.health().await?;
    ensure!(
        health.initialized && !health.sealed && !health.standby,
        "{health:?}"
    );
    ensure!(health.version.contains('.'), "{health:?}");
    app_role(&corner).await?;
    given_token(&corner).await?;

    // The operator's policy grants what it is said to need; a thinner one is told apart.
    let needed = hcl::operator_rights(&operator_policy(&corner.id, KV));
    let lacking = rights::lacking(&corner.operator, &needed).await?;
    ensure!(lacking.is_empty(), "{lacking:?}");
    let text = hcl::operator(&operator_policy(&corner.id, KV));
    let thin = text.replace(", \"delete\", \"list\"] }", "] }");
    ensure!(thin != text, "the policy lists what is taken out here");
    let thin = token(&corner.root, &format!("{}-thin", corner.id), &thin).await?;
    let lacking = rights::lacking(&corner.root.with_token(&thin)?, &needed).await?;
    let words: Vec<String> = lacking.iter().map(ToString::to_string).collect();
    let path = format!("{KV}/metadata/{}/*", corner.id);
    ensure!(
        words == [format!("permission denied: delete, list on {path}")],
        "{words:?}"
    );
    Ok(())
}

async fn app_role(corner: &Corner) -> Result<()> {
    let mount = format!("{}-approle", corner.id);
    let root = &corner.root;
    root.write(&format!("sys/auth/{mount}"), &json!({"type": "approle"}))
        .await?;
    let role = format!("auth/{mount}/role/operator");
    let body = json!({"token_policies": [corner.id], "token_ttl": "10m"});
    root.write(&role, &body).await?;
    let id: Value = root.read(&format!("{role}/role-id")).await?;
    let made = root
        .call::<Value>(Method::Post, &format!("{role}/secret-id"), None)
        .await?;
    let secret = made.data.context("a secret id")?;
    let text = |value: &Value| value.as_str().map(str::to_owned).context("a text");
    let login = |secret_id: String| -> Result<Login> {
        Ok(Login::AppRole {
            mount: mount.clone(),
            role_id: text(&id["role_id"])?,
            secret_id: secret_id.into(),
        })
    };
    let mut session = Session::new(
        Client::new(&corner.connection)?,
        login(text(&secret["secret_id"])?)?,
    );
    ensure!(session.keep().await? == Kept::LoggedIn, "logged in");
    let object = Object::KvSecret(corner.secret("approle", &[("a", "1")]));
    engine::apply(session.client(), &NoSecrets, &object).await?;
    let client = session.client().clone();
    session.revoke().await?;
    let ended = client.read::<Value>("auth/token/lookup-self").await;
    ensure!(matches!(ended, Err(Error::Denied { .. })), "{ended:?}");

    let mut wrong = Session::new(Client::new(&corner.connection)?, login("wrong-secret".into())?);
    let error = wrong.keep().await.err().context("a wrong secret id")?.to_string();
    ensure!(
        error.contains(&mount) && error.contains(&text(&id["role_id"])?),
        "{error}"
    );
    ensure!(!error.contains("wrong-secret"), "{error}");
    root.delete(&format!("sys/auth/{mount}")).await?;
    Ok(())
}

async fn given_token(corner: &Corner) -> Result<()> {
    let given = token(
        &corner.root,
        &corner.id,
        &hcl::operator(&operator_policy(&corner.id, KV)),
    )
    .await?;
    let start = || -> Result<Session> {
        Ok(Session::new(
            Client::new(&corner.connection)?,
            Login::Token(given.clone()),
        ))
    };
    let mut session = start()?;
    ensure!(session.keep().await? == Kept::LoggedIn, "it is taken");
    session.revoke().await?;
    let mut session = start()?;
    session.keep().await.context("whoever gave it still has it")?;
    let body = json!({ "token": given.expose() });
    corner.root.write("auth/token/revoke", &body).await?;
    session.forget();
    let error = session.keep().await.err().context("it has ended")?;
    ensure!(matches!(error, Error::Token { .. }), "{error}");
    ensure!(
        !error.to_string().contains(given.expose().as_str()),
        "the token is not repeated"
    );
    Ok(())
}

pub(super) async fn namespace(corner: Corner) -> Result<()> {
    let name = &corner.id;
    corner
        .root
        .write(&format!("sys/namespaces/{name}"), &json!({}))
        .await?;
    let connection = Connection {
        namespace: Some(name.clone()),
        ..corner.connection.clone()
    };
    let admin = token(&corner.root, &format!("{name}-admin"), &format!(
        "path \"{name}/*\" {{ capabilities = [\"create\", \"read\", \"update\", \"delete\", \"list\", \"sudo\"] }}"
    ))
    .await?;
    let inside = Client::new(&connection)?;
    inside.set_token(&admin)?;
    ensure!(
        inside.health().await?.initialized,
        "health is asked outside of namespaces"
    );
    let body = json!({"type": "kv", "options": {"version": "2"}});
    inside.write(&format!("sys/mounts/{KV}"), &body).await?;
    usable(&inside, KV).await?;

    let secret = corner.secret("inside", &[("a", "1")]);
    let object = Object::KvSecret(secret.clone());
    let applied = engine::apply(&inside, &NoSecrets, &object).await?;
    ensure!(applied.action == Action::Create, "{applied:?}");
    let found: Value = inside.read(&secret.path.data()).await?;
    ensure!(found["data"] == json!({"a": "1"}), "{found}");
    ensure!(
        corner.data(&secret).await?.is_none(),
        "nothing stands outside of the namespace"
    );
    inside.delete(&format!("sys/mounts/{KV}")).await?;
    corner.root.delete(&format!("sys/namespaces/{name}")).await?;
    Ok(())
}
