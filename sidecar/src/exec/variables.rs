//! The file of environment variables that `exec` reads: `NAME=value`, each ended by a zero byte, as the
//! kernel itself lists an environment. Nothing needs quoting, so nearly every value fits.

use crate::envfile::{Entry, LONGEST_VALUE};
use crate::error::{Error, Way};
use keystead_vault::Sensitive;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

/// The whole file.
pub(crate) fn render<'a>(entries: impl IntoIterator<Item = Entry<'a>>) -> Result<Sensitive<String>, Error> {
    let entries: Vec<Entry<'_>> = entries.into_iter().collect();
    let size = entries
        .iter()
        .map(|entry| entry.name.len() + entry.value.expose().len() + "=\0".len())
        .sum();
    // The size is exact, because a string that grows leaves copies behind.
    let mut text = String::with_capacity(size);
    for Entry { name, wanted, value } in entries {
        if let Some(why) = unfit(value.expose()) {
            let way = Way::Env;
            return Err(Error::Unfit { wanted, way, why });
        }
        for part in [name, "=", value.expose(), "\0"] {
            text.push_str(part);
        }
    }
    Ok(Sensitive::new(text))
}

/// What keeps a value from being a variable of any process.
fn unfit(value: &str) -> Option<&'static str> {
    if value.contains('\0') {
        Some("it has a zero byte")
    } else if value.len() > LONGEST_VALUE {
        Some("it has more than 100 KB")
    } else {
        None
    }
}

/// The names and values in such a file.
pub(super) fn parse(text: &[u8]) -> impl Iterator<Item = (&OsStr, &OsStr)> {
    let pairs = text.split(|byte| *byte == 0).filter(|pair| !pair.is_empty());
    pairs.filter_map(|pair| {
        let middle = pair.iter().position(|byte| *byte == b'=')?;
        Some((
            OsStr::from_bytes(&pair[..middle]),
            OsStr::from_bytes(&pair[middle + 1..]),
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Wanted;
    use keystead_crds::sidecar::SecretSource;

    fn file(values: &[(&str, &str)]) -> Result<String, String> {
        let values = values.iter();
        let values: Vec<_> = values
            .map(|(name, value)| (name, Sensitive::from(*value)))
            .collect();
        let entries = values.iter().map(|(name, value)| Entry {
            name,
            wanted: Wanted {
                secret: SecretSource::Service("hubspot".into()),
                key: "api_key".into(),
            },
            value,
        });
        let text = render(entries).map_err(|error| error.to_string())?;
        Ok(text.expose().clone())
    }

    #[test]
    fn whatever_a_process_can_have_arrives() {
        let values = [
            ("QUOTES", "it's \"so\"=$HOME"),
            ("EMPTY", ""),
            ("LINES", "a\r\nb\n\n"),
            ("É", "ü"),
        ];
        let text = file(&values).unwrap();
        let found: Vec<_> = parse(text.as_bytes()).collect();
        let wanted = values.map(|(name, value)| (OsStr::new(name), OsStr::new(value)));
        assert_eq!(found, wanted);
        assert_eq!(parse(b"").count(), 0);
    }

    #[test]
    fn what_no_process_can_have_is_named() {
        let long = "x".repeat(LONGEST_VALUE + 1);
        for (value, why) in [
            ("a\0b", "it has a zero byte"),
            (long.as_str(), "it has more than 100 KB"),
        ] {
            let sentence = format!(
                "the value of hubspot/api_key can't travel as an environment variable because {why}: \
                 mount it as a file instead (files[].format: Raw)"
            );
            assert_eq!(file(&[("A", "1"), ("B", value)]), Err(sentence));
        }
    }
}
