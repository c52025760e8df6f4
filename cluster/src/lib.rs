//! The Kubernetes side that the operator and the people's tool share: one client whose calls all end,
//! all that is declared, the values in Secrets, whom to trust, the cluster's signing keys, and the way out.

pub mod connect;
pub mod connection;
mod deadline;
pub mod declared;
pub mod keys;
pub mod native;
pub mod release;
pub mod texts;
pub mod values;

pub use deadline::{answer, call, problem};
pub use values::Values;
