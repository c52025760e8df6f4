//! What becomes of our own values.

use anyhow::{Context, Result, ensure};
use keystead_vault::Error;
use keystead_vault::engine::{self, Action};
use keystead_vault::object::{Asked, Deletion, KvSecret, Object, RotatedBy, Rotation, ValueRef};
use keystead_vault::path::KvPath;
use serde_json::{Value, json};

use super::{Corner, KV, NoSecrets};

pub(super) async fn deletion(corner: Corner) -> Result<()> {
    // Two versions of ours, the newer with a key of a person.
    for (deletion, foreign) in [
        (Deletion::Retain, true),
        (Deletion::Delete, false),
        (Deletion::Delete, true),
        (Deletion::Destroy, false),
        (Deletion::Destroy, true),
    ] {
        let secret = corner.secret(&format!("{deletion:?}-{foreign}").to_lowercase(), &[("a", "1")]);
        corner.settle(&secret).await?;
        let newer = if foreign {
            json!({"a": "1", "theirs": "x"})
        } else {
            json!({"a": "2"})
        };
        corner.by_hand(&secret, newer.clone()).await?;
        let object = Object::KvSecret(secret.clone());
        let mut other = secret.clone();
        other.owner = corner.owner("other");
        let refused = engine::remove(&corner.operator, &Object::KvSecret(other.clone()), deletion).await;
        ensure!(matches!(refused, Err(Error::Conflict { .. })), "{refused:?}");

        let planned = engine::plan_removal(&corner.operator, &object, deletion).await?;
        let removed = engine::remove(&corner.operator, &object, deletion).await?;
        ensure!(
            planned.details == removed.details,
            "planned {planned:?}, done {removed:?}"
        );
        let again = engine::remove(&corner.operator, &object, deletion).await?;
        ensure!(again.details.is_empty(), "a second time: {again:?}");

        let wanted: &[(u64, &str)] = match (deletion, foreign) {
            (Deletion::Retain, _) => &[(1, "readable"), (2, "readable")],
            (Deletion::Delete, false) => &[(1, "deleted"), (2, "deleted")],
            (Deletion::Delete, true) => &[(2, "deleted"), (3, "readable")],
            (Deletion::Destroy, false) => &[],
            (Deletion::Destroy, true) => &[(2, "destroyed"), (3, "readable")],
        };
        let left = versions(&corner, &secret)?;
        ensure!(left == wanted, "{deletion:?}, others {foreign}: {left:?}");
        let kept = match (deletion, foreign) {
            (Deletion::Retain, _) => Some(newer),
            (_, true) => Some(json!({"theirs": "x"})),
            (_, false) => None,
        };
        ensure!(corner.data(&secret).await? == kept, "{deletion:?}: what is left");

        // Who comes next: a path with readable values is somebody's, any other is free.
        if kept.is_some() {
            corner.refused(&other).await?;
        } else {
            let next = corner.settle(&other).await?;
            ensure!(next.action == Action::Create, "{next:?}");
            ensure!(
                corner.data(&other).await? == Some(json!({"a": "1"})),
                "nothing came back"
            );
        }
    }
    Ok(())
}

/// What a read of each version answers, of those that there are.
fn versions(corner: &Corner, secret: &KvSecret) -> Result<Vec<(u64, &'static str)>> {
    let mut found = Vec::new();
    for number in 1..=3 {
        let KvPath { mount, path } = &secret.path;
        let mut read = corner.bed.command("bao");
        read.args(["kv", "get", "-format=json", "-mount", mount]);
        // It fails where the version is not readable, and still says what is known of it.
        let output = read.arg(format!("-version={number}")).arg(path).output()?;
        let Ok(answer) = serde_json::from_slice::<Value>(&output.stdout) else {
            let words = String::from_utf8_lossy(&output.stderr);
            ensure!(words.contains("No value found"), "version {number}: {words}");
            continue;
        };
        let destroyed = answer["data"]["metadata"]["destroyed"] == json!(true);
        let state = match (answer["data"]["data"].is_object(), destroyed) {
            (true, _) => "readable",
            (false, true) => "destroyed",
            (false, false) => "deleted",
        };
        found.push((number, state));
    }
    Ok(found)
}

/// A rotation was begun and its process killed; then somebody wrote another key. That is no rotation: it is
/// still to be done, once.
pub(super) async fn begun(corner: Corner) -> Result<()> {
    let token = ValueRef::Generate {
        length: 24,
        alphabet: ('a'..='z').collect(),
        classes: Vec::new(),
    };
    let mut secret = corner.secret("begun", &[]);
    secret.keys.insert("token".into(), token);
    let rotation = |due| Rotation {
        due,
        keep_previous: None,
        by: RotatedBy::Keystead,
    };
    secret.rotation = Some(rotation(None));
    corner.settle(&secret).await?;
    let first = corner.data(&secret).await?.context("there are values")?;
    let mark = "-custom-metadata=keystead-rotate-begun=00112233445566778899aabbccddeeff 1 1";
    let mut bao = corner.bed.command("bao");
    bao.args(["kv", "metadata", "patch", "-mount", KV, mark]);
    let noted = bao.arg(&secret.path.path).output()?;
    ensure!(
        noted.status.success(),
        "{}",
        String::from_utf8_lossy(&noted.stderr)
    );
    let mut theirs = first.clone();
    theirs["theirs"] = json!("x");
    corner.by_hand(&secret, theirs).await?;

    secret.rotation = Some(rotation(Some(1)));
    let applied = corner.settle(&secret).await?;
    let now = corner.data(&secret).await?.context("there are values")?;
    ensure!(now["token"] != first["token"], "the token is another");
    ensure!(now["theirs"] == json!("x"), "what others wrote stays");
    ensure!(
        applied.rotation.is_some_and(|rotation| rotation.count == 1),
        "{applied:?}"
    );
    Ok(())
}

pub(super) async fn generated(corner: Corner) -> Result<()> {
    let password = ValueRef::Generate {
        length: 24,
        alphabet: ('a'..='z').collect(),
        classes: vec![('0'..='9').collect()],
    };
    let mut secret = corner.secret("postgres", &[("user", "web")]);
    secret.keys.insert("password".into(), password);
    corner.settle(&secret).await?;
    let made = async |secret: &KvSecret| -> Result<String> {
        let data = corner.data(secret).await?.context("there are values")?;
        Ok(data["password"]
            .as_str()
            .context("a password was made")?
            .to_owned())
    };
    let first = made(&secret).await?;
    ensure!(
        first.len() == 24 && first.contains(|letter: char| letter.is_ascii_digit()),
        "its form"
    );
    secret.keys.insert("user".into(), ValueRef::Literal("api".into()));
    corner.settle(&secret).await?;
    ensure!(made(&secret).await? == first, "made once");

    // Somebody empties the path: it is told, again and again, and the rest is kept up.
    corner.by_hand(&secret, json!({})).await?;
    let object = Object::KvSecret(secret.clone());
    for _ in 0..2 {
        let lost = engine::apply(&corner.operator, &NoSecrets, &object).await;
        ensure!(matches!(lost, Err(Error::Lost { .. })), "{lost:?}");
        ensure!(
            corner.data(&secret).await? == Some(json!({"user": "api"})),
            "the rest is there"
        );
    }
    // It is brought back, and all is well.
    corner
        .by_hand(&secret, json!({"user": "api", "password": first}))
        .await?;
    corner.unchanged(&object).await?;
    // All of the path goes, and only the declaring object knows.
    corner.root.delete(&secret.path.metadata()).await?;
    secret.known = true;
    let object = Object::KvSecret(secret.clone());
    for _ in 0..2 {
        let lost = engine::apply(&corner.operator, &NoSecrets, &object).await;
        ensure!(matches!(lost, Err(Error::Lost { .. })), "{lost:?}");
    }
    for token in ["again", "once more"] {
        secret.asked = Some(Asked {
            text: token.into(),
            drops_previous: false,
        });
        let before = corner.data(&secret).await?;
        corner.settle(&secret).await?;
        ensure!(
            made(&secret).await?.len() == 24 && corner.data(&secret).await? != before,
            "{token}"
        );
    }
    Ok(())
}

pub(super) async fn inactive(corner: Corner) -> Result<()> {
    let mut secret = corner.secret("hubspot", &[("a", "1")]);
    secret.active = false;
    let nothing = corner.settle(&secret).await?;
    ensure!(
        (nothing.action, nothing.version) == (Action::Unchanged, None),
        "{nothing:?}"
    );
    secret.active = true;
    corner.settle(&secret).await?;
    corner.by_hand(&secret, json!({"a": "1", "theirs": "x"})).await?;
    secret.active = false;
    // A Secret that is gone does not keep a credential from being switched off.
    let gone = ValueRef::SecretKey {
        namespace: "shop".into(),
        name: "gone".into(),
        key: "a".into(),
    };
    let declared = secret.keys.insert("a".into(), gone);
    let hidden = corner.settle(&secret).await?;
    ensure!(
        (hidden.action, hidden.version) == (Action::Change, None),
        "{hidden:?}"
    );
    ensure!(corner.data(&secret).await?.is_none(), "hidden");
    secret
        .keys
        .extend(declared.map(|declared| ("a".to_owned(), declared)));
    secret.active = true;
    let shown = corner.settle(&secret).await?;
    ensure!(
        (shown.action, shown.version) == (Action::Change, Some(2)),
        "{shown:?}"
    );
    secret.active = false;
    corner.settle(&secret).await?;
    secret.active = true;
    secret.keys.insert("a".into(), ValueRef::Literal("2".into()));
    let changed = corner.settle(&secret).await?;
    ensure!(
        (changed.action, changed.version) == (Action::Change, Some(3)),
        "{changed:?}"
    );
    let wanted = json!({"a": "2", "theirs": "x"});
    ensure!(
        corner.data(&secret).await? == Some(wanted),
        "what others wrote came back too"
    );
    Ok(())
}

pub(super) async fn size(corner: Corner) -> Result<()> {
    let refused = |length: usize| {
        let secret = corner.secret("large", &[("a", &"x".repeat(length))]);
        let corner = &corner;
        async move {
            let object = Object::KvSecret(secret);
            engine::apply(&corner.operator, &NoSecrets, &object).await
        }
    };
    let error = refused(2 << 20).await.err().context("2 MiB are too much")?;
    let Error::TooLarge { size, largest, .. } = error else {
        anyhow::bail!("expected it to be named as too large: {error}");
    };
    ensure!(size == (2 << 20) + r#"{"a":""}"#.len(), "{size}");
    let error = refused(largest).await.err().context("one too many is too much")?;
    ensure!(matches!(error, Error::TooLarge { .. }), "{error}");
    // What we let through, Vault stores.
    let fits = refused(largest - r#"{"a":""}"#.len()).await?;
    ensure!(fits.action == Action::Create, "{fits:?}");
    Ok(())
}
