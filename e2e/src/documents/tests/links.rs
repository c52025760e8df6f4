//! Every link leads somewhere, and every page can be reached.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Document, all, root};

/// The page that leads to all others.
const INDEX: &str = "docs/README.md";

/// Where the links of a page lead. What stands between backticks is no link.
fn links(page: &Document) -> Vec<String> {
    let prose = page.prose();
    let plain: Vec<&str> = prose.split('`').step_by(2).collect();
    let plain = plain.join("");
    let targets = plain
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    targets.map(str::to_owned).collect()
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(page: &Document) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut found = BTreeSet::new();
    for line in page.prose().lines() {
        let title = line.trim_start_matches('#');
        if title.len() == line.len() || !title.starts_with(' ') {
            continue;
        }
        let kept = |letter: &char| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_');
        let anchor: String = title.trim().to_lowercase().chars().filter(kept).collect();
        let anchor = anchor.replace(' ', "-");
        let times = seen.entry(anchor.clone()).or_default();
        found.insert(if *times == 0 {
            anchor
        } else {
            format!("{anchor}-{times}")
        });
        *times += 1;
    }
    found
}

/// A path without its `.` and `..`.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts.join("/")
}

/// What is wrong with a link of a page.
fn wrong(page: &Document, link: &str, anchors: &BTreeMap<String, BTreeSet<String>>) -> Option<String> {
    if let Some(rest) = link.strip_prefix("https://") {
        let host = rest.split('/').next().unwrap_or_default();
        let plain = host.contains('.') && !rest.contains(char::is_whitespace);
        return (!plain).then(|| format!("{link} is no address"));
    }
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if path.is_empty() {
        page.name.clone()
    } else {
        beside(page, path)
    };
    if !root().join(&target).exists() {
        return Some(format!("{link}: there is no {target}"));
    }
    let known = anchor.is_empty() || anchors.get(&target).is_some_and(|known| known.contains(anchor));
    (!known).then(|| format!("{link}: {target} has no such heading"))
}

/// A path that a page names, from the root.
fn beside(page: &Document, path: &str) -> String {
    let folder = page.name.rsplit_once('/').map_or("", |(folder, _)| folder);
    normal(&format!("{folder}/{path}"))
}

#[test]
fn links_lead_somewhere() {
    let pages = all().expect("pages can be read");
    let anchors: BTreeMap<String, BTreeSet<String>> = pages
        .iter()
        .map(|page| (page.name.clone(), anchors(page)))
        .collect();
    let mut bad = Vec::new();
    for page in &pages {
        let wrong = links(page)
            .into_iter()
            .filter_map(|link| wrong(page, &link, &anchors));
        bad.extend(wrong.map(|what| format!("{}: {what}", page.name)));
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn every_page_is_reached_from_the_index() {
    let pages = all().expect("pages can be read");
    let by_name: BTreeMap<&str, &Document> = pages.iter().map(|page| (page.name.as_str(), page)).collect();
    let mut reached = BTreeSet::from([INDEX.to_owned()]);
    let mut next = vec![INDEX.to_owned()];
    while let Some(name) = next.pop() {
        for link in by_name
            .get(name.as_str())
            .map(|page| links(page))
            .unwrap_or_default()
        {
            let path = link.split('#').next().unwrap_or_default();
            let target = beside(by_name[name.as_str()], path);
            if by_name.contains_key(target.as_str()) && reached.insert(target.clone()) {
                next.push(target);
            }
        }
    }
    let lost: Vec<&str> = by_name
        .into_keys()
        .filter(|name| !reached.contains(*name))
        .collect();
    assert!(lost.is_empty(), "no way from {INDEX} to {}", lost.join(", "));
}

#[test]
fn what_is_wrong_is_found() {
    let page = super::page(
        "# One `two`, three\n\n[a](#one-two-three) [b](https://x) `[c](d)` [e](../README.md#no)\n\n## One `two`, three\n",
    );
    assert_eq!(links(&page), ["#one-two-three", "https://x", "../README.md#no"]);
    let known = anchors(&page);
    assert_eq!(
        known.iter().map(String::as_str).collect::<Vec<_>>(),
        ["one-two-three", "one-two-three-1"]
    );
    let anchors = BTreeMap::from([(page.name.clone(), known)]);
    let wrongs: Vec<String> = links(&page)
        .iter()
        .filter_map(|link| wrong(&page, link, &anchors))
        .collect();
    let wanted = [
        "#one-two-three: there is no x.md",
        "https://x is no address",
        "../README.md#no: README.md has no such heading",
    ];
    assert_eq!(wrongs, wanted);
}
