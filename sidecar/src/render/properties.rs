//! `Properties`: `key=value` lines, in the order of the keys, as `java.util.Properties.load` reads them.
//! All that is not printable ASCII is escaped, so that every encoding that Java may assume reads it alike.

use super::{Keys, sized};
use keystead_vault::Sensitive;
use std::fmt::{self, Write};

/// The lines.
pub fn render(keys: &Keys<'_>) -> Sensitive<String> {
    sized(|out| {
        for (key, found) in keys {
            escape(out, key, |_| true)?;
            out.write_char('=')?;
            // Further blanks are the value's own.
            escape(out, found.value.expose(), |index| index == 0)?;
            out.write_char('\n')?;
        }
        Ok(())
    })
}

/// Writes a key or a value; `blank` says where a blank would not be taken for one.
fn escape(out: &mut dyn Write, text: &str, blank: impl Fn(usize) -> bool) -> fmt::Result {
    for (index, c) in text.chars().enumerate() {
        match c {
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            '\\' | ':' | '=' | '#' | '!' => write!(out, "\\{c}")?,
            ' ' if blank(index) => out.write_str("\\ ")?,
            ' '..='~' => out.write_char(c)?,
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04X}")?;
                }
            }
        }
    }
    Ok(())
}
