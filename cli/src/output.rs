//! What people read, and what programs read instead.

use clap::ValueEnum;
use serde::Serialize;
use std::io::Write;
use std::time::Duration;

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

/// A length of time as people write it: in hours, minutes or seconds, whichever is whole.
pub(crate) fn span(length: Duration) -> String {
    match length.as_secs() {
        0 => "0s".to_owned(),
        seconds if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        seconds if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

/// Lines of columns as wide as their widest cell; nothing stands after the last one.
pub(crate) fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_written_as_people_do() {
        let said = [0, 59, 120, 86_400, 3661].map(|seconds| span(Duration::from_secs(seconds)));
        assert_eq!(said, ["0s", "59s", "2m", "24h", "3661s"]);
    }

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let rows = [["KEY", "VALUE"], ["länger", "x"], ["short", ""]].map(|row| row.map(str::to_owned));
        assert_eq!(table(&rows), "KEY     VALUE\nlänger  x\nshort\n");
    }
}
