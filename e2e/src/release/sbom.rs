//! What a program is made of, in CycloneDX: the crates that are linked into it, as cargo resolves them for it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::exec;
use crate::programs::{self, TARGET, VERSION};

/// A crate: name and version.
type Crate = (String, String);

/// The crates of a program, and what each is made of.
#[derive(Debug, Default)]
struct Tree {
    licences: BTreeMap<Crate, String>,
    needs: BTreeMap<Crate, BTreeSet<Crate>>,
}

/// The bill of a program that is built from a package; `time` is in seconds since 1970.
pub(super) fn of(program: &str, package: &str, time: u64) -> Result<String> {
    let mut cargo = programs::command();
    cargo.current_dir(programs::root()?).args([
        "tree",
        "--locked",
        "--quiet",
        "--package",
        package,
        "--edges",
        "normal",
        "--target",
        TARGET,
        "--prefix",
        "depth",
        "--format",
        " {p}|{l}",
    ]);
    let tree = Tree::parse(&exec::output(&mut cargo)?)?;
    let lock = fs::read_to_string(programs::root()?.join("Cargo.lock"))?;
    let time = jiff::Timestamp::from_second(i64::try_from(time)?)?;
    let bill = tree.bill(program, package, &checksums(&lock), &time.to_string());
    Ok(serde_json::to_string_pretty(&bill)? + "\n")
}

impl Tree {
    /// Reads lines of `DEPTH NAME vVERSION (WHERE)|LICENCE`, each below the last one that is less deep.
    fn parse(text: &str) -> Result<Self> {
        let mut tree = Self::default();
        let mut above: Vec<Crate> = Vec::new();
        for line in text.lines() {
            let unknown = || format!("cargo tree said {line:?}");
            let (depth, rest) = line.split_once(' ').with_context(unknown)?;
            let (package, licence) = rest.split_once('|').with_context(unknown)?;
            let mut words = package.split(' ');
            let name = words.next().with_context(unknown)?;
            let version = words
                .next()
                .and_then(|word| word.strip_prefix('v'))
                .with_context(unknown)?;
            let found = (name.to_owned(), version.to_owned());
            above.truncate(depth.parse().with_context(unknown)?);
            if let Some(parent) = above.last() {
                tree.needs
                    .entry(parent.clone())
                    .or_default()
                    .insert(found.clone());
            }
            // What was told before ends in a star.
            let licence = licence
                .trim_end_matches("(*)")
                .trim()
                .replace(" / ", " OR ")
                .replace('/', " OR ");
            tree.licences.entry(found.clone()).or_insert(licence);
            above.push(found);
        }
        Ok(tree)
    }

    fn bill(&self, program: &str, package: &str, checksums: &BTreeMap<Crate, String>, time: &str) -> Value {
        let itself = (package.to_owned(), VERSION.to_owned());
        let others = self.licences.iter().filter(|(found, _)| **found != itself);
        let components: Vec<Value> = others
            .map(|(found, licence)| {
                let mut component = component("library", found, licence);
                // Ours have none: they are in no registry.
                if let Some(sum) = checksums.get(found) {
                    component["purl"] = format!("pkg:cargo/{}@{}", found.0, found.1).into();
                    component["hashes"] = json!([{ "alg": "SHA-256", "content": sum }]);
                }
                component
            })
            .collect();
        let dependencies: Vec<Value> = self
            .licences
            .keys()
            .map(|found| {
                let needs = self.needs.get(found).into_iter().flatten();
                json!({ "ref": reference(found), "dependsOn": needs.map(reference).collect::<Vec<_>>() })
            })
            .collect();
        let mut made = component("application", &itself, env!("CARGO_PKG_LICENSE"));
        made["name"] = program.into();
        json!({
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "version": 1,
            "metadata": { "timestamp": time, "component": made },
            "components": components,
            "dependencies": dependencies,
        })
    }
}

fn component(kind: &str, found: &Crate, licence: &str) -> Value {
    json!({
        "type": kind,
        "bom-ref": reference(found),
        "name": found.0,
        "version": found.1,
        "licenses": [{ "expression": licence }],
    })
}

/// How a crate is named elsewhere in the bill.
fn reference((name, version): &Crate) -> String {
    format!("{name}@{version}")
}

/// The checksums of the crates from a registry, as `Cargo.lock` has them.
fn checksums(lock: &str) -> BTreeMap<Crate, String> {
    let field = |block: &str, name: &str| {
        let start = format!("{name} = \"");
        let line = block.lines().find_map(|line| line.strip_prefix(&start))?;
        Some(line.trim_end_matches('"').to_owned())
    };
    let sum = |block: &str| {
        Some((
            (field(block, "name")?, field(block, "version")?),
            field(block, "checksum")?,
        ))
    };
    lock.split("[[package]]").filter_map(sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "\
0 keystead-cli v0.1.0 (/somewhere/cli)|Apache-2.0
1 a v1.0.0|MIT / Apache-2.0
2 b v2.0.0 (proc-macro)|MIT
1 c v3.0.0|Apache-2.0/MIT
2 b v2.0.0 (proc-macro)|MIT (*)
1 keystead-vault v0.1.0 (/somewhere/vault)|Apache-2.0
";
    const LOCK: &str = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nsource = \"x\"\nchecksum = \"f00\"\n\n[[package]]\nname = \"keystead-vault\"\nversion = \"0.1.0\"\n";

    #[test]
    fn a_bill_names_every_crate_once_and_what_it_needs() {
        let tree = Tree::parse(TREE).expect("a tree");
        let bill = tree.bill(
            "kubectl-keystead",
            "keystead-cli",
            &checksums(LOCK),
            "2026-01-01T00:00:00Z",
        );
        assert_eq!(bill["metadata"]["component"]["name"], "kubectl-keystead");
        assert_eq!(
            bill["components"],
            json!([
                {"type": "library", "bom-ref": "a@1.0.0", "name": "a", "version": "1.0.0",
                 "licenses": [{"expression": "MIT OR Apache-2.0"}], "purl": "pkg:cargo/a@1.0.0",
                 "hashes": [{"alg": "SHA-256", "content": "f00"}]},
                {"type": "library", "bom-ref": "b@2.0.0", "name": "b", "version": "2.0.0",
                 "licenses": [{"expression": "MIT"}]},
                {"type": "library", "bom-ref": "c@3.0.0", "name": "c", "version": "3.0.0",
                 "licenses": [{"expression": "Apache-2.0 OR MIT"}]},
                {"type": "library", "bom-ref": "keystead-vault@0.1.0", "name": "keystead-vault", "version": "0.1.0",
                 "licenses": [{"expression": "Apache-2.0"}]},
            ])
        );
        assert_eq!(
            bill["dependencies"],
            json!([
                {"ref": "a@1.0.0", "dependsOn": ["b@2.0.0"]},
                {"ref": "b@2.0.0", "dependsOn": []},
                {"ref": "c@3.0.0", "dependsOn": ["b@2.0.0"]},
                {"ref": "keystead-cli@0.1.0", "dependsOn": ["a@1.0.0", "c@3.0.0", "keystead-vault@0.1.0"]},
                {"ref": "keystead-vault@0.1.0", "dependsOn": []},
            ])
        );
        assert!(!bill.to_string().contains("somewhere"), "{bill}");
    }

    #[test]
    fn the_tools_own_bill_is_whole() {
        let bill: Value =
            serde_json::from_str(&of("kubectl-keystead", "keystead-cli", 0).expect("a bill")).expect("JSON");
        assert_eq!(bill["metadata"]["timestamp"], "1970-01-01T00:00:00Z");
        let components = bill["components"].as_array().expect("components");
        assert!(components.iter().any(|found| found["name"] == "clap"), "{bill}");
        for found in components {
            let ours = found["name"]
                .as_str()
                .is_some_and(|name| name.starts_with("keystead-"));
            let sum = found["hashes"][0]["content"].as_str().map(str::len);
            assert_eq!(sum, if ours { None } else { Some(64) }, "{found}");
            assert!(
                found["licenses"][0]["expression"]
                    .as_str()
                    .is_some_and(|text| !text.is_empty()),
                "{found}"
            );
        }
        assert!(!bill.to_string().contains(env!("CARGO_MANIFEST_DIR")), "{bill}");
    }

    #[test]
    fn what_is_no_tree_is_said() {
        let error = Tree::parse("warning: something").map(drop).expect_err("no tree");
        assert!(error.to_string().contains("warning: something"), "{error}");
    }
}
