mod links;
mod manifests;
mod words;

use super::*;

fn page(text: &str) -> Document {
    Document {
        name: "x.md".into(),
        text: text.into(),
    }
}

#[test]
fn blocks_have_their_name_and_place() {
    let page = page(
        "a\n\n1. b\n\n   ```sh\n   kubectl get \\\n     pods\n     x\n   ```\n\n    helm ls\n\nor `kubectl\nget x`, `kubectl`\n",
    );
    let blocks = page.blocks();
    let shown: Vec<_> = blocks
        .iter()
        .map(|block| (block.info.as_str(), block.text.as_str(), block.line))
        .collect();
    assert_eq!(
        shown,
        [("sh", "kubectl get \\\n  pods\n  x\n", 6), ("", "helm ls\n", 11)]
    );
    let commands: Vec<_> = page
        .commands()
        .into_iter()
        .map(|one| (one.place, one.line))
        .collect();
    let wanted = [
        ("x.md:6", "kubectl get    pods"),
        ("x.md:11", "helm ls"),
        ("x.md", "kubectl get x"),
    ];
    assert_eq!(
        commands,
        wanted.map(|(place, line)| (place.to_owned(), line.to_owned()))
    );
}

#[test]
fn a_fragment_is_no_manifest() {
    let page = page("```yaml fragment\na: 1\n```\n```yaml web.yaml\nb: 1\n```\n```yaml\nc: 1\n```\n");
    let texts: Vec<String> = page.manifests().into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["b: 1\n", "c: 1\n"]);
}
