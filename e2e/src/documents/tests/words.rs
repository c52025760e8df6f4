//! What pages quote is what the programs say: metrics, messages, and the values of the chart.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::super::{Document, all, root};

/// The rooms whose programs speak to people.
const SPEAKERS: [&str; 7] = [
    "cli", "cluster", "compile", "crds", "operator", "sidecar", "vault",
];
/// What Kubernetes says itself.
const KUBERNETES: [&str; 1] = ["CreateContainerConfigError"];

fn named(name: &str) -> Document {
    let pages = all().expect("pages can be read");
    pages
        .into_iter()
        .find(|page| page.name == name)
        .unwrap_or_else(|| panic!("there is no {name}"))
}

/// The text of every source file of a folder, but for unit tests; string literals that go over several lines
/// are in one.
fn sources(folder: &Path) -> String {
    let mut out = String::new();
    gather(folder, &mut out);
    joined(&out)
}

fn gather(folder: &Path, out: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder can be read") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() && !path.ends_with("tests") {
            gather(&path, out);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
            out.push_str(&fs::read_to_string(&path).expect("a source can be read"));
        }
    }
}

fn joined(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    for (number, piece) in source.split("\\\n").enumerate() {
        out.push_str(if number == 0 { piece } else { piece.trim_start() });
    }
    out.replace("\\\"", "\"")
}

/// Words that are names of metrics of ours.
fn metrics<'a>(words: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    let is_name = |word: &&str| {
        let ours = word.starts_with("keystead_") || word.starts_with("vault_");
        ours && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    words.filter(is_name).map(str::to_owned).collect()
}

#[test]
fn every_metric_is_told() {
    let programs = ["operator/src", "sidecar/src"].map(|folder| sources(&root().join(folder)));
    let known = metrics(programs.concat().split('"'));
    assert!(known.len() > 10, "{known:?}");
    let pages = [named("docs/operations.md"), named("docs/sidecar.md")].map(|page| page.text);
    let told = pages.concat();
    let words = told.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    assert_eq!(metrics(words), known);
}

#[test]
fn every_alert_is_told() {
    let rule = root().join("charts/keystead/templates/prometheusrule.yaml");
    let rule = fs::read_to_string(rule).expect("the chart has alerts");
    let known: BTreeSet<&str> = rule
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    let page = named("docs/operations.md").text;
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `Keystead"));
    let told = rows
        .filter_map(|row| row.split('`').next())
        .map(|name| format!("Keystead{name}"));
    assert_eq!(
        told.collect::<BTreeSet<_>>(),
        known.into_iter().map(str::to_owned).collect()
    );
}

/// The code in a row's first cell, or in a heading.
fn quoted(line: &str) -> Vec<String> {
    let line = line.replace("\\|", "\u{0}");
    let cell = match line.strip_prefix("| ") {
        Some(row) => row.split(" | ").next().unwrap_or_default(),
        None if line.starts_with("##") => line.as_str(),
        None => "",
    };
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(|code| code.replace('\u{0}', "|"))
        .collect()
}

#[test]
fn quoted_messages_are_said() {
    let source: String = SPEAKERS
        .iter()
        .map(|room| sources(&root().join(room).join("src")))
        .collect();
    let mut unsaid = Vec::new();
    for line in named("docs/troubleshooting.md").text.lines() {
        for message in quoted(line) {
            let parts = message.split('…').map(|part| part.trim_matches([' ', ':', ',']));
            for part in parts.filter(|part| !source.contains(part) && !KUBERNETES.contains(part)) {
                unsaid.push(format!("{part:?} of `{message}`"));
            }
        }
    }
    assert!(unsaid.is_empty(), "no program says\n{}", unsaid.join("\n"));
}

#[test]
fn tests_that_are_named_exist() {
    let tests = sources(&root().join("e2e/src/tests"));
    let page = named("docs/security.md");
    let rows = page.text.lines().filter(|line| line.starts_with("| "));
    let code = rows.flat_map(|row| row.split('`').skip(1).step_by(2));
    let names: Vec<&str> = code
        .filter(|code| code.contains(": ") && !code.contains('{'))
        .collect();
    assert!(names.len() > 15, "{names:?}");
    for name in names {
        assert!(
            tests.contains(&format!("\"{name}\"")),
            "there is no test `{name}`"
        );
    }
}

/// What `--set` and its like give, in a command line.
fn settings(line: &str) -> Vec<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let given = words.windows(2).filter(|pair| pair[0].starts_with("--set"));
    let keys = given.flat_map(|pair| pair[1].split(','));
    keys.map(|pair| {
        pair.split('=')
            .next()
            .unwrap_or_default()
            .trim_matches('\'')
            .to_owned()
    })
    .collect()
}

#[test]
fn what_helm_is_told_are_values_of_the_chart() {
    let text = fs::read_to_string(root().join("charts/keystead/values.yaml")).expect("there are values");
    let values: Value = serde_saphyr::from_str(&text).expect("values are YAML");
    for page in all().expect("pages can be read") {
        for command in page.commands() {
            for key in settings(&command.line) {
                let mut at = Some(&values);
                for name in key.split('.') {
                    // What may hold anything is empty by default.
                    let free = at.is_some_and(|at| at.as_object().is_some_and(serde_json::Map::is_empty));
                    at = if free { at } else { at.and_then(|at| at.get(name)) };
                }
                assert!(at.is_some(), "{}: the chart has no value {key}", command.place);
            }
        }
    }
}

#[test]
fn what_was_written_is_read() {
    assert_eq!(joined("\"a \\\n    b \\\"c\\\"\""), "\"a b \"c\"\"");
    assert_eq!(
        metrics(["keystead_a_total", "vault"].into_iter()),
        BTreeSet::from(["keystead_a_total".to_owned()])
    );
    assert_eq!(quoted("| `a \\| b`, `c` | `d` |"), ["a | b", "c"]);
    assert_eq!(quoted("## `e` f"), ["e"]);
    assert_eq!(
        settings("helm x --set a.b=c,d=e --set-string f=g"),
        ["a.b", "d", "f"]
    );
}
