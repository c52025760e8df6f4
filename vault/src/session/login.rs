//! How a session gets its token.

use crate::client::{Auth, Client, Method};
use crate::error::{Error, Request};
use crate::sensitive::Sensitive;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use std::path::PathBuf;

/// How long the life of a token that never ends is taken for, in seconds: it is looked at within it.
const A_DAY: u64 = 24 * 60 * 60;

/// How to log in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Login {
    /// By a service account token. Vault's `kubernetes` and `jwt` methods take the same request.
    Jwt {
        /// Path of the auth mount, without `auth/`.
        mount: String,
        /// The role.
        role: String,
        /// File with the token; read anew at each login, because the kubelet replaces it.
        jwt_file: PathBuf,
    },
    /// By an id and a secret that a person handed out.
    AppRole {
        /// Path of the auth mount, without `auth/`.
        mount: String,
        /// The role's id.
        role_id: String,
        /// Its secret.
        secret_id: Sensitive<String>,
    },
    /// A token that somebody made and gave. It is renewed as far as it lets itself be, and never
    /// revoked: it is not ours to end.
    Token(Sensitive<String>),
}

impl Login {
    /// Whether its tokens are made by us, and so ended by us.
    pub(super) fn makes_tokens(&self) -> bool {
        !matches!(self, Self::Token(_))
    }

    /// A token, and how long it lives.
    pub(super) async fn log_in(&self, client: &Client) -> Result<Auth, Error> {
        match self {
            Self::Jwt {
                mount,
                role,
                jwt_file,
            } => {
                let jwt = tokio::fs::read_to_string(jwt_file)
                    .await
                    .map(Sensitive::new)
                    .map_err(|error| Error::Jwt {
                        file: jwt_file.display().to_string(),
                        why: error.to_string(),
                    })?;
                let body = json!({ "role": role, "jwt": jwt.expose().trim() });
                ask(client, mount, role, body).await
            }
            Self::AppRole {
                mount,
                role_id,
                secret_id,
            } => {
                let body = json!({ "role_id": role_id, "secret_id": secret_id.expose().trim() });
                ask(client, mount, role_id, body).await
            }
            Self::Token(token) => look_up(client, token).await,
        }
    }
}

async fn ask(client: &Client, mount: &str, role: &str, body: Value) -> Result<Auth, Error> {
    let path = format!("auth/{mount}/login");
    let refused = |why| Error::Login {
        mount: mount.to_owned(),
        role: role.to_owned(),
        why,
    };
    match client.call::<IgnoredAny>(Method::Post, &path, Some(&body)).await {
        Ok(answer) => answer.auth.ok_or_else(|| Error::Answer {
            request: Request { method: "POST", path },
            why: "a login without a token".into(),
        }),
        Err(Error::Denied { .. }) => Err(refused("permission denied".into())),
        Err(Error::NotFound { .. }) => Err(refused("there is no such auth mount".into())),
        Err(Error::Refused { why, .. }) => Err(refused(why)),
        Err(error) => Err(error),
    }
}

async fn look_up(client: &Client, token: &Sensitive<String>) -> Result<Auth, Error> {
    #[derive(Deserialize)]
    struct Found {
        ttl: u64,
        #[serde(default)]
        renewable: bool,
        expire_time: Option<String>,
    }
    let client = client.with_token(token)?;
    let found: Found = match client.read("auth/token/lookup-self").await {
        Ok(found) => found,
        Err(Error::Denied { .. }) => {
            return Err(Error::Token {
                why: "permission denied".into(),
            });
        }
        Err(Error::Refused { why, .. }) => return Err(Error::Token { why }),
        Err(error) => return Err(error),
    };
    let ends = found.expire_time.is_some();
    if ends && !found.renewable {
        tracing::warn!(
            seconds = found.ttl,
            "the Vault token that was given can't be renewed and ends: give another in time"
        );
    }
    Ok(Auth {
        client_token: token.clone(),
        lease_duration: if ends { found.ttl.max(1) } else { A_DAY },
        renewable: ends && found.renewable,
    })
}
