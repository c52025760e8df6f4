//! The log: one line an event, on stderr, for people or for programs.

use std::fmt;
use std::str::FromStr;
use tracing::Metadata;
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt as formats};

/// How lines look.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Format {
    /// One JSON object a line.
    #[default]
    Json,
    /// For reading in a terminal.
    Text,
}

/// Starts the log. `filter` is a level (`info`) or a list of tracing directives
/// (`info,keystead_vault=debug`).
///
/// The Vault client logs errors itself, with the body that the server sent: no filter turns it on.
pub fn init(format: Format, filter: &str) -> Result<(), Error> {
    let chosen = EnvFilter::builder()
        .parse(filter)
        .map_err(|source| Error::Filter {
            filter: filter.to_owned(),
            source,
        })?;
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match format {
        Format::Json => formats::layer()
            .json()
            .flatten_event(true)
            // The current one says it all.
            .with_span_list(false)
            .with_writer(std::io::stderr)
            .boxed(),
        Format::Text => formats::layer()
            .with_ansi(false)
            .with_writer(std::io::stderr)
            .boxed(),
    };
    let lines = lines.with_filter(chosen.and(filter_fn(may_speak)));
    tracing_subscriber::registry()
        .with(lines)
        .try_init()
        .map_err(Error::Started)
}

/// Everyone may speak, except the crates that put what a server answered into their lines.
fn may_speak(line: &Metadata<'_>) -> bool {
    let speaker = line.target().split("::").next().unwrap_or_default();
    !matches!(speaker, "kube_client" | "rustify" | "vaultrs")
}

/// An error with all its causes, in one line: `failed to read Secret a/b: no answer within 10 s`.
#[derive(Clone, Copy, Debug)]
pub struct Chain<'a>(pub &'a (dyn std::error::Error + 'static));

/// Why the log could not be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter does not parse.
    #[error("log filter {filter:?} is neither a level nor a list of directives")]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// There is a log already.
    #[error("the log was started twice")]
    Started(#[source] TryInitError),
}

/// A name that is no [`Format`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("log format {0:?} is neither json nor text")]
pub struct UnknownFormat(String);

// === impl Chain ===

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        std::iter::successors(self.0.source(), |error| error.source())
            .try_for_each(|cause| write!(f, ": {cause}"))
    }
}

// === impl Format ===

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        match name {
            "json" => Ok(Self::Json),
            "text" => Ok(Self::Text),
            other => Err(UnknownFormat(other.to_owned())),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "json",
            Self::Text => "text",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tracing::subscriber::with_default;
    use tracing_subscriber::layer::Context;

    /// Keeps the targets of the lines that came through.
    #[derive(Clone, Default)]
    struct Heard(Arc<Mutex<Vec<String>>>);

    impl<S: tracing::Subscriber> Layer<S> for Heard {
        fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
            self.0.lock().unwrap().push(event.metadata().target().to_owned());
        }
    }

    #[test]
    fn no_filter_makes_the_vault_client_speak() {
        let heard = Heard::default();
        let chosen = EnvFilter::builder()
            .parse("trace,vaultrs::api=trace,rustify=trace")
            .unwrap();
        let lines = heard.clone().with_filter(chosen.and(filter_fn(may_speak)));
        with_default(tracing_subscriber::registry().with(lines), || {
            tracing::error!(target: "vaultrs::api", "a body with a secret");
            tracing::error!(target: "rustify", "the same");
            tracing::debug!(target: "vaultrsish", "not one of them");
        });
        assert_eq!(*heard.0.lock().unwrap(), ["vaultrsish"]);
    }

    #[test]
    fn formats_are_named_as_they_are_shown() {
        for format in [Format::Json, Format::Text] {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        let error = "xml".parse::<Format>().unwrap_err();
        assert_eq!(error.to_string(), r#"log format "xml" is neither json nor text"#);
    }

    #[test]
    fn a_chain_names_every_cause_once() {
        let source = std::io::Error::other("disk full");
        let error = crate::probes::Error::Bind {
            address: ([127, 0, 0, 1], 80).into(),
            source,
        };
        let expected = "failed to listen on 127.0.0.1:80 for probes and metrics: disk full";
        assert_eq!(Chain(&error).to_string(), expected);
    }

    #[test]
    fn a_filter_that_does_not_parse_is_named() {
        let error = init(Format::Text, "keystead=loud").unwrap_err();
        assert!(error.to_string().contains(r#""keystead=loud""#), "{error}");
    }
}
