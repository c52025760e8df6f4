//! `kubectl keystead` against real servers, as a person runs it.

mod bootstrap;
mod plan;
mod plugin;
mod release;
mod resolve;
mod rotate;
mod validate;

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::Test;
use crate::rig::Rig;
use crate::stage::Stage;

/// The tests.
pub(super) fn tests() -> Vec<Test> {
    let test = |&(name, run)| Test::on_servers(name, run);
    TESTS.iter().map(test).collect()
}

/// What holds, and the function that sees to it.
type Named = (&'static str, fn(&Stage) -> Result<()>);

const TESTS: &[Named] = &[
    (
        "cli: bootstrap needs each right that it names, and no other",
        bootstrap::rights,
    ),
    (
        "cli: bootstrap's files do the same by a shell, in a namespace of Vault",
        bootstrap::files,
    ),
    (
        "cli: kubectl runs it as its plugin, and the help says so",
        plugin::installed,
    ),
    (
        "cli: kubectl and the shells complete its words",
        plugin::completed,
    ),
    (
        "cli: plan says what the operator will do, and never a value",
        plan::before_and_after,
    ),
    (
        "cli: plan tells drift, conflicts and what is left over, by its exit code too",
        plan::what_differs,
    ),
    (
        "cli: plan tells what becomes of deleted Credentials, and what they leave",
        plan::deleted::credentials,
    ),
    (
        "cli: plan tells what becomes of native Secrets, by their keys",
        plan::native::secrets,
    ),
    (
        "cli: validate counts its checks, and fails when one does",
        validate::both_ways,
    ),
    (
        "cli: resolve tells what a pod gets, from where and why, and no value",
        resolve::who_gets_what,
    ),
    (
        "cli: rotate replaces what Keystead made, in its window or now, and leaves what people bring",
        rotate::replaced,
    ),
    (
        "cli: release takes the finalizers off, of one class where it is told so",
        release::by_person,
    ),
    (
        "cli: the operator's --release takes them off and ends",
        release::by_operator,
    ),
];

/// What a command said.
struct Answer {
    line: String,
    code: Option<i32>,
    out: String,
    err: String,
}

/// Runs a command of the tool; `@id@` in it is the test's name.
fn run(rig: &Rig<'_>, line: &str, input: &str) -> Result<Answer> {
    let line = format!("kubectl-keystead {}", line.replace("@id@", &rig.id));
    let input = input.replace("@id@", &rig.id);
    answer(&mut rig.stage.command(&line), line, &input)
}

/// Runs a command, shown as `line`.
fn answer(command: &mut Command, line: String, input: &str) -> Result<Answer> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("run {line}"))?;
    if let Some(mut to) = child.stdin.take() {
        // A command that reads nothing has closed it.
        let _ = to.write_all(input.as_bytes());
    }
    let output = child.wait_with_output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Answer {
        line,
        code: output.status.code(),
        out: text(&output.stdout),
        err: text(&output.stderr),
    })
}

/// The same, and only this test's provider is looked at.
fn run_here(rig: &Rig<'_>, line: &str, input: &str) -> Result<Answer> {
    let here = "--class @id@ --provider @id@ --cluster-name @id@";
    run(rig, &format!("{line} {here}"), input)
}

impl Answer {
    /// Holds that it ended so.
    fn ends(self, code: i32) -> Result<Self> {
        ensure!(self.code == Some(code), "expected exit code {code}: {self}");
        Ok(self)
    }

    /// Holds that it said all of these.
    fn says(self, parts: &[&str]) -> Result<Self> {
        for part in parts {
            ensure!(self.out.contains(part), "{part:?} is missing: {self}");
        }
        Ok(self)
    }

    /// Holds that it said all of these on standard error.
    fn complains(self, parts: &[&str]) -> Result<Self> {
        for part in parts {
            ensure!(self.err.contains(part), "{part:?} is missing: {self}");
        }
        Ok(self)
    }

    /// Holds that it said none of these, wherever.
    fn hides(self, parts: &[&str]) -> Result<Self> {
        for part in parts {
            let said = self.out.contains(part) || self.err.contains(part);
            ensure!(!said, "{part:?} was not to be said: {self}");
        }
        Ok(self)
    }

    /// What programs read.
    fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.out).with_context(|| format!("not JSON: {self}"))
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { line, code, out, err } = self;
        write!(f, "`{line}` ended with {code:?} and said\n{out}{err}")
    }
}
