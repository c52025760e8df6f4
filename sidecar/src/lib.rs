//! Keystead: sidecar.
