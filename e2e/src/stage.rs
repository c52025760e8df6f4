//! Where stories and tests act: a cluster and a Vault, reached by the commands a person would type.
//! Loud, it shows each command and its real output; quiet, it keeps them for the report of a failure.

use std::cell::RefCell;
use std::fmt::Display;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use crate::bed::Bed;
use crate::{ui, wait};

/// How long anything may take that has no bound of its own.
pub const PATIENCE: Duration = Duration::from_mins(1);
/// Where the bed's Vault is, as pods see it.
const IN_CLUSTER_VAULT: &str = "https://vault.vault.svc:8200";

/// A cluster and a Vault.
pub enum Site {
    /// The bed's.
    Bed(Box<Bed>),
    /// The user's own.
    Own(Own),
}

/// The user's own cluster and Vault.
pub struct Own {
    /// Its kubeconfig.
    pub kubeconfig: PathBuf,
    /// Its Vault's address, reachable from here and from pods.
    pub vault_address: String,
    /// The certificates of who signed that Vault's.
    pub vault_ca: PathBuf,
    /// A file with a token that may prepare it.
    pub vault_token_file: PathBuf,
    /// Where `kubectl`, `bao` and `helm` are.
    pub tools: [PathBuf; 3],
}

/// A place to act.
pub struct Stage {
    site: Site,
    loud: bool,
    transcript: RefCell<Vec<String>>,
    /// `kubectl-keystead`.
    cli: PathBuf,
}

/// What a command that was to fail said.
pub struct Refusal(pub String);

impl Stage {
    /// A stage at a site; `cli` is the `kubectl-keystead` to use.
    pub fn new(site: Site, loud: bool, cli: PathBuf) -> Self {
        Self {
            site,
            loud,
            transcript: RefCell::default(),
            cli,
        }
    }

    /// The bed, where the site is one.
    pub fn bed(&self) -> Option<&Bed> {
        match &self.site {
            Site::Bed(bed) => Some(bed),
            Site::Own(_) => None,
        }
    }

    /// `kubectl-keystead`.
    pub fn cli(&self) -> &Path {
        &self.cli
    }

    /// Vault's address as pods see it.
    pub fn vault_for_pods(&self) -> &str {
        match &self.site {
            Site::Bed(bed) if bed.node_name.is_some() => IN_CLUSTER_VAULT,
            Site::Bed(bed) => &bed.vault_address,
            Site::Own(own) => &own.vault_address,
        }
    }

    /// The certificates of who signed Vault's.
    pub fn vault_ca(&self) -> &Path {
        match &self.site {
            Site::Bed(bed) => &bed.vault_ca,
            Site::Own(own) => &own.vault_ca,
        }
    }

    // === telling ===

    /// The title of a chapter.
    pub fn chapter(&self, title: &str) {
        self.tell(format_args!("\n━━ {title}"));
    }

    /// A sentence for whoever watches.
    pub fn tell(&self, text: impl Display) {
        if self.loud {
            ui::say(&text);
        }
        self.transcript.borrow_mut().push(text.to_string());
    }

    /// All that was told and shown so far.
    pub fn transcript(&self) -> String {
        self.transcript.borrow().join("\n")
    }

    // === acting ===

    /// Runs a command line and shows it with its output. Words may be 'quoted'.
    pub fn show(&self, line: &str) -> Result<String> {
        self.shown(line, &mut self.command(line), None)
    }

    /// Runs a command line without showing it.
    pub fn ask(&self, line: &str) -> Result<String> {
        let (output, error) = run(&mut self.command(line), None)?;
        match error {
            None => Ok(output),
            Some(error) => Err(anyhow!("{line}: {error}")),
        }
    }

    /// Runs a command line that must fail, shows it, and answers what it said.
    pub fn refused(&self, line: &str) -> Result<Refusal> {
        self.refusal(line, &mut self.command(line), None)
    }

    /// Runs a command, shown as `line`; standard input is `input`.
    pub fn shown(&self, line: &str, command: &mut Command, input: Option<&str>) -> Result<String> {
        self.tell(format_args!("$ {line}"));
        let (output, error) = run(command, input)?;
        self.tell(indent(&output));
        match error {
            None => Ok(output),
            Some(error) => Err(anyhow!("{line}: {error}")),
        }
    }

    /// Runs a command that must fail, shown as `line`.
    pub fn refusal(&self, line: &str, command: &mut Command, input: Option<&str>) -> Result<Refusal> {
        self.tell(format_args!("$ {line}"));
        match run(command, input)? {
            (output, None) => bail!("{line}: this was to be refused, and was not: {output}"),
            (_, Some(error)) => {
                self.tell(indent(&error));
                Ok(Refusal(error))
            }
        }
    }

    /// Applies manifests, shown as a file of that name.
    pub fn apply(&self, name: &str, manifests: &str) -> Result<()> {
        let mut command = self.command("kubectl apply -f -");
        self.shown(&format!("kubectl apply -f {name}"), &mut command, Some(manifests))
            .map(drop)
    }

    /// A command of this site, its words split.
    pub fn command(&self, line: &str) -> Command {
        let mut words = words(line).into_iter();
        let program = words.next().unwrap_or_default();
        let keystead = Path::new("kubectl-keystead");
        let program = if Path::new(&program) == keystead {
            self.cli.clone()
        } else {
            program.into()
        };
        let mut command = match &self.site {
            Site::Bed(bed) => bed.command(program),
            Site::Own(own) => own.command(&program),
        };
        command.args(words);
        command
    }

    /// A command that talks to Vault with a token of its own.
    pub fn vault_as(&self, token: &str, line: &str) -> Command {
        let mut command = self.command(line);
        command.env("VAULT_TOKEN", token);
        command
    }

    // === waiting ===

    /// Asks until the answer satisfies; answers it.
    pub fn until(&self, what: &str, line: &str, satisfies: impl Fn(&str) -> bool) -> Result<String> {
        let mut last = String::new();
        let found = wait::until(what, PATIENCE, None, || {
            // A command that fails now may work in a moment.
            last = self.ask(line).unwrap_or_else(|error| error.to_string());
            Ok(satisfies(&last))
        });
        found.with_context(|| format!("the last answer to `{line}` was: {last}"))?;
        Ok(last)
    }

    /// Waits until an object is Ready.
    pub fn ready(&self, object: &str) -> Result<()> {
        let path = "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}";
        let line = format!("kubectl get {object} -o '{path}'");
        self.until(&format!("{object} is Ready"), &line, |answer| answer == "True")
            .map(drop)
    }
}

impl Own {
    fn command(&self, program: &Path) -> Command {
        let tool = self
            .tools
            .iter()
            .find(|tool| tool.file_name() == program.file_name());
        let mut command = Command::new(tool.map_or(program, PathBuf::as_path));
        command
            .env("KUBECONFIG", &self.kubeconfig)
            .env("VAULT_ADDR", &self.vault_address);
        command.env("VAULT_CACERT", &self.vault_ca);
        let token = std::fs::read_to_string(&self.vault_token_file).unwrap_or_default();
        command.env("VAULT_TOKEN", token.trim());
        command
    }
}

/// Runs to the end: standard output, and standard error where it failed.
fn run(command: &mut Command, input: Option<&str>) -> Result<(String, Option<String>)> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(if input.is_some() {
        Stdio::piped()
    } else {
        Stdio::null()
    });
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {name}"))?;
    if let (Some(input), Some(mut to)) = (input, child.stdin.take()) {
        // A command that does not read to the end says so itself.
        let _ = to.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().with_context(|| format!("run {name}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    let error = (!output.status.success()).then(|| text(&output.stderr));
    Ok((text(&output.stdout), error))
}

/// Splits a line at blanks, but not inside '…'.
pub(crate) fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let (mut quoted, mut open) = (false, false);
    for letter in line.chars() {
        match letter {
            '\'' => {
                quoted = !quoted;
                open = true;
            }
            ' ' if !quoted => {
                if open {
                    words.push(String::new());
                }
                open = false;
            }
            _ => {
                open = true;
                if let Some(word) = words.last_mut() {
                    word.push(letter);
                }
            }
        }
    }
    if !open {
        words.pop();
    }
    words
}

fn indent(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| format!("    {line}")).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_words() {
        assert_eq!(words("kubectl  get pods"), ["kubectl", "get", "pods"]);
        assert_eq!(words("a 'b c' d='e f' ''"), ["a", "b c", "d=e f", ""]);
        assert!(words("").is_empty());
    }
}
