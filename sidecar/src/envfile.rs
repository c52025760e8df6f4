//! The file of environment variables that the kubelet reads for `fileKeyRef`.
//!
//! The kubelet's parser (`ParseEnv`, read and tested at 1.37) knows `NAME='value'` and nothing
//! else. The value stands between single quotes as it is, several lines if need be, and there is no
//! way to write a single quote. It reads line by line: a line may have less than 64 KiB, and a
//! carriage return before a newline is lost. An empty value counts as none, and a container whose
//! variable has more than about 128 KiB can't be started at all. What doesn't fit is refused here,
//! by name, instead of reaching the application changed.

use crate::error::{Error, Wanted, Way};
use keystead_vault::Sensitive;

/// Longest line, the name and the quotes of the first and last one included.
const LONGEST_LINE: usize = 64 * 1024 - 1;
/// Longest value. Linux takes 128 KiB for a variable; the rest is for the name and for safety.
pub(crate) const LONGEST_VALUE: usize = 100 * 1000;

/// A variable and its value.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// Its name.
    pub name: &'a str,
    /// Which value it is, for messages.
    pub wanted: Wanted,
    /// The value.
    pub value: &'a Sensitive<String>,
}

/// The whole file.
pub fn render<'a>(entries: impl IntoIterator<Item = Entry<'a>>) -> Result<Sensitive<String>, Error> {
    let entries: Vec<Entry<'_>> = entries.into_iter().collect();
    let size = entries
        .iter()
        .map(|entry| entry.name.len() + entry.value.expose().len() + "=''\n".len())
        .sum();
    // The size is exact, because a string that grows leaves copies behind.
    let mut text = String::with_capacity(size);
    for Entry { name, wanted, value } in entries {
        if let Some(why) = unfit(name, value.expose()) {
            return Err(Error::Unfit {
                wanted,
                way: Way::Env,
                why,
            });
        }
        for part in [name, "='", value.expose(), "'\n"] {
            text.push_str(part);
        }
    }
    Ok(Sensitive::new(text))
}

/// What keeps a value from travelling this way.
fn unfit(name: &str, value: &str) -> Option<&'static str> {
    if value.is_empty() {
        return Some("it is empty");
    }
    if value.contains('\'') {
        return Some("it has a single quote");
    }
    if value.contains("\r\n") {
        return Some("it has a carriage return before a newline");
    }
    if value.contains('\0') {
        return Some("it has a zero byte");
    }
    if value.len() > LONGEST_VALUE {
        return Some("it has more than 100 KB");
    }
    // The name and `='` stand on the first line, the closing quote on the last one.
    let frame = name.len() + "=''".len();
    if value.split('\n').any(|line| line.len() + frame > LONGEST_LINE) {
        return Some("it has a line of 64 KiB or more");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use keystead_crds::sidecar::SecretSource;
    use proptest::prelude::*;

    fn file(pairs: &[(String, String)]) -> Result<String, Error> {
        let values: Vec<Sensitive<String>> = pairs
            .iter()
            .map(|(_, value)| Sensitive::from(value.as_str()))
            .collect();
        let entries = pairs.iter().zip(&values).map(|((name, _), value)| Entry {
            name,
            wanted: Wanted {
                secret: SecretSource::Service("hubspot".into()),
                key: "api_key".into(),
            },
            value,
        });
        render(entries).map(|text| text.expose().clone())
    }

    fn one(value: &str) -> Result<String, Error> {
        file(&[("NAME".into(), value.into())])
    }

    /// The rules of the kubelet's parser, written down anew: lines of less than 64 KiB whose
    /// trailing carriage return is dropped, leading blanks, comments, `NAME='`, up to the next quote.
    fn read_as_the_kubelet(text: &str, key: &str) -> Result<String, String> {
        let mut lines = text.split_inclusive('\n').map(|line| {
            let line = line.strip_suffix('\n').unwrap_or(line);
            if line.len() >= 64 * 1024 {
                Err("line too long".to_owned())
            } else {
                Ok(line.strip_suffix('\r').unwrap_or(line))
            }
        });
        while let Some(line) = lines.next() {
            let line = line?.trim_start_matches([' ', '\t']);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, rest) = line.split_once('=').ok_or("missing =")?;
            let mut value = String::new();
            let mut rest = rest.strip_prefix('\'').ok_or("missing quote")?;
            let after = loop {
                if let Some((last, after)) = rest.split_once('\'') {
                    value.push_str(last);
                    break after;
                }
                value.push_str(rest);
                value.push('\n');
                rest = lines.next().ok_or("unclosed quote")??;
            };
            if !after.trim_start().is_empty() {
                return Err("content after the quote".into());
            }
            if name == key {
                return Ok(value);
            }
        }
        Err("not found".into())
    }

    #[test]
    fn what_cannot_travel_is_named_with_the_remedy() {
        let expected = "the value of hubspot/api_key can't travel as an environment variable because it has a single \
                        quote: mount it as a file instead (files[].format: Raw)";
        assert_eq!(one("it's").unwrap_err().to_string(), expected);
        let why = |value: &str| match one(value).unwrap_err() {
            Error::Unfit { why, .. } => why,
            other => panic!("{other}"),
        };
        assert_eq!(why(""), "it is empty");
        assert_eq!(why("a\r\nb"), "it has a carriage return before a newline");
        assert_eq!(why("a\0b"), "it has a zero byte");
        assert_eq!(why(&"line\n".repeat(20_001)), "it has more than 100 KB");
        assert_eq!(why(&"x".repeat(64 * 1024 - 7)), "it has a line of 64 KiB or more");
    }

    #[test]
    fn the_longest_line_is_exact() {
        let longest = "x".repeat(64 * 1024 - 1 - "NAME=''".len());
        let text = one(&longest).unwrap();
        assert_eq!(text.len(), 64 * 1024, "with its newline");
        assert_eq!(read_as_the_kubelet(&text, "NAME"), Ok(longest));
    }

    proptest! {
        /// What is accepted arrives unchanged, whatever stands beside it.
        #[test]
        fn the_kubelet_reads_what_was_written(
            values in proptest::collection::vec("[ -~é\r\n\t#='$\"\\\\]{0,12}", 1..5)
        ) {
            let pairs: Vec<(String, String)> =
                values.into_iter().enumerate().map(|(index, value)| (format!("V{index}"), value)).collect();
            if let Ok(text) = file(&pairs) {
                for (name, value) in &pairs {
                    prop_assert_eq!(&read_as_the_kubelet(&text, name), &Ok(value.clone()));
                }
            } else {
                prop_assert!(pairs.iter().any(|(_, value)| value.is_empty() || value.contains('\'') || value.contains("\r\n")));
            }
        }
    }
}
