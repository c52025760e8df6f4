//! Vault as the loop sees it: a token to be kept and values to be read.

use crate::config::{Dirs, Settings};
use keystead_crds::names;
use keystead_vault::resolve::{Secrets, Source, resolve_allowed};
use keystead_vault::session::Kept;
use keystead_vault::{Client, Connection, Error, Login, Session};
use tokio::time::Instant;

/// What the loop asks of Vault; a trait, so that tests can answer while time stands still.
pub(crate) trait Vault {
    /// When [`Self::keep`] has something to do.
    fn due(&self) -> Instant;
    /// Logs in or renews where it is time to.
    async fn keep(&mut self) -> Result<Kept, Error>;
    /// Reads and resolves everything; what Vault refuses is said of each secret.
    async fn read(&mut self) -> Result<Secrets, Error>;
    /// How many requests a [`Self::read`] takes.
    fn reads(&self) -> usize;
    /// Gives a token up that Vault refuses.
    fn forget(&mut self);
    /// Ends the session at Vault; `false` where there is none.
    async fn revoke(&mut self) -> Result<bool, Error>;
}

/// A real server.
pub(crate) struct Server {
    session: Session,
    logged_in: bool,
    sources: Vec<Source>,
}

impl Server {
    /// The server that the config names; nothing is sent yet.
    pub(crate) fn new(settings: &Settings, dirs: &Dirs) -> Result<Self, Error> {
        let vault = &settings.vault;
        let client = Client::new(&Connection {
            address: vault.address.clone(),
            ca: vault.ca.clone(),
            namespace: vault.namespace.clone(),
            server_name: vault.server_name.clone(),
            ..Connection::default()
        })?;
        let login = Login::Jwt {
            mount: vault.auth_mount.clone(),
            role: vault.role.clone(),
            jwt_file: dirs.token.join(names::TOKEN_FILE),
        };
        Ok(Self {
            session: Session::new(client, login),
            logged_in: false,
            sources: settings.sources.clone(),
        })
    }
}

impl Vault for Server {
    fn due(&self) -> Instant {
        self.session.due()
    }

    async fn keep(&mut self) -> Result<Kept, Error> {
        let kept = self.session.keep().await?;
        self.logged_in = true;
        Ok(kept)
    }

    async fn read(&mut self) -> Result<Secrets, Error> {
        resolve_allowed(self.session.client(), self.sources.clone()).await
    }

    fn reads(&self) -> usize {
        self.sources.len()
    }

    fn forget(&mut self) {
        self.session.forget();
        self.logged_in = false;
    }

    async fn revoke(&mut self) -> Result<bool, Error> {
        let logged_in = std::mem::take(&mut self.logged_in);
        self.session.revoke().await.map(|()| logged_in)
    }
}

#[cfg(test)]
mod tests;
