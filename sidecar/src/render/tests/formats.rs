//! Each format of many keys, read back by a parser that is not ours.

use super::super::{Keys, json, properties, yaml};
use keystead_vault::Sensitive;
use keystead_vault::resolve::{Origin, Resolved};
use proptest::prelude::*;
use std::collections::BTreeMap;

type Pairs = BTreeMap<String, String>;

fn text(render: fn(&Keys<'_>) -> Sensitive<String>, pairs: &Pairs) -> String {
    let resolved = |value: &String| Resolved {
        value: value.as_str().into(),
        origin: Origin::Path,
        version: None,
        ends: None,
    };
    let found: Vec<(&str, Resolved)> = pairs
        .iter()
        .map(|(key, value)| (key.as_str(), resolved(value)))
        .collect();
    let keys: Keys<'_> = found.iter().map(|(key, value)| (*key, value)).collect();
    let text = render(&keys).expose().clone();
    assert_eq!(render(&keys).expose(), &text, "the same keys, the same text");
    text
}

fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Pairs {
    pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

#[test]
fn each_format_is_as_people_know_it() {
    let pairs = pairs([
        ("api_key", "it's \"k\"\n"),
        ("base url", " https://x é 🔑"),
        ("on", "0123"),
    ]);
    assert_eq!(
        text(json::render, &pairs),
        "{\n  \"api_key\": \"it's \\\"k\\\"\\n\",\n  \"base url\": \" https://x é 🔑\",\n  \"on\": \"0123\"\n}\n"
    );
    assert_eq!(
        text(yaml::render, &pairs),
        "\"api_key\": \"it's \\\"k\\\"\\n\"\n\"base url\": \" https://x é 🔑\"\n\"on\": \"0123\"\n"
    );
    assert_eq!(
        text(properties::render, &pairs),
        "api_key=it's \"k\"\\n\nbase\\ url=\\ https\\://x \\u00E9 \\uD83D\\uDD11\non=0123\n"
    );
}

/// `java.util.Properties.load`, written down anew from its documentation.
fn read_as_java(text: &str) -> Pairs {
    let units: Vec<u16> = text.encode_utf16().collect();
    let mut pairs = Pairs::new();
    for line in units.split(|unit| *unit == u16::from(b'\n')) {
        let is = |unit: &u16, set: &str| set.encode_utf16().any(|other| other == *unit);
        let start = line
            .iter()
            .position(|unit| !is(unit, " \t\u{c}"))
            .unwrap_or(line.len());
        let line = &line[start..];
        if line.first().is_none_or(|first| is(first, "#!")) {
            continue;
        }
        let mut end = 0;
        while end < line.len() && !is(&line[end], "=: \t\u{c}") {
            end += if is(&line[end], "\\") { 2 } else { 1 };
        }
        let mut rest = &line[end.min(line.len())..];
        let blanks = |rest: &[u16]| rest.iter().take_while(|unit| is(unit, " \t\u{c}")).count();
        rest = &rest[blanks(rest)..];
        if rest.first().is_some_and(|first| is(first, "=:")) {
            rest = &rest[1..];
            rest = &rest[blanks(rest)..];
        }
        pairs.insert(unescaped(&line[..end.min(line.len())]), unescaped(rest));
    }
    pairs
}

fn unescaped(units: &[u16]) -> String {
    let mut read = Vec::new();
    let mut units = units.iter().copied();
    while let Some(unit) = units.next() {
        if unit != u16::from(b'\\') {
            read.push(unit);
            continue;
        }
        let escaped = units.next().unwrap();
        read.push(match u8::try_from(escaped) {
            Ok(b't') => u16::from(b'\t'),
            Ok(b'n') => u16::from(b'\n'),
            Ok(b'r') => u16::from(b'\r'),
            Ok(b'f') => 0xc,
            Ok(b'u') => {
                let digits: Vec<u16> = units.by_ref().take(4).collect();
                u16::from_str_radix(&String::from_utf16(&digits).unwrap(), 16).unwrap()
            }
            _ => escaped,
        });
    }
    String::from_utf16(&read).unwrap()
}

/// What is special somewhere, and what is not.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ -~\r\n\t\u{c}\0\u{7f}\u{85}\u{2028}\u{feff}\u{ffff}é🔑]{0,12}",
        "[=:#! \\\\\"'-]{0,6}",
        Just("y".repeat(2000)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn all_formats_are_read_back(pairs in proptest::collection::btree_map(any_text(), any_text(), 1..5)) {
        prop_assert_eq!(&serde_json::from_str::<Pairs>(&text(json::render, &pairs)).unwrap(), &pairs);
        prop_assert_eq!(&read_as_java(&text(properties::render, &pairs)), &pairs);
        let written = text(yaml::render, &pairs);
        let read = serde_saphyr::from_str::<Pairs>(&written);
        prop_assert_eq!(read.map_err(|error| format!("{error} in {written}")), Ok(pairs));
    }
}
