//! Keystead: operator.
