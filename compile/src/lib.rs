//! The heart, and pure: what is declared in the cluster → which Vault objects there should be, and
//! what a pod is shown. No I/O, no clock; the same world gives the same answer.

pub mod admit;
pub mod fingerprint;
mod held;
mod index;
mod key;
pub mod kinds;
pub mod pause;
mod problem;
pub mod quantity;
#[cfg(test)]
mod random;
pub mod world;

pub use held::Held;
pub use key::Key;
pub use problem::Problem;
pub use world::{ProviderFacts, World};

#[cfg(test)]
mod fixtures;
