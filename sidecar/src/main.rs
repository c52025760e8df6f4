//! Keystead: the sidecar program.
fn main() {}
