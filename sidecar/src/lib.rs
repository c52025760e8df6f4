//! The program in each pod: logs in with the pod's own token, resolves the pod's secrets, writes
//! them for the application, keeps them current, and revokes its token when the pod ends.
//!
//! Nothing here knows Kubernetes' API: all that the sidecar is told stands in its environment.

pub mod args;
pub mod config;
pub mod envfile;
pub mod error;
pub mod exec;
pub mod files;
pub mod gate;
mod http;
pub mod metrics;
pub mod notify;
pub mod plan;
pub mod render;
pub mod report;
pub mod run;
pub mod socket;
mod source;

pub use error::Error;
