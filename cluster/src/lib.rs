//! The Kubernetes side that the operator and the people's tool share: one client whose calls all end,
//! all that is declared, the values in Secrets, whom to trust, the cluster's signing keys, and the way out.

mod authorities;
pub mod connect;
mod deadline;
pub mod declared;
pub mod keys;
pub mod release;
pub mod values;

pub use authorities::authorities;
pub use deadline::{call, problem};
pub use values::Values;
