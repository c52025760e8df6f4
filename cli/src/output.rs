//! What people read.

use std::io::Write;

/// Writes a line; nobody is left to tell if it can't be.
pub(crate) fn line(to: &mut impl Write, text: &str) {
    let _ = writeln!(to, "{text}");
}
