//! Keystead: the cli program.
fn main() {}
