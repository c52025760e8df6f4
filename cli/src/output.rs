//! What people read, and what programs read instead.

use clap::ValueEnum;
use serde::Serialize;
use std::io::Write;

/// What programs read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Format {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// Writes a line; nobody is left to tell if it can't be.
pub(crate) fn line(to: &mut impl Write, text: &str) {
    let _ = writeln!(to, "{text}");
}

/// Writes to standard output what programs read, or what people do.
pub(crate) fn show(
    format: Option<Format>,
    document: &impl Serialize,
    people: impl FnOnce() -> String,
) -> anyhow::Result<()> {
    let text = match format {
        None => people(),
        Some(Format::Json) => serde_json::to_string_pretty(document)?,
        Some(Format::Yaml) => serde_saphyr::to_string(document)?,
    };
    line(&mut std::io::stdout(), text.trim_end());
    Ok(())
}
