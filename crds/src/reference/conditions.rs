//! The page of conditions and reasons, read from the doc comments of `condition.rs`.

use std::fmt::Write as _;

use super::GENERATED;

/// The page, from the source text of `condition.rs`.
pub fn page(source: &str) -> String {
    let mut out = format!(
        "{GENERATED}\n\n# Conditions and reasons\n\n`kubectl get keystead -A` shows `Ready` of every object, `kubectl \
         describe` all conditions with their messages. A reason never changes its meaning: alert on it. What to do \
         about a message is in [troubleshooting](../troubleshooting.md#conditions).\n\n## Conditions\n\n\
         | condition | |\n|---|---|\n"
    );
    let documented = documented(source);
    for (line, meaning) in &documented {
        if let Some(name) = line
            .strip_prefix("pub const ")
            .and_then(|_| line.split('"').nth(1))
        {
            let _ = writeln!(out, "| `{name}` | {meaning} |");
        }
    }
    out.push_str("\n## Reasons\n\n| reason | |\n|---|---|\n");
    let variant = |line: &str| {
        let name = line.strip_suffix(',')?;
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        (plain && !name.is_empty()).then(|| name.to_owned())
    };
    let reasons = documented
        .iter()
        .filter_map(|(line, meaning)| Some((variant(line)?, meaning)));
    let mut reasons: Vec<(String, &String)> = reasons.collect();
    reasons.sort();
    for (name, meaning) in reasons {
        let _ = writeln!(out, "| `{name}` | {meaning} |");
    }
    out
}

/// Each line that has a doc comment, with that.
fn documented(source: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut comment: Vec<&str> = Vec::new();
    for line in source.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("/// ") {
            comment.push(text);
        } else if !line.starts_with("#[") {
            if !comment.is_empty() {
                found.push((line.to_owned(), comment.join(" ")));
            }
            comment.clear();
        }
    }
    found
}
