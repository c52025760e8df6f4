//! Credentials between refreshes: each has dates of its own, and none waits for the others' troubles.

use super::Pod;
use crate::error::Error;
use crate::files::Written;
use crate::source::{Tended, Vault};
use keystead_vault::resolve::Secrets;
use tokio::time::Instant;

impl Pod {
    /// Renews, replaces and ends what is due. What is said of troubles is said, and tried again in its own time.
    pub(super) async fn tend(&mut self, vault: &mut impl Vault) {
        let Tended { news, trouble } = vault.tend().await;
        let written = news.map_or(Ok(()), |news| self.show(news, vault));
        self.metrics.credentials_end(vault.credentials_end());
        match trouble {
            // It is no longer held: whether access was taken away is for a refresh to find out.
            Some(error) if error.is_denied() => self.plan.hurry(Instant::now()),
            Some(error) => {
                self.metrics.renewal_error();
                self.say(&error);
            }
            None => {}
        }
        if let Err(error) = written {
            self.plan.failed(Instant::now());
            self.say(&error);
        }
    }

    /// Puts new credentials beside all else as it was read last.
    fn show(&mut self, news: Secrets, vault: &mut impl Vault) -> Result<(), Error> {
        let secrets = self.answers.with(news);
        let rendered = self.render(&secrets)?;
        let written = self.put(&rendered)?;
        // What `exec` is handed goes with the gate, which stays shut where access was taken away.
        if self.gate.is_open() {
            self.gate.open()?;
        }
        vault.written();
        self.answers.set(secrets);
        if written == Written::Changed {
            tracing::info!("a credential was replaced");
        }
        Ok(())
    }
}
