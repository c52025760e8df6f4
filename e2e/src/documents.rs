//! The documents for people, as tests read them: every page, its blocks of code and its commands.
//!
//! What stands after the three backticks says what a block is: `yaml` is manifests that can be applied,
//! `yaml fragment` a part of one, `sh` command lines. Blocks of other names, and of none, are output or
//! pictures, but for lines in them that begin with a program that we know.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

#[cfg(test)]
mod tests;

/// Programs whose command lines are looked at.
const PROGRAMS: [&str; 4] = ["kubectl", "helm", "bao", "vault"];

/// A page.
pub(crate) struct Document {
    /// Its path, from the repository's root.
    pub(crate) name: String,
    /// Its text.
    pub(crate) text: String,
}

/// A fenced or indented block of code.
pub(crate) struct Block {
    /// What stands after the backticks.
    pub(crate) info: String,
    /// What is in it, without the indentation of the fence.
    pub(crate) text: String,
    /// Its first line in the page, from 1.
    pub(crate) line: usize,
}

/// A command line, continued lines in one.
pub(crate) struct Command {
    /// Where it stands.
    pub(crate) place: String,
    /// The line from its program on.
    pub(crate) line: String,
    /// Whether it can be typed as it is; what stands in a sentence may be the name of a command.
    pub(crate) whole: bool,
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every page: those at the root, and all below `docs/`.
pub(crate) fn all() -> Result<Vec<Document>> {
    let root = root();
    let mut paths = Vec::new();
    for entry in fs::read_dir(&root)? {
        paths.push(entry?.path());
    }
    paths.retain(|path| path.extension().is_some_and(|name| name == "md"));
    below(&root.join("docs"), &mut paths)?;
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let name = path.strip_prefix(&root).unwrap_or(&path).display().to_string();
        Ok(Document { name, text })
    };
    paths.into_iter().map(read).collect()
}

fn below(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            below(&path, found)?;
        } else if path.extension().is_some_and(|name| name == "md") {
            found.push(path);
        }
    }
    Ok(())
}

impl Document {
    /// Its blocks of code, in order.
    pub(crate) fn blocks(&self) -> Vec<Block> {
        let mut found = Vec::new();
        let mut open: Option<(usize, Block)> = None;
        let mut before = "";
        for (number, line) in self.text.lines().enumerate() {
            let number = number + 1;
            if let Some(rest) = line.trim_start().strip_prefix("```") {
                let info = rest.trim().to_owned();
                open = match open.take() {
                    Some((_, block)) => {
                        found.push(block);
                        None
                    }
                    None => Some((line.len() - line.trim_start().len(), block(info, number + 1))),
                };
            } else if let Some((indent, block)) = &mut open {
                block.text.push_str(line.get(*indent..).unwrap_or_default());
                block.text.push('\n');
            } else if let Some(code) = line.strip_prefix("    ")
                && (before.is_empty() || before.starts_with("    "))
            {
                let mut block = block(String::new(), number);
                block.text.push_str(code);
                block.text.push('\n');
                found.push(block);
            }
            before = line;
        }
        found
    }

    /// Its manifests that can be applied, each with where it stands.
    pub(crate) fn manifests(&self) -> Vec<(String, String)> {
        let whole = |block: &Block| {
            let mut words = block.info.split(' ');
            words.next() == Some("yaml") && words.next() != Some("fragment")
        };
        let blocks = self.blocks().into_iter().filter(whole);
        blocks.map(|block| (self.place(block.line), block.text)).collect()
    }

    /// Its command lines of programs that we know: those in blocks, and those in sentences.
    pub(crate) fn commands(&self) -> Vec<Command> {
        let mut found = self.shown_commands();
        let prose = self.prose();
        let spans = prose
            .split('`')
            .skip(1)
            .step_by(2)
            .map(|span| span.replace('\n', " "));
        found.extend(spans.filter(|span| is_known(span)).map(|line| Command {
            place: self.name.clone(),
            line,
            whole: false,
        }));
        found
    }

    fn shown_commands(&self) -> Vec<Command> {
        let mut found = Vec::new();
        for block in self.blocks() {
            if block.info.starts_with("yaml") {
                continue;
            }
            let mut number = block.line;
            for line in block.text.replace("\\\n", "\\\u{0}").lines() {
                let plain = line.replace("\\\u{0}", " ");
                let commands = plain
                    .split(" | ")
                    .map(|part| part.trim().trim_start_matches("$ "));
                for command in commands.filter(|part| is_known(part)) {
                    found.push(Command {
                        place: self.place(number),
                        line: command.to_owned(),
                        whole: true,
                    });
                }
                number += 1 + line.matches('\u{0}').count();
            }
        }
        found
    }

    /// Its text without blocks of code.
    pub(crate) fn prose(&self) -> String {
        let mut fenced = false;
        let mut out = String::new();
        for line in self.text.lines() {
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
            } else if !fenced && !line.starts_with("    ") {
                out.push_str(line);
                out.push('\n');
            }
        }
        out
    }

    /// A line of it, to be found.
    fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.name)
    }
}

fn block(info: String, line: usize) -> Block {
    Block {
        info,
        text: String::new(),
        line,
    }
}

fn is_known(command: &str) -> bool {
    let program = command.split(' ').next();
    program.is_some_and(|program| PROGRAMS.contains(&program)) && command.contains(' ')
}
