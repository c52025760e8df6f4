//! Keystead: vault.
