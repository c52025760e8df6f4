//! In the bed's network, with its Vault's root: for tests that speak to Vault without a program between.

use std::fs;
use std::thread;

use anyhow::{Result, anyhow};
use keystead_vault::{Client, Connection, Sensitive};
use tokio::runtime::{Builder, Runtime};

use crate::bed::Bed;

/// What is at hand there.
pub(crate) struct Inside {
    pub(crate) runtime: Runtime,
    /// How to reach the bed's Vault.
    pub(crate) connection: Connection,
    /// Its administrator.
    pub(crate) root: Client,
}

/// Works in the bed's network, which is a thread's own.
pub(crate) fn inside<T: Send>(bed: &Bed, work: impl FnOnce(Inside) -> Result<T> + Send) -> Result<T> {
    let enter = || {
        bed.enter()?;
        let connection = Connection {
            address: bed.vault_address.clone(),
            ca: Some(fs::read_to_string(&bed.vault_ca)?),
            ..Connection::default()
        };
        let root = Client::new(&connection)?;
        root.set_token(&Sensitive::new(fs::read_to_string(&bed.vault_token_file)?))?;
        work(Inside {
            runtime: Builder::new_current_thread().enable_all().build()?,
            connection,
            root,
        })
    };
    let result = thread::scope(|scope| scope.spawn(enter).join());
    result.unwrap_or_else(|_| Err(anyhow!("it panicked: see above")))
}
