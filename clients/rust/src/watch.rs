//! A value that is followed.

use crate::{Error, Secret, Secrets};
use std::thread;
use std::time::Duration;

/// How often the sidecar is asked, give or take a tenth. It answers from memory and looks at Vault as
/// often as its binding says.
const PERIOD: Duration = Duration::from_secs(1);

/// A value now, and again whenever it changes: an iterator that blocks and does not end. That there is
/// no such value any more, or no access to it, is told once, and so is its return. A sidecar that is away
/// for a while, as when it is restarted, is waited for in silence.
#[derive(Debug)]
pub struct Watch {
    secrets: Secrets,
    service: String,
    key: String,
    period: Duration,
    told: Option<Told>,
}

/// What was told last.
#[derive(Debug, Eq, PartialEq)]
enum Told {
    Value(Box<Secret>),
    NotFound,
    AccessDenied,
    Unreadable,
}

impl Watch {
    pub(crate) fn new(secrets: Secrets, service: &str, key: &str) -> Self {
        Self {
            secrets,
            service: service.to_owned(),
            key: key.to_owned(),
            period: PERIOD,
            told: None,
        }
    }

    /// Asks this often instead of once a second.
    #[must_use]
    pub fn every(mut self, period: Duration) -> Self {
        self.period = period;
        self
    }
}

impl Iterator for Watch {
    type Item = Result<Secret, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let now = self.secrets.get(&self.service, &self.key);
            let told = match &now {
                Ok(secret) => Some(Told::Value(Box::new(secret.clone()))),
                Err(Error::NotFound(_)) => Some(Told::NotFound),
                Err(Error::AccessDenied(_)) => Some(Told::AccessDenied),
                Err(Error::Unreadable(_)) => Some(Told::Unreadable),
                Err(Error::Unavailable(_)) => None,
            };
            if told.is_some() && told != self.told {
                self.told = told;
                return Some(now);
            }
            thread::sleep(self.period.mul_f64(0.9 + 0.2 * fastrand::f64()));
        }
    }
}
