//! The server and the tokens: worlds are applied by the engine that the operator uses, and asked about
//! as root.

use anyhow::{Context, Result, bail};
use keystead_vault::client::Method;
use keystead_vault::object::{Deletion, Object, SigningKeys, ValueStore};
use keystead_vault::{Client, Error, Sensitive, engine, jwks::KeySet};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

use super::model::Account;
use super::objects::{Run, Wanted};
use super::worlds::{ACCOUNTS, NODES, SPACES};
use crate::rig::Rig;
use crate::rig::manifest::{account, namespace};

/// Paths asked about at once: the server takes requests of up to 1000 strings.
const AT_ONCE: usize = 900;

/// Tokens of the API server by mount, namespace, account and (for the jwt mount) node.
type Tokens = BTreeMap<(String, &'static str, &'static str, &'static str), String>;

/// What a run needs, made once by `kubectl`.
pub(super) struct Prepared {
    id: String,
    keys: SigningKeys,
    kubernetes: String,
    tokens: Tokens,
}

/// A server that worlds are applied to.
pub(super) struct Server {
    root: Client,
    pub(super) run: Run,
    tokens: Tokens,
}

/// A token that logged in.
pub(super) type Token = Sensitive<String>;

/// Makes the accounts and their tokens. `rig` has a jwt mount for pods, and a kubernetes mount by which
/// an operator would log in.
pub(super) fn prepare(rig: &Rig<'_>) -> Result<Prepared> {
    let bed = rig.stage.bed().context("this test needs a bed")?;
    let mut manifests = String::new();
    for space in SPACES {
        manifests += &namespace(space, "");
        for name in ACCOUNTS {
            manifests += &account(space, name);
            manifests.extend(NODES.map(|node| pod(space, name, node)));
        }
    }
    rig.apply(&manifests)?;

    let (jwt, kubernetes) = (rig.mount(), rig.id.clone());
    let mut tokens = Tokens::new();
    for (space, name) in SPACES
        .into_iter()
        .flat_map(|space| ACCOUNTS.map(|name| (space, name)))
    {
        let full = format!("{}-{space}", rig.id);
        let token = rig.service_account_token(&full, name)?;
        for node in NODES {
            tokens.insert((kubernetes.clone(), space, name, node), token.clone());
            let bound = rig.stage.ask(&format!(
                "kubectl -n {full} create token {name} --audience vault --bound-object-kind Pod --bound-object-name {name}-{node}"
            ))?;
            tokens.insert((jwt.clone(), space, name, node), bound);
        }
    }
    let keys: KeySet = serde_json::from_str(&rig.ask("kubectl get --raw /openid/v1/jwks")?)?;
    Ok(Prepared {
        id: rig.id.clone(),
        keys: SigningKeys {
            mount: jwt,
            keys: keys.to_pem()?,
            issuer: bed.kubernetes_issuer.clone(),
        },
        kubernetes,
        tokens,
    })
}

/// A pod that is there only to bind a token to: nothing runs on its node.
fn pod(space: &str, account: &str, node: &str) -> String {
    format!(
        "
---
apiVersion: v1
kind: Pod
metadata: {{name: {account}-{node}, namespace: @id@-{space}}}
spec:
  serviceAccountName: {account}
  nodeName: @id@-{node}
  containers: [{{name: app, image: none.invalid/none}}]
"
    )
}

impl Server {
    /// Gives the jwt mount the cluster's keys.
    pub(super) async fn new(root: Client, prepared: Prepared) -> Result<Self> {
        #[derive(Deserialize)]
        struct Mount {
            accessor: String,
        }
        let Prepared {
            id,
            keys,
            kubernetes,
            tokens,
        } = prepared;
        let jwt = keys.mount.clone();
        engine::apply(&root, &NoValues, &Object::SigningKeys(keys)).await?;
        let mount: Mount = root.read(&format!("sys/internal/ui/mounts/auth/{jwt}")).await?;
        let run = Run {
            id,
            jwt,
            kubernetes,
            accessor: mount.accessor,
        };
        Ok(Self { root, run, tokens })
    }

    /// Makes Vault have what an account is to have.
    pub(super) async fn apply(&self, wanted: &Wanted) -> Result<()> {
        match wanted {
            Wanted::There(objects) => {
                for object in objects {
                    engine::apply(&self.root, &NoValues, object).await?;
                }
            }
            Wanted::Gone(objects) => {
                for object in objects {
                    engine::remove(&self.root, object, Deletion::Retain).await?;
                }
            }
            Wanted::Nothing => {}
        }
        Ok(())
    }

    /// Logs in as a pod of the account on a node; none where Vault refuses.
    pub(super) async fn log_in(
        &self,
        account: &Account,
        mount: &str,
        role: &str,
        node: &'static str,
    ) -> Result<Option<Token>> {
        let jwt = self
            .tokens
            .get(&(mount.to_owned(), account.space, account.name, node));
        let body = json!({"role": role, "jwt": jwt.context("no such account exists")?});
        let path = format!("auth/{mount}/login");
        match self
            .root
            .call::<IgnoredAny>(Method::Post, &path, Some(&body))
            .await
        {
            Ok(answer) => Ok(answer.auth.map(|auth| auth.client_token)),
            Err(Error::Refused { code: 400, .. } | Error::Denied { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What a token may do, by Vault's own word: the paths where it may do anything.
    pub(super) async fn capabilities(
        &self,
        token: &Token,
        paths: &[String],
    ) -> Result<BTreeMap<String, BTreeSet<String>>> {
        let mut found = BTreeMap::new();
        for paths in paths.chunks(AT_ONCE) {
            let body = json!({"token": token.expose(), "paths": paths});
            let answer = self.root.call::<BTreeMap<String, BTreeSet<String>>>(
                Method::Post,
                "sys/capabilities",
                Some(&body),
            );
            let answer = answer.await?.data.context("no capabilities were answered")?;
            if let Some(path) = paths.iter().find(|path| !answer.contains_key(*path)) {
                bail!("nothing was answered for {path}");
            }
            found.extend(answer);
        }
        found.retain(|_, capabilities| !capabilities.contains("deny"));
        Ok(found)
    }

    /// Ends a token, as root.
    pub(super) async fn end(&self, token: &Token) -> Result<()> {
        Ok(self
            .root
            .write("auth/token/revoke", &json!({"token": token.expose()}))
            .await?)
    }

    /// Does what a sidecar does with its token, and ends it.
    pub(super) async fn live_and_end(&self, token: &Token) -> Result<()> {
        let own = self.root.with_token(token)?;
        own.read::<Value>("auth/token/lookup-self").await?;
        own.write("auth/token/renew-self", &json!({})).await?;
        own.write("auth/token/revoke-self", &json!({})).await?;
        Ok(())
    }
}

/// The objects of these worlds have no values.
struct NoValues;

impl ValueStore for NoValues {
    async fn secret_key(&self, namespace: &str, name: &str, _: &str) -> Result<Sensitive<String>, Error> {
        unreachable!("{namespace}/{name}")
    }
}
