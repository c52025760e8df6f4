//! Who stays logged in: a token that is renewed at two thirds of its life and replaced before it
//! can't be renewed any more. One login, never one per request.

mod login;

pub use login::Login;

use crate::client::{Client, Method};
use crate::error::Error;
use crate::sensitive::Sensitive;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// A token is replaced when a renewal leaves it less than this part of its first life.
const LEAST_PART_LEFT: f64 = 0.5;
/// Longest time for revoking a token that was given up: a login waits for it.
const REVOKE_DEADLINE: Duration = Duration::from_secs(2);

/// How many tokens that were given up are remembered: the oldest ends by itself before long.
const MOST_RETIRED: usize = 4;

/// Ends the token that asks.
const REVOKE: &str = "auth/token/revoke-self";

/// A client that stays logged in as long as [`Session::keep`] is called when it is due.
pub struct Session {
    client: Client,
    login: Login,
    token: Option<Token>,
    /// Tokens that were given up. They may be alive, so they are revoked when the next one is there.
    retired: Vec<Sensitive<String>>,
    /// Whether that is left to [`Session::end_retired`].
    lingers: bool,
}

#[derive(Clone)]
struct Token {
    saved: SavedToken,
    due: Instant,
}

/// What is to be known of a token to go on with it in another process.
#[derive(Clone, Debug, Deserialize)]
pub struct SavedToken {
    /// The token.
    pub secret: Sensitive<String>,
    /// Its life when it was new.
    pub full: Duration,
    /// Whether it can be renewed at all.
    pub renewable: bool,
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
            lingers: false,
        }
    }

    /// The same, and a token that another takes the place of lives on, because what it made at Vault would
    /// end with it. Whoever holds that calls [`Self::end_retired`] when it can go.
    #[must_use]
    pub fn lingering(self) -> Self {
        Self {
            lingers: true,
            ..self
        }
    }

    /// Goes on with a token that may have ended since: it is renewed at once. And with some that were given
    /// up.
    pub fn resume(
        &mut self,
        token: Option<SavedToken>,
        retired: Vec<Sensitive<String>>,
    ) -> Result<(), Error> {
        self.retired = retired;
        if let Some(saved) = token {
            self.client.set_token(&saved.secret)?;
            let due = Instant::now();
            self.token = Some(Token { saved, due });
        }
        Ok(())
    }

    /// The token, for [`Self::resume`].
    pub fn token(&self) -> Option<&SavedToken> {
        self.token.as_ref().map(|token| &token.saved)
    }

    /// Tokens that were given up and may be alive.
    pub fn retired(&self) -> &[Sensitive<String>] {
        &self.retired
    }

    /// Ends so many of the tokens that were given up, the oldest first, with all that they made.
    pub async fn end_retired(&mut self, count: usize) {
        let later = self.retired.split_off(count.min(self.retired.len()));
        revoke_all(&self.client, &mut self.retired).await;
        self.retired.extend(later);
    }

    /// Has the next [`Self::keep`] renew the token, which tells whether it is still good.
    pub fn doubt(&mut self) {
        if let Some(token) = &mut self.token {
            token.due = Instant::now();
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
            Some(token) if !token.saved.renewable => self.log_in().await,
            Some(token) => self.renew(token).await,
        }
    }

    /// Gives the token up, so that the next [`Self::keep`] logs in. For a token that Vault refuses: a
    /// path may be all it refuses, so the token is revoked once its successor is there.
    pub fn forget(&mut self) {
        if let Some(token) = self.token.take()
            && self.login.makes_tokens()
        {
            self.retired.push(token.saved.secret);
            let surplus = self.retired.len().saturating_sub(MOST_RETIRED);
            self.retired.drain(..surplus);
        }
    }

    /// Ends the session at Vault, and with it every lease it made. A token that was given is only
    /// put away.
    pub async fn revoke(&mut self) -> Result<(), Error> {
        let current = self.token.take().filter(|_| self.login.makes_tokens());
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
                if left < token.saved.full.mul_f64(LEAST_PART_LEFT) {
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
        let auth = self.login.log_in(&self.client).await?;
        self.client.set_token(&auth.client_token)?;
        self.forget();
        let full = Duration::from_secs(auth.lease_duration);
        self.token = Some(Token {
            saved: SavedToken {
                secret: auth.client_token,
                full,
                renewable: auth.renewable,
            },
            due: renewal(full),
        });
        if !self.lingers {
            self.end_retired(usize::MAX).await;
        }
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

/// Two thirds of a life from now, a tenth more or less, so that many sidecars don't renew at once.
fn renewal(life: Duration) -> Instant {
    Instant::now() + life.mul_f64(2.0 / 3.0 * (0.9 + 0.2 * fastrand::f64()))
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::fake::{Answer, Fake};
    use serde_json::Value;

    /// A server whose tokens live `ttl` seconds; renewals leave `left`.
    async fn session(login: Login, ttl: u64, left: u64) -> (Session, Fake) {
        let fake = Fake::start(move |asked| {
            let auth = |life: u64| json!({"auth": {"client_token": "s.new", "lease_duration": life, "renewable": true}});
            match asked.path.as_str() {
                "/v1/auth/token/renew-self" => Answer::ok(auth(left)),
                "/v1/auth/token/lookup-self" if asked.header("x-vault-token") == "s.given" => {
                    Answer::ok(json!({"data": {"ttl": ttl, "renewable": true, "expire_time": "2030-01-01T00:00:00Z"}}))
                }
                "/v1/auth/token/lookup-self" => Answer::refused(403, "permission denied"),
                "/v1/auth/approle/login" if asked.body["secret_id"] == "right" => Answer::ok(auth(ttl)),
                path if path.ends_with("/login") => Answer::refused(400, "invalid role or secret ID"),
                _ => Answer::ok(Value::Null),
            }
        })
        .await;
        (Session::new(fake.client(), login), fake)
    }

    fn app_role(secret: &str) -> Login {
        Login::AppRole {
            mount: "approle".into(),
            role_id: "an-id".into(),
            secret_id: secret.into(),
        }
    }

    #[tokio::test]
    async fn an_app_role_logs_in_and_its_token_is_ended() {
        let (mut session, fake) = session(app_role("right"), 60, 60).await;
        assert_eq!(session.keep().await, Ok(Kept::LoggedIn));
        assert_eq!(session.keep().await, Ok(Kept::Fresh));
        session.revoke().await.unwrap();
        assert_eq!(
            fake.asked(),
            ["POST /v1/auth/approle/login", "POST /v1/auth/token/revoke-self"]
        );
    }

    #[tokio::test]
    async fn a_refused_app_role_is_named_without_its_secret() {
        let (mut session, _fake) = session(app_role("wrong-hunter2"), 60, 60).await;
        let text = session.keep().await.unwrap_err().to_string();
        assert!(text.contains("an-id") && text.contains("auth/approle"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[tokio::test]
    async fn a_given_token_is_never_revoked() {
        let (mut session, fake) = session(Login::Token("s.given".into()), 60, 60).await;
        assert_eq!(session.keep().await, Ok(Kept::LoggedIn));
        session.forget();
        assert_eq!(session.keep().await, Ok(Kept::LoggedIn));
        session.revoke().await.unwrap();
        assert_eq!(fake.asked(), ["GET /v1/auth/token/lookup-self"; 2]);
    }

    #[tokio::test]
    async fn a_given_token_is_renewed_and_looked_at_when_its_end_is_near() {
        let (mut session, fake) = session(Login::Token("s.given".into()), 1, 60).await;
        assert_eq!(session.keep().await, Ok(Kept::LoggedIn));
        tokio::time::sleep_until(session.due()).await;
        assert_eq!(session.keep().await, Ok(Kept::Renewed));
        let asked = ["GET /v1/auth/token/lookup-self", "POST /v1/auth/token/renew-self"];
        assert_eq!(fake.asked(), asked);
    }

    #[tokio::test]
    async fn a_dead_given_token_is_an_error_that_says_so() {
        let (mut session, fake) = session(Login::Token("s.dead".into()), 60, 60).await;
        let error = session.keep().await.unwrap_err();
        assert!(matches!(error, Error::Token { .. }), "{error}");
        assert!(!error.to_string().contains("s.dead"), "{error}");
        session.revoke().await.unwrap();
        assert_eq!(fake.asked(), ["GET /v1/auth/token/lookup-self"]);
    }

    #[tokio::test(start_paused = true)]
    async fn renewal_is_due_around_two_thirds() {
        for _ in 0..1000 {
            let wait = renewal(Duration::from_mins(15)) - Instant::now();
            assert!((540..=660).contains(&wait.as_secs()), "{wait:?}");
        }
    }
}
