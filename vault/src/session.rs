//! Who stays logged in: a login by service account token, renewed at two thirds of its life and
//! replaced before it can't be renewed any more. One login, never one per request.

use crate::client::{Auth, Client, Method};
use crate::error::{Error, Request};
use crate::sensitive::Sensitive;
use serde::de::IgnoredAny;
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::Instant;

/// A token is replaced when a renewal leaves it less than this part of its first life.
const LEAST_PART_LEFT: f64 = 0.5;

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
            Some(token) if !token.renewable => self.replace(token).await,
            Some(token) => self.renew(token).await,
        }
    }

    /// Forgets the token, so that the next [`Self::keep`] logs in. For a token that Vault refuses.
    pub fn forget(&mut self) {
        self.token = None;
    }

    /// Ends the session at Vault, and with it every lease it made.
    pub async fn revoke(&mut self) -> Result<(), Error> {
        let Some(_) = self.token.take() else { return Ok(()) };
        let result = self.client.write("auth/token/revoke-self", &json!({})).await;
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
                    // Its maximum is near. The new token comes first, so that nothing is ever refused.
                    return self.replace(token).await;
                }
                self.token = Some(Token {
                    due: renewal(left),
                    ..token
                });
                Ok(Kept::Renewed)
            }
            Err(Error::Denied { .. } | Error::Refused { .. }) => self.log_in().await,
            Err(error) => Err(error),
        }
    }

    async fn replace(&mut self, old: Token) -> Result<Kept, Error> {
        let kept = self.log_in().await?;
        let retired = self.client.with_token(&old.secret)?;
        if let Err(error) = retired.write("auth/token/revoke-self", &json!({})).await {
            // It ends by itself at its time to live.
            tracing::debug!(%error, "the replaced token could not be revoked");
        }
        Ok(kept)
    }

    async fn log_in(&mut self) -> Result<Kept, Error> {
        let auth = log_in(&self.client, &self.login).await?;
        self.client.set_token(&auth.client_token)?;
        let full = Duration::from_secs(auth.lease_duration);
        self.token = Some(Token {
            secret: auth.client_token,
            full,
            renewable: auth.renewable,
            due: renewal(full),
        });
        Ok(Kept::LoggedIn)
    }
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
