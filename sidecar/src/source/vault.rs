//! What the loop asks of Vault.

use crate::error::Error;
use keystead_vault::Error as VaultError;
use keystead_vault::resolve::Secrets;
use keystead_vault::session::Kept;
use tokio::time::Instant;

/// What the loop asks of Vault; a trait, so that tests can answer while time stands still.
pub(crate) trait Vault {
    /// When [`Self::keep`] has something to do.
    fn due(&self) -> Instant;
    /// Logs in or renews where it is time to.
    async fn keep(&mut self) -> Result<Kept, VaultError>;
    /// Reads and resolves everything; what Vault refuses is said of each secret. Credentials that are held
    /// are not asked for again.
    async fn read(&mut self) -> Result<Secrets, Error>;
    /// When [`Self::tend`] has something to do; none where it has not.
    fn tend_due(&self) -> Option<Instant>;
    /// Renews, replaces and ends credentials.
    async fn tend(&mut self) -> Tended;
    /// What was read last is on disk.
    fn written(&mut self);
    /// What Vault refuses is not on disk any more.
    fn taken_away(&mut self);
    /// When the first credential ends, if nothing is done.
    fn credentials_end(&self) -> Option<Instant>;
    /// How many requests a [`Self::read`] takes.
    fn reads(&self) -> usize;
    /// Gives a token up that Vault refuses.
    fn forget(&mut self);
    /// Ends the session at Vault; `false` where there is none.
    async fn revoke(&mut self) -> Result<bool, VaultError>;
}

/// What became of credentials.
#[derive(Debug, Default)]
pub(crate) struct Tended {
    /// All that are held, where one is another than what is on disk.
    pub(crate) news: Option<Secrets>,
    /// Why one could not be renewed or replaced.
    pub(crate) trouble: Option<Error>,
}
