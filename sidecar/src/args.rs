//! The command line, small enough to be read by hand: a parser would cost memory in every pod.

use crate::exec;
use crate::files::FilePath;
use std::ffi::OsString;

/// How to call the program.
pub const USAGE: &str = "\
usage: keystead-sidecar COMMAND

  run      write the pod's secrets and keep them current, until SIGTERM
  wait     return when the secrets are there, after 5 s at most (the postStart hook)
  gate     return when the secrets are there (an init container)
  exec [--restart] [--signal SIGNAL=FILE]… -- COMMAND [ARGUMENT…]
           start a command with the pod's variables, when they are there; its exit code is kept.
           --restart starts it anew when a value changes, --signal SIGHUP=hubspot.env sends it a signal
           when that file does
  version  print the version

Everything else comes from the environment; the webhook sets it.
";

/// What `version` prints.
pub const VERSION: &str = concat!("keystead-sidecar ", env!("CARGO_PKG_VERSION"), "\n");

/// What to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Command {
    /// Start a container's own command.
    Exec(exec::Options),
    /// Wait until the gate is open, however long that takes.
    Gate,
    /// Explain the commands.
    Help,
    /// Serve the pod until it ends.
    Run,
    /// Say which version this is.
    Version,
    /// Wait until the gate is open, for a while.
    Wait,
}

/// What is wrong with the command line.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// There is none.
    #[error("no command given: expected run, wait, gate, exec or version")]
    Missing,
    /// No command of ours.
    #[error("unknown command {0:?}: expected run, wait, gate, exec or version")]
    Unknown(String),
    /// Nothing to start.
    #[error("exec needs a command: exec [--restart] -- COMMAND [ARGUMENT…]")]
    NoCommand,
    /// Not a signal and a file.
    #[error("unexpected {0:?} after --signal: expected a signal and a file, such as SIGHUP=hubspot.env")]
    NoSignal(String),
    /// Something after the command.
    #[error("unexpected {argument:?} after {command}: what it takes is below")]
    Unexpected {
        /// The command.
        command: String,
        /// What follows it.
        argument: String,
    },
}

impl Command {
    /// Reads the arguments that follow the program's name.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, Error> {
        let mut words = arguments.into_iter();
        let name = words.next().ok_or(Error::Missing)?.to_string_lossy().into_owned();
        let command = match name.as_str() {
            "exec" => return exec_options(words).map(Self::Exec),
            "gate" => Self::Gate,
            "run" => Self::Run,
            "wait" => Self::Wait,
            "version" | "--version" | "-V" => Self::Version,
            "help" | "--help" | "-h" => Self::Help,
            _ => return Err(Error::Unknown(name)),
        };
        match words.next() {
            Some(argument) => Err(Error::Unexpected {
                command: name,
                argument: argument.to_string_lossy().into_owned(),
            }),
            None => Ok(command),
        }
    }
}

/// What follows `exec`. The `--` is needed: what follows it is somebody else's, options and all.
fn exec_options(mut words: impl Iterator<Item = OsString>) -> Result<exec::Options, Error> {
    let (mut restart, mut signals) = (false, Vec::new());
    loop {
        match words.next() {
            Some(word) if word == "--" => break,
            Some(word) if word == "--restart" => restart = true,
            Some(word) if word == "--signal" => signals.push(signal(words.next())?),
            Some(word) => {
                return Err(Error::Unexpected {
                    command: "exec".to_owned(),
                    argument: word.to_string_lossy().into_owned(),
                });
            }
            None => return Err(Error::NoCommand),
        }
    }
    let command: Vec<OsString> = words.collect();
    if command.is_empty() {
        return Err(Error::NoCommand);
    }
    Ok(exec::Options {
        command,
        restart,
        signals,
    })
}

/// `SIGHUP=hubspot.env`
fn signal(word: Option<OsString>) -> Result<exec::Wanted, Error> {
    let word = word.unwrap_or_default().to_string_lossy().into_owned();
    let wanted = word.split_once('=').and_then(|(signal, file)| {
        let (signal, file) = (signal.parse().ok()?, FilePath::parse(file).ok()?);
        Some(exec::Wanted { signal, file })
    });
    wanted.ok_or(Error::NoSignal(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, String> {
        Command::parse(line.split_whitespace().map(OsString::from)).map_err(|error| error.to_string())
    }

    #[test]
    fn commands_are_read() {
        assert_eq!(parse("run"), Ok(Command::Run));
        assert_eq!(parse("wait"), Ok(Command::Wait));
        assert_eq!(parse("--version"), Ok(Command::Version));
        assert_eq!(parse("-h"), Ok(Command::Help));
        assert_eq!(parse("gate"), Ok(Command::Gate));
    }

    #[test]
    fn what_exec_starts_is_left_as_it_is() {
        let exec = |restart, command: &[&str]| {
            let command = command.iter().map(OsString::from).collect();
            Ok(Command::Exec(exec::Options {
                command,
                restart,
                signals: Vec::new(),
            }))
        };
        assert_eq!(parse("exec -- web"), exec(false, &["web"]));
        assert_eq!(
            parse("exec --restart -- web --restart -- -x"),
            exec(true, &["web", "--restart", "--", "-x"])
        );
        let needed = "exec needs a command: exec [--restart] -- COMMAND [ARGUMENT…]";
        for line in ["exec", "exec --", "exec --restart"] {
            assert_eq!(parse(line), Err(needed.to_owned()), "{line}");
        }
        assert!(
            parse("exec web")
                .unwrap_err()
                .contains("unexpected \"web\" after exec")
        );
    }

    #[test]
    fn a_signal_is_for_a_file() {
        let Ok(Command::Exec(exec)) =
            parse("exec --signal SIGHUP=a/b.env --restart --signal SIGUSR1=c -- web")
        else {
            panic!("not read");
        };
        let wanted: Vec<String> = exec
            .signals
            .iter()
            .map(|wanted| {
                format!(
                    "{}={}",
                    wanted.signal,
                    AsRef::<std::path::Path>::as_ref(&wanted.file).display()
                )
            })
            .collect();
        assert_eq!(wanted, ["SIGHUP=a/b.env", "SIGUSR1=c"]);
        for wrong in ["SIGHUP", "HUP=a", "SIGHUP=../a", "SIGHUP=", "=a"] {
            let error = parse(&format!("exec --signal {wrong} -- web")).unwrap_err();
            let expected = format!(
                "unexpected {wrong:?} after --signal: expected a signal and a file, such as SIGHUP=hubspot.env"
            );
            assert_eq!(error, expected);
        }
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(
            parse(""),
            Err("no command given: expected run, wait, gate, exec or version".into())
        );
        assert_eq!(
            parse("rn"),
            Err("unknown command \"rn\": expected run, wait, gate, exec or version".into())
        );
        let expected = "unexpected \"--now\" after wait: what it takes is below";
        assert_eq!(parse("wait --now"), Err(expected.into()));
    }
}
