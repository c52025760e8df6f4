//! Writes `yaml/<plural>.yaml` for every kind; with `--check` says which are out of date instead.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let check = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--check") => true,
        Some(other) => return Err(format!("unknown argument {other}: crdgen takes only --check").into()),
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("yaml");
    let mut stale = String::new();
    for crd in keystead_crds::definitions() {
        let file = folder.join(format!("{}.yaml", crd.spec.names.plural));
        let text = format!(
            "# Generated from the types in crds/src by `cargo run -p keystead-crds --features crdgen`. Do not edit.\n{}",
            serde_saphyr::to_string(&crd)?
        );
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
