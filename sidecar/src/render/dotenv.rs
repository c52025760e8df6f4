//! `Dotenv`: one variable for each key of a secret, in the order of the names.
//!
//! A file that a POSIX shell reads back exactly, and that the libraries which read such files agree
//! on as far as they agree at all:
//!
//! - The name is the key in ASCII upper case, every other character than `A-Z`, `0-9` and `_`
//!   replaced by `_`, with a `_` before a leading digit (`api-key` → `API_KEY`, `2fa` → `_2FA`).
//! - A value without a single quote stands between single quotes as it is, newlines included.
//! - A value with a single quote stands between double quotes, with a backslash before each `\`,
//!   `"`, `$` and `` ` ``. A newline stands as it is there too: shells know no `\n`.
//! - Each variable ends with a newline.
//!
//! No quoting is read alike everywhere once a value has a single quote *and* one of those four
//! characters, or two backslashes in a row; whoever has such values mounts them `Raw`.

use super::Keys;
use crate::error::{Error, Wanted, Way};
use keystead_crds::sidecar::SecretSource;
use keystead_vault::Sensitive;
use keystead_vault::resolve::Resolved;
use std::collections::BTreeMap;

/// What a backslash must stand before, between double quotes.
const SPECIAL: [char; 4] = ['\\', '"', '$', '`'];

/// The file for these keys of a secret.
pub fn render(secret: &SecretSource, keys: &Keys<'_>) -> Result<Sensitive<String>, Error> {
    let mut named: BTreeMap<String, (&str, &str)> = BTreeMap::new();
    for (key, Resolved { value, .. }) in keys {
        let value = value.expose().as_str();
        if value.contains('\0') {
            let wanted = Wanted {
                secret: secret.clone(),
                key: (*key).to_owned(),
            };
            return Err(Error::Unfit {
                wanted,
                way: Way::Dotenv,
                why: "it has a zero byte",
            });
        }
        let name = variable_name(key);
        if let Some((first, _)) = named.get(&name) {
            let (first, second) = ((*first).to_owned(), (*key).to_owned());
            let secret = secret.name().to_owned();
            return Err(Error::SameName {
                secret,
                first,
                second,
                name,
            });
        }
        named.insert(name, (key, value));
    }
    // Twice a value is enough room for its escapes: a string that grows leaves copies behind.
    let size = named
        .iter()
        .map(|(name, (_, value))| name.len() + 2 * value.len() + "=''\n".len())
        .sum();
    let mut text = String::with_capacity(size);
    for (name, (_, value)) in &named {
        text.push_str(name);
        text.push('=');
        push_quoted(&mut text, value);
        text.push('\n');
    }
    Ok(Sensitive::new(text))
}

/// The variable a key becomes.
fn variable_name(key: &str) -> String {
    let legal = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    let name: String = key.chars().map(legal).collect();
    if name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) {
        return format!("_{name}");
    }
    name
}

fn push_quoted(text: &mut String, value: &str) {
    if !value.contains('\'') {
        text.push('\'');
        text.push_str(value);
        text.push('\'');
        return;
    }
    text.push('"');
    for c in value.chars() {
        if SPECIAL.contains(&c) {
            text.push('\\');
        }
        text.push(c);
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use keystead_vault::resolve::Origin;
    use proptest::prelude::*;
    use std::io::Write as _;
    use std::process::Command;

    /// The file for these keys of service hubspot.
    fn file<K: AsRef<str>, V: AsRef<str>>(pairs: &[(K, V)]) -> Result<Sensitive<String>, Error> {
        let resolved = |value: &str| Resolved {
            value: value.into(),
            origin: Origin::Path,
            version: None,
            ends: None,
        };
        let keys: Vec<(&str, Resolved)> = pairs
            .iter()
            .map(|(key, value)| (key.as_ref(), resolved(value.as_ref())))
            .collect();
        let keys = keys.iter().map(|(key, value)| (*key, value)).collect();
        render(&SecretSource::Service("hubspot".into()), &keys)
    }

    fn text(pairs: &[(&str, &str)]) -> String {
        file(pairs).unwrap().expose().clone()
    }

    #[test]
    fn quotes_are_single_unless_the_value_has_one() {
        assert_eq!(
            text(&[("api-key", "a$b"), ("base_url", "https://x")]),
            "API_KEY='a$b'\nBASE_URL='https://x'\n"
        );
        assert_eq!(text(&[("2fa.é", "two\nlines\\")]), "_2FA__='two\nlines\\'\n");
        assert_eq!(
            text(&[("a", r#"it's "$5" \ `x`"#)]),
            "A=\"it's \\\"\\$5\\\" \\\\ \\`x\\`\"\n"
        );
        assert_eq!(text(&[("a", "")]), "A=''\n");
    }

    #[test]
    fn two_keys_of_one_name_are_both_named() {
        let error = file(&[("api-key", "1"), ("api_key", "2")]).unwrap_err();
        let expected = "the keys api-key and api_key of hubspot would both be API_KEY in a Dotenv file: mount them one \
                        by one instead (files[].format: Raw)";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_zero_byte_is_refused() {
        let error = file(&[("cert", "a\0b")]).unwrap_err();
        let expected = "the value of hubspot/cert can't travel in a Dotenv file because it has a zero byte: mount it \
                        as a file instead (files[].format: Raw)";
        assert_eq!(error.to_string(), expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_shell_reads_back_what_was_written(
            values in proptest::collection::vec("[ -~é\r\n\t'\"$`\\\\!#]{0,16}", 1..6)
        ) {
            // The names are our own: a shell has variables that can't be set.
            let pairs: Vec<(String, String)> =
                values.into_iter().enumerate().map(|(index, value)| (format!("key-{index}"), value)).collect();
            let rendered = file(&pairs).unwrap();
            let mut temporary = tempfile::NamedTempFile::new().unwrap();
            temporary.write_all(rendered.expose().as_bytes()).unwrap();
            let shown: Vec<String> = (0..pairs.len()).map(|index| format!("\"$KEY_{index}\"")).collect();
            let script = format!(". '{}'; printf '%s\\0' {}", temporary.path().display(), shown.join(" "));
            let output = Command::new("sh").arg("-c").arg(script).output().unwrap();
            prop_assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
            let read = String::from_utf8(output.stdout).unwrap();
            let read: Vec<&str> = read.split_terminator('\0').collect();
            let written: Vec<&str> = pairs.iter().map(|(_, value)| value.as_str()).collect();
            prop_assert_eq!(read, written);
        }
    }
}
