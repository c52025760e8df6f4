//! Who stays logged in: a login by service account token, renewed at two thirds of its life and
//! replaced before it can't be renewed any more. One login, never one per request.

use crate::client::{Auth, Client, Method};
use crate::error::{Error, Request};
use crate::sensitive::Sensitive;
use serde::de::IgnoredAny;
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// A token is replaced when a renewal leaves it less than this part of its first life.
const LEAST_PART_LEFT: f64 = 0.5;
/// Longest time for revoking a token that was given up: a login waits for it.
const REVOKE_DEADLINE: Duration = Duration::from_secs(2);

/// Ends the token that asks.
const REVOKE: &str = "auth/token/revoke-self";

/// How to log in. Vault's `kubernetes` and `jwt` methods take the same request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Login {
    /// Path of the auth mount, without `auth/`.
    pub mount: String,
    /// The role.
    pub role: String,
    /// File with the service account token; read anew at each login, because the kubelet replaces it.
    pub jwt_file: PathBuf,
}

/// A client that stays logged in as long as [`Session::keep`] is called when it is due.
pub struct Session {
    client: Client,
    login: Login,
    token: Option<Token>,
    /// Tokens that were given up. They may be alive, so they are revoked when the next one is there.
    retired: Vec<Sensitive<String>>,
}

#[derive(Clone)]
struct Token {
    secret: Sensitive<String>,
    /// Its life when it was new.
    full: Duration,
    renewable: bool,
    due: Instant,
}

/// What [`Session::keep`] did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kept {
    /// The token is good for a while yet.
    Fresh,
    /// A new login.
    LoggedIn,
    /// The same token, for longer.
    Renewed,
}

impl Session {
    /// A session that has not logged in.
    pub fn new(client: Client, login: Login) -> Self {
        Self {
            client,
            login,
            token: None,
            retired: Vec::new(),
        }
    }

    /// The client; it carries the session's token.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// When [`Self::keep`] has something to do; now, where there is no token.
    pub fn due(&self) -> Instant {
        self.token.as_ref().map_or_else(Instant::now, |token| token.due)
    }

    /// Logs in where there is no token, renews where it is time to.
    pub async fn keep(&mut self) -> Result<Kept, Error> {
        match self.token.clone() {
            None => self.log_in().await,
            Some(token) if Instant::now() < token.due => Ok(Kept::Fresh),
            Some(token) if !token.renewable => self.log_in().await,
            Some(token) => self.renew(token).await,
        }
    }

    /// Gives the token up, so that the next [`Self::keep`] logs in. For a token that Vault refuses: a
    /// path may be all it refuses, so the token is revoked once its successor is there.
    pub fn forget(&mut self) {
        if let Some(token) = self.token.take() {
            self.retired.push(token.secret);
        }
    }

    /// Ends the session at Vault, and with it every lease it made.
    pub async fn revoke(&mut self) -> Result<(), Error> {
        let current = self.token.take();
        let Self { client, retired, .. } = self;
        let (result, ()) = tokio::join!(
            async {
                match current {
                    Some(_) => client.write(REVOKE, &json!({})).await,
                    None => Ok(()),
                }
            },
            revoke_all(client, retired),
        );
        self.client.clear_token();
        result
    }

    async fn renew(&mut self, token: Token) -> Result<Kept, Error> {
        match self
            .client
            .call::<IgnoredAny>(Method::Post, "auth/token/renew-self", Some(&json!({})))
            .await
        {
            Ok(answer) => {
                let left = answer
                    .auth
                    .map_or(Duration::ZERO, |auth| Duration::from_secs(auth.lease_duration));
                if left < token.full.mul_f64(LEAST_PART_LEFT) {
                    // Its maximum is near.
                    return self.log_in().await;
                }
                self.token = Some(Token {
                    due: renewal(left),
                    ..token
                });
                Ok(Kept::Renewed)
            }
            Err(Error::Refused { .. }) => self.log_in().await,
            Err(Error::Denied { .. }) => {
                // It is dead, or has no right to renew itself.
                self.forget();
                self.log_in().await
            }
            Err(error) => Err(error),
        }
    }

    /// A new token. The one there was stays until it is there, so that nothing is ever refused.
    async fn log_in(&mut self) -> Result<Kept, Error> {
        let auth = log_in(&self.client, &self.login).await?;
        self.client.set_token(&auth.client_token)?;
        self.forget();
        let full = Duration::from_secs(auth.lease_duration);
        self.token = Some(Token {
            secret: auth.client_token,
            full,
            renewable: auth.renewable,
            due: renewal(full),
        });
        revoke_all(&self.client, &mut self.retired).await;
        Ok(Kept::LoggedIn)
    }
}

/// Revokes tokens that are used no more, as far as Vault lets it in time: they end by themselves at
/// their time to live. Where this is dropped half-way, what is not revoked is kept for the next time.
async fn revoke_all(client: &Client, tokens: &mut Vec<Sensitive<String>>) {
    let revoke = async {
        while let Some(token) = tokens.last() {
            if let Err(error) = revoke(client, token).await {
                tracing::debug!(%error, "a token that was given up could not be revoked");
            }
            tokens.pop();
        }
    };
    if timeout(REVOKE_DEADLINE, revoke).await.is_err() {
        tracing::debug!("no answer to the revocation of a token that was given up");
        tokens.clear();
    }
}

async fn revoke(client: &Client, token: &Sensitive<String>) -> Result<(), Error> {
    client.with_token(token)?.write(REVOKE, &json!({})).await
}

async fn log_in(client: &Client, login: &Login) -> Result<Auth, Error> {
    let Login {
        mount,
        role,
        jwt_file,
    } = login;
    let jwt = tokio::fs::read_to_string(jwt_file)
        .await
        .map(Sensitive::new)
        .map_err(|error| Error::Jwt {
            file: jwt_file.display().to_string(),
            why: error.to_string(),
        })?;
    let path = format!("auth/{mount}/login");
    let body = json!({ "role": role, "jwt": jwt.expose().trim() });
    let refused = |why| Error::Login {
        mount: mount.clone(),
        role: role.clone(),
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

/// Two thirds of a life from now, a tenth more or less, so that many sidecars don't renew at once.
fn renewal(life: Duration) -> Instant {
    Instant::now() + life.mul_f64(2.0 / 3.0 * (0.9 + 0.2 * fastrand::f64()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn renewal_is_due_around_two_thirds() {
        for _ in 0..1000 {
            let wait = renewal(Duration::from_mins(15)) - Instant::now();
            assert!((540..=660).contains(&wait.as_secs()), "{wait:?}");
        }
    }
}
