//! Keystead: runtime.
