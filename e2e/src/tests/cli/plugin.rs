//! The tool as a plugin of the real kubectl.

use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::{Answer, answer};
use crate::rig;
use crate::stage::Stage;

/// A folder that stands first in PATH, with what an archive of a release brings there.
struct Installed<'a> {
    stage: &'a Stage,
    folder: TempDir,
    path: String,
}

impl<'a> Installed<'a> {
    fn new(stage: &'a Stage) -> Result<Self> {
        let folder = TempDir::new().context("create a temporary folder")?;
        let completer = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cli/kubectl_complete-keystead");
        symlink(stage.cli(), folder.path().join("kubectl-keystead"))?;
        symlink(completer, folder.path().join("kubectl_complete-keystead"))?;
        let others = stage.ask("sh -c 'echo $PATH'")?;
        let path = format!("{}:{others}", folder.path().display());
        Ok(Self { stage, folder, path })
    }

    fn run(&self, line: &str) -> Result<Answer> {
        let mut command = self.stage.command(line);
        answer(command.env("PATH", &self.path), line.to_owned(), "")
    }
}

pub(super) fn installed(stage: &Stage) -> Result<()> {
    rig::install_kinds(stage)?;
    let installed = Installed::new(stage)?;
    installed
        .run("kubectl plugin list")?
        .ends(0)?
        .says(&[&format!("{}/kubectl-keystead", installed.folder.path().display())])?;
    let help = installed.run("kubectl keystead --help")?.ends(0)?;
    help.says(&["Usage: kubectl keystead <COMMAND>", "bootstrap", "completion"])?
        .hides(&["__complete"])?;
    let wrong = installed.run("kubectl keystead plan --nope")?.ends(2)?;
    wrong.complains(&["Usage: kubectl keystead plan"])?;
    installed
        .run("kubectl keystead release --class nobody")?
        .ends(0)?
        .says(&["Nothing to do"])
        .map(drop)
}

pub(super) fn completed(stage: &Stage) -> Result<()> {
    let installed = Installed::new(stage)?;
    for (words, wanted) in [
        ("boot", "bootstrap\tPrepare a Vault for a cluster"),
        ("plan --cl", "--cluster\t"),
        (
            "bootstrap --output ''",
            "terraform\tResources of Terraform's provider",
        ),
        ("--hel", "--help\t"),
    ] {
        let line = format!("kubectl __complete keystead {words}");
        installed.run(&line)?.ends(0)?.says(&[wanted, "\n:4"])?;
    }
    // As bash does it where somebody presses the tabulator.
    let script = "source <(kubectl-keystead completion bash); COMP_WORDS=(kubectl-keystead boot); COMP_CWORD=1; \
         set -- $(complete -p kubectl-keystead); while [ $1 != -F ]; do shift; done; \
         $2 kubectl-keystead boot kubectl-keystead; echo ${COMPREPLY[@]}";
    let said = installed.run(&format!("bash -c '{script}'"))?.ends(0)?;
    ensure!(said.out.trim() == "bootstrap", "bash completes otherwise: {said}");
    for (shell, beginning) in [("zsh", "#compdef kubectl-keystead"), ("fish", "# ")] {
        let line = format!("kubectl keystead completion {shell}");
        let said = installed.run(&line)?.ends(0)?;
        ensure!(said.out.starts_with(beginning), "it begins otherwise: {said}");
        said.says(&["bootstrap"])?;
    }
    Ok(())
}
