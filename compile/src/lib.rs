//! The heart, and pure: what is declared in the cluster → which Vault objects there should be, and
//! what a pod is shown. No I/O, no clock; the same world gives the same answer.

pub mod admit;
pub mod fingerprint;
mod index;
pub mod kinds;
pub mod pause;
mod problem;
pub mod quantity;
#[cfg(test)]
mod random;
pub mod world;

pub use problem::Problem;
pub use world::{Key, ProviderFacts, World};

#[cfg(test)]
mod fixtures;
