//! `Json`: one object, a key a line, in the order of their names. Every value is a string, as it is
//! everywhere else: who wants a number or a list writes a template.

use super::{Keys, sized};
use keystead_vault::Sensitive;
use std::fmt::{self, Write};

/// The object.
pub fn render(keys: &Keys<'_>) -> Sensitive<String> {
    sized(|out| {
        out.write_str("{")?;
        for (index, (key, found)) in keys.iter().enumerate() {
            out.write_str(if index == 0 { "\n  " } else { ",\n  " })?;
            quote(out, key)?;
            out.write_str(": ")?;
            quote(out, found.value.expose())?;
        }
        out.write_str("\n}\n")
    })
}

/// A string of JSON that is one of YAML too, of whichever version: what some parser takes for the end
/// of a line, or for no character at all, is escaped.
pub(super) fn quote(out: &mut dyn Write, text: &str) -> fmt::Result {
    out.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' => out.write_str("\\\"")?,
            '\\' => out.write_str("\\\\")?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            '\0'..' ' | '\x7f'..'\u{a0}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                write!(out, "\\u{:04x}", u32::from(c))?;
            }
            c => out.write_char(c)?,
        }
    }
    out.write_char('"')
}
