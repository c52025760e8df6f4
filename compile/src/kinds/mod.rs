//! One file a kind: what its objects mean for Vault.

pub mod binding;
pub mod credential;
pub mod database;
pub mod defaults;
pub mod encryption;
pub mod holders;
pub mod pod;
pub mod provider;
pub mod scope;
pub mod sync;
