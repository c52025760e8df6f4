//! Keystead: the operator program.
fn main() {}
