//! The program once per cluster: watches what is declared, makes Vault match, and gives pods their
//! sidecars.

pub mod affected;
pub mod args;
mod context;
mod directory;
mod events;
mod lease;
mod metrics;
mod providers;
pub mod queue;
pub mod reconcile;
mod run;
mod status;
mod values;
mod watch;
pub mod webhook;

pub use run::{Error, run};
