//! The documents: every command line is one that its program takes, and the tutorial works as it stands there.

mod tutorial;

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use super::{Run, Test};
use crate::documents::{self, Command};
use crate::stage::{Stage, words};

/// Programs that a bed does not have.
const PLUGINS: [&str; 1] = ["kubectl krew"];

/// The tests.
pub(super) fn tests() -> Vec<Test> {
    vec![
        Test::on_servers("docs: every command line is one that its program takes", commands),
        Test {
            name: "docs: the tutorial, line by line",
            node: true,
            run: Run::Alone(tutorial::typed),
        },
    ]
}

fn commands(stage: &Stage) -> Result<()> {
    let mut bad = Vec::new();
    let mut known = Helps::default();
    let mut count = 0;
    for page in documents::all()? {
        for command in page.commands() {
            count += 1;
            let checked = match command.line.strip_prefix("kubectl keystead") {
                Some(rest) => parsed(stage, rest, command.whole),
                None => flags(stage, &command, &mut known),
            };
            if let Err(error) = checked {
                bad.push(format!("{}: {}: {error:#}", command.place, command.line));
            }
        }
    }
    ensure!(count > 50, "only {count} commands were found");
    ensure!(bad.is_empty(), "{}", bad.join("\n"));
    Ok(())
}

/// Has the tool itself read the line, where it finds neither a cluster nor a Vault to do it with.
fn parsed(stage: &Stage, rest: &str, whole: bool) -> Result<()> {
    let rest = rest.split(['<', '>']).next().unwrap_or_default();
    let folder = tempfile::tempdir()?;
    let mut command = stage.command(&format!("kubectl-keystead {rest}"));
    let output = command
        .current_dir(folder.path())
        .env("KUBECONFIG", "/nowhere")
        .env("VAULT_ADDR", "https://127.0.0.1:1")
        .env("VAULT_CACERT", "/nowhere")
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let name_of_a_command = !whole && (said.contains("required") || said.contains("Commands:"));
    ensure!(!said.contains("Usage:") || name_of_a_command, "{said}");
    Ok(())
}

/// What programs say of their commands, by program and command.
type Helps = BTreeMap<String, String>;

/// Holds that a command has the flags it is given.
fn flags(stage: &Stage, command: &Command, known: &mut Helps) -> Result<()> {
    let line = command.line.split(" -- ").next().unwrap_or_default();
    let words = words(line);
    let program = words.first().context("a line has words")?;
    let program = if program == "vault" { "bao" } else { program };
    let name = format!("{program} {}", subcommand(&words));
    if PLUGINS.iter().any(|plugin| name.starts_with(plugin)) {
        return Ok(());
    }
    if !known.contains_key(&name) {
        let general = if program == "kubectl" {
            "kubectl options"
        } else {
            "true"
        };
        let help = stage.ask(&format!("{name} --help"))? + &stage.ask(general)?;
        known.insert(name.clone(), help);
    }
    let help = known.get(&name).context("it was just asked for")?;
    for word in &words {
        let flag = word.split('=').next().unwrap_or_default();
        if !flag.starts_with('-') || flag == "-" {
            continue;
        }
        let listed = [',', '=', ' ', ':', '\n'].map(|end| format!(" {flag}{end}"));
        ensure!(
            listed.iter().any(|flag| help.contains(flag)),
            "there is no {flag}"
        );
    }
    Ok(())
}

/// The words that name a command: what comes before any flag, but for a namespace.
fn subcommand(words: &[String]) -> String {
    let mut rest = words.get(1..).unwrap_or_default();
    if rest.first().is_some_and(|word| word == "-n") {
        rest = rest.get(2..).unwrap_or_default();
    }
    let plain = |word: &&String| !word.starts_with('-') && !word.contains(['/', '=', '…', '@']);
    let name: Vec<&str> = rest.iter().take_while(plain).map(String::as_str).collect();
    name.join(" ")
}
