//! `Yaml`: one mapping, a key a line, in the order of their names. Every key and every value stands
//! between double quotes, so that no `no` becomes a boolean and no `0123` a number.

use super::json::quote;
use super::{Keys, sized};
use keystead_vault::Sensitive;

/// Longest key that may stand before its colon, as parsers have it (1024), less the escapes' worth.
const LONGEST_KEY: usize = 1024 / "\\u0000".len();

/// The mapping.
pub fn render(keys: &Keys<'_>) -> Sensitive<String> {
    sized(|out| {
        for (key, found) in keys {
            if key.len() <= LONGEST_KEY {
                quote(out, key)?;
            } else {
                out.write_str("? ")?;
                quote(out, key)?;
                out.write_char('\n')?;
            }
            out.write_str(": ")?;
            quote(out, found.value.expose())?;
            out.write_char('\n')?;
        }
        Ok(())
    })
}
