//! `Raw`: one key's value, byte for byte.

use keystead_vault::Sensitive;

/// The value and nothing else: a newline at the end would make a key file or a password another one.
pub fn render(value: &Sensitive<String>) -> Sensitive<String> {
    value.clone()
}
