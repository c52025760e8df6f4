//! The program once per cluster: watches what is declared, makes Vault match, and gives pods their
//! sidecars.

pub mod affected;
pub mod args;
mod check;
mod context;
mod definitions;
mod directory;
mod env_files;
mod events;
mod finalizer;
mod guard;
mod lease;
mod metrics;
mod providers;
pub mod queue;
pub mod reconcile;
mod release;
mod rotation;
mod run;
mod settled;
mod status;
mod sync;
mod versions;
mod watch;
pub mod webhook;

pub use check::check;
pub use release::release;
pub use run::{Error, run};
