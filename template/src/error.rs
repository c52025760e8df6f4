//! What is wrong with a template, in sentences. No variant has a place for a value: names and texts
//! come from the template, which is no secret.

use minijinja::ErrorKind;
use std::error::Error as _;

/// What is wrong with a template, and where.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}{why}", line.map(|line| format!("line {line}: ")).unwrap_or_default())]
pub struct Error {
    /// In which line, from 1; none where that is not known.
    pub line: Option<usize>,
    /// What.
    pub why: Why,
}

/// What is wrong with a template.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Why {
    /// It is no template.
    #[error("it can't be read: {0}")]
    Syntax(String),
    /// A filter or test that there is not.
    #[error("there is no {kind} {name}")]
    Unknown {
        /// `filter`, `test` or `variable or function`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// A secret that the binding does not ask for.
    #[error("secret({0:?}) must be the name of an entry of spec.secrets")]
    UnknownSecret(String),
    /// A key that the binding does not ask for.
    #[error("{key} is not among spec.secrets[{secret}].keys: add it there, or leave keys out to have all")]
    UnknownKey {
        /// The secret's name.
        secret: String,
        /// The key.
        key: String,
    },
    /// A key that nobody has.
    #[error("secret({secret:?}) has no key {key}")]
    Missing {
        /// The secret's name.
        secret: String,
        /// The key.
        key: String,
    },
    /// Anything else.
    #[error("{0}")]
    Other(&'static str),
}

/// A sentence of ours, on its way through the engine.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Said(&'static str);

/// An error that a filter or function raises.
pub(crate) fn raise(sentence: &'static str) -> minijinja::Error {
    minijinja::Error::from(ErrorKind::InvalidOperation).with_source(Said(sentence))
}

impl Error {
    /// A template that can't be read. What the engine says then is about its text alone.
    pub(crate) fn syntax(error: &minijinja::Error) -> Self {
        let detail = error
            .detail()
            .map_or_else(|| error.kind().to_string(), str::to_owned);
        Self {
            line: error.line(),
            why: Why::Syntax(detail),
        }
    }

    /// An error while it was rendered, without the engine's words, which may hold values.
    pub(crate) fn rendering(error: &minijinja::Error) -> Self {
        let said = error.source().and_then(|source| source.downcast_ref::<Said>());
        let why = said.map_or_else(|| sentence(error.kind()), |Said(sentence)| sentence);
        Self {
            line: error.line(),
            why: Why::Other(why),
        }
    }
}

fn sentence(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::OutOfFuel => "it takes more than 100000 steps: make its loops shorter",
        ErrorKind::UndefinedError => "something that it uses is not there",
        ErrorKind::MissingArgument => "a filter, test, function or macro needs another argument",
        ErrorKind::TooManyArguments => "a filter, test, function or macro has an argument too many",
        ErrorKind::UnknownFunction | ErrorKind::UnknownMethod => {
            "it calls a function or method that there is not"
        }
        _ => "something in this line can't be done with what it is given",
    }
}
