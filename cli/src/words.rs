//! What is made from the command line's own description: completions and manual pages.

use crate::args::Args;
use clap::CommandFactory as _;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::Path;

/// The program's name, as shells and manual pages know it.
const PROGRAM: &str = "kubectl-keystead";
/// Ends what `kubectl` reads: no file names besides.
const NO_FILES: &str = ":4";
/// The same where file names fit, too.
const FILES: &str = ":0";

/// A script that completes `kubectl-keystead` in a shell, to standard output.
pub(crate) fn completion(shell: clap_complete::Shell) {
    clap_complete::generate(shell, &mut Args::command(), PROGRAM, &mut std::io::stdout());
}

/// What the last of these words may become, as `kubectl` reads it: `WORD<tab>HELP` each, and whether file names
/// fit, too.
pub(crate) fn complete(words: Vec<OsString>) -> anyhow::Result<String> {
    let line: Vec<OsString> = [PROGRAM.into()].into_iter().chain(words).collect();
    let last = line.len() - 1;
    let found = clap_complete::engine::complete(&mut Args::command(), line, last, None)?;
    let mut text = String::new();
    for candidate in found.iter().filter(|candidate| !candidate.is_hide_set()) {
        let help = candidate.get_help().map(ToString::to_string);
        let help = help.as_deref().and_then(|help| help.lines().next());
        let word = candidate.get_value().to_string_lossy();
        // Writing to a String can't fail.
        let _ = match help {
            Some(help) => writeln!(text, "{word}\t{help}"),
            None => writeln!(text, "{word}"),
        };
    }
    let ending = if found.is_empty() { FILES } else { NO_FILES };
    Ok(text + ending)
}

/// The manual pages, one a command, into a folder.
pub(crate) fn manual(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    Ok(clap_mangen::generate_to(Args::command(), folder)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(line: &str) -> String {
        complete(line.split(' ').map(OsString::from).collect()).expect("words")
    }

    #[test]
    fn words_are_completed_with_what_they_mean() {
        let commands = completed("");
        assert!(
            commands.contains("plan\tShow what the operator would do"),
            "{commands}"
        );
        assert!(
            !commands.contains("__complete") && !commands.contains("\nman\t"),
            "{commands}"
        );
        assert!(completed("boot").starts_with("bootstrap\tPrepare a Vault"));
        assert!(completed("bootstrap --manage").starts_with("--manage-mounts\t"));
        let forms = completed("bootstrap --output ");
        for form in ["policy\t", "hcl\t", "terraform\t", NO_FILES] {
            assert!(forms.contains(form), "{forms}");
        }
    }

    #[test]
    fn where_nothing_is_known_the_shell_offers_files() {
        assert_eq!(completed("bootstrap --folder ./"), FILES);
    }

    #[test]
    fn each_command_has_a_page() {
        let folder = tempfile::tempdir().expect("a folder");
        manual(folder.path()).expect("pages");
        let page = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect(name);
        for command in Args::command()
            .get_subcommands()
            .filter(|command| !command.is_hide_set())
        {
            let name = command.get_name();
            let page = page(&format!("kubectl-keystead-{name}.1"));
            assert!(page.contains(&format!("kubectl keystead {name}")), "{page}");
        }
        assert!(page("kubectl-keystead.1").contains(".SH SUBCOMMANDS"));
        assert!(!folder.path().join("kubectl-keystead-man.1").exists());
    }
}
