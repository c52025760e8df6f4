//! The only room that knows Vault's HTTP API: login and token life, typed objects and the engine
//! that applies them, resolution of scopes, policy text.

pub mod client;
pub mod digest;
pub mod engine;
mod error;
#[cfg(test)]
mod fake;
pub mod hcl;
pub mod jwks;
pub mod lease;
pub mod left;
pub mod mounted;
pub mod name;
pub mod object;
pub mod path;
pub mod resolve;
pub mod rights;
pub mod seal;
mod sensitive;
pub mod session;

pub use client::{Client, Connection, Health};
pub use error::{Error, Request};
pub use sensitive::Sensitive;
pub use session::{Login, Session};
