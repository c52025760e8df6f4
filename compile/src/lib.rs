//! Keystead: compile.
