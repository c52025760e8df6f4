//! What each of Keystead's programs needs to run: the TLS provider, the log, the end, probes and
//! metrics, and waiting longer after each failure. The sidecar carries it too, so it stays small.

pub mod backoff;
pub mod crypto;
pub mod log;
pub mod probes;
pub mod shutdown;

pub use backoff::Backoff;
pub use probes::Readiness;
pub use shutdown::Shutdown;
