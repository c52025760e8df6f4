//! The one TLS provider of the process.

/// Makes ring the provider of every TLS connection. The first statement of every `main`: which
/// provider rustls would choose by itself depends on what else is in the build, and without one the
/// first client panics.
pub fn install() -> Result<(), Error> {
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| Error::Installed)
}

/// Why the provider could not be installed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// Something else came first; its choice can't be changed.
    #[error("another TLS provider was installed before ours: crypto::install must come first in main")]
    Installed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_provider_is_an_error() {
        assert_eq!(install(), Ok(()));
        assert_eq!(install(), Err(Error::Installed));
    }
}
