//! Writes `yaml/<plural>.yaml` and `docs/kinds/<kind>.md` for every kind; with `--check` says which are out
//! of date instead.

use keystead_crds::reference;
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let check = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--check") => true,
        Some(other) => return Err(format!("unknown argument {other}: crdgen takes only --check").into()),
    };
    let mut stale = String::new();
    for (file, text) in generated(Path::new(env!("CARGO_MANIFEST_DIR")))? {
        if !check {
            std::fs::write(&file, text)?;
        } else if std::fs::read_to_string(&file).ok().as_ref() != Some(&text) {
            writeln!(stale, "  {}", file.display())?;
        }
    }
    if stale.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    Err(format!("out of date; run `cargo run -p keystead-crds --features crdgen`:\n{stale}").into())
}

/// Every generated file, with what belongs into it.
fn generated(room: &Path) -> Result<Vec<(PathBuf, String)>, Box<dyn Error>> {
    let pages = room.join("../docs/kinds");
    let meanings = reference::meanings(&keystead_crds::schemas());
    let conditions = reference::conditions_page(include_str!("../condition.rs"));
    let mut files = vec![(pages.join("conditions.md"), conditions)];
    for crd in keystead_crds::definitions() {
        let text = format!(
            "# Generated from the types in crds/src by `cargo run -p keystead-crds --features crdgen`. Do not edit.\n{}",
            serde_saphyr::to_string(&crd)?
        );
        files.push((
            room.join("yaml").join(format!("{}.yaml", crd.spec.names.plural)),
            text,
        ));
        let name = crd.spec.names.kind.to_lowercase();
        let example = room.join("examples").join(format!("{name}.yaml"));
        let example =
            std::fs::read_to_string(&example).map_err(|error| format!("{}: {error}", example.display()))?;
        let page = reference::page(&crd, &meanings, &example);
        files.push((pages.join(format!("{name}.md")), page));
    }
    Ok(files)
}
