//! Keys of the transit engine.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use keystead_vault::Error;
use keystead_vault::engine::{self, Action};
use keystead_vault::object::{Deletion, Mount, MountKind, Object, TransitKey};
use serde_json::{Value, json};

use super::{Corner, NoSecrets};

/// The engine of this test, which mounts it.
pub(super) const MOUNT: &str = "engine-keys";

impl Corner {
    fn key(&self, key_type: &'static str) -> TransitKey {
        TransitKey {
            mount: MOUNT.into(),
            name: format!("keystead.{}.p.k.seals", self.id),
            key_type,
            rotate_every: Duration::from_hours(1),
            min_decryption_version: None,
        }
    }

    /// Makes it so, after which there is nothing to do.
    async fn settles(&self, key: &TransitKey, action: Action) -> Result<()> {
        let object = Object::TransitKey(key.clone());
        for expected in [action, Action::Unchanged] {
            let applied = engine::apply(&self.operator, &NoSecrets, &object).await?;
            ensure!(
                applied.action == expected,
                "{object}: {applied:?}, not {expected:?}"
            );
        }
        Ok(())
    }
}

pub(super) async fn objects(corner: Corner) -> Result<()> {
    let mount = Object::Mount(Mount {
        path: MOUNT.into(),
        kind: MountKind::Transit,
    });
    engine::apply(&corner.operator, &NoSecrets, &mount).await?;
    for key_type in [
        "rsa-3072",
        "rsa-4096",
        "aes128-gcm96",
        "aes256-gcm96",
        "chacha20-poly1305",
    ] {
        let mut key = corner.key(key_type);
        key.name = format!("keystead.{}.p.k.{key_type}", corner.id);
        corner.settles(&key, Action::Create).await?;
        let object = Object::TransitKey(key);
        engine::remove(&corner.operator, &object, Deletion::Delete).await?;
    }

    let mut key = corner.key("rsa-2048");
    corner.settles(&key, Action::Create).await?;
    let found: Value = corner.root.read(&key.path()).await?;
    ensure!(found["auto_rotate_period"] == json!(3600), "{found}");
    corner
        .root
        .write(&format!("{}/rotate", key.path()), &json!({}))
        .await?;
    let state = key.state(&corner.operator).await?.context("it is there")?;
    let versions: Vec<i64> = state.public_keys.iter().map(|(version, _)| *version).collect();
    ensure!(
        (state.latest, state.oldest, versions) == (2, 1, vec![1, 2]),
        "{state:?}"
    );
    let is_public = state
        .public_keys
        .iter()
        .all(|(_, pem)| pem.starts_with("-----BEGIN PUBLIC KEY"));
    ensure!(is_public && state.made_at.is_some(), "{state:?}");

    key.rotate_every = Duration::ZERO;
    key.min_decryption_version = Some(2);
    corner.settles(&key, Action::Change).await?;
    let state = key.state(&corner.operator).await?.context("it is there")?;
    ensure!((state.oldest, state.public_keys.len()) == (2, 1), "{state:?}");
    key.min_decryption_version = Some(7);
    let object = Object::TransitKey(key.clone());
    let refused = engine::apply(&corner.operator, &NoSecrets, &object).await;
    let words = refused.err().context("there is no version 7")?.to_string();
    ensure!(words.contains("latest key version is 2"), "{words}");

    // The operator opens what is sealed, and seals nothing.
    let path = format!("{MOUNT}/encrypt/{}", key.name);
    let refused = corner.operator.write(&path, &json!({"plaintext": ""})).await;
    ensure!(matches!(refused, Err(Error::Denied { .. })), "{refused:?}");
    let other = Object::TransitKey(corner.key("rsa-4096"));
    let refused = engine::apply(&corner.operator, &NoSecrets, &other).await;
    ensure!(matches!(refused, Err(Error::Conflict { .. })), "{refused:?}");

    engine::remove(&corner.operator, &object, Deletion::Delete).await?;
    engine::remove(&corner.operator, &object, Deletion::Delete).await?;
    ensure!(key.state(&corner.operator).await?.is_none(), "it is gone");
    Ok(())
}
