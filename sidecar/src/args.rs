//! The command line, small enough to be read by hand: a parser would cost memory in every pod.

use std::ffi::OsString;

/// How to call the program.
pub const USAGE: &str = "\
usage: keystead-sidecar COMMAND

  run      write the pod's secrets and keep them current, until SIGTERM
  wait     return when the secrets are there, after 5 s at most (the postStart hook)
  version  print the version

Everything else comes from the environment; the webhook sets it.
";

/// What `version` prints.
pub const VERSION: &str = concat!("keystead-sidecar ", env!("CARGO_PKG_VERSION"), "\n");

/// What to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Command {
    /// Explain the commands.
    Help,
    /// Serve the pod until it ends.
    Run,
    /// Say which version this is.
    Version,
    /// Wait until the gate is open.
    Wait,
}

/// What is wrong with the command line.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// There is none.
    #[error("no command given: expected run, wait or version")]
    Missing,
    /// No command of ours.
    #[error("unknown command {0:?}: expected run, wait or version")]
    Unknown(String),
    /// Something after the command.
    #[error("unexpected {argument:?} after {command}: it takes no arguments")]
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
        let mut words = arguments
            .into_iter()
            .map(|word| word.to_string_lossy().into_owned());
        let name = words.next().ok_or(Error::Missing)?;
        let command = match name.as_str() {
            "run" => Self::Run,
            "wait" => Self::Wait,
            "version" | "--version" | "-V" => Self::Version,
            "help" | "--help" | "-h" => Self::Help,
            _ => return Err(Error::Unknown(name)),
        };
        match words.next() {
            Some(argument) => Err(Error::Unexpected {
                command: name,
                argument,
            }),
            None => Ok(command),
        }
    }
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
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(
            parse(""),
            Err("no command given: expected run, wait or version".into())
        );
        assert_eq!(
            parse("rn"),
            Err("unknown command \"rn\": expected run, wait or version".into())
        );
        let expected = "unexpected \"--now\" after wait: it takes no arguments";
        assert_eq!(parse("wait --now"), Err(expected.into()));
    }
}
