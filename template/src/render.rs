//! A template and values in, a text out.

use crate::bound::{Budget, TOO_LARGE, guarded};
use crate::error::{Error, Why, raise};
use crate::{SECRET, compiled, environment};
use keystead_vault::Sensitive;
use minijinja::machinery::{eval, get_compiled_template, make_string_output};
use minijinja::value::{Enumerator, Object, Value};
use minijinja::{AutoEscape, Environment, ErrorKind};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use zeroize::Zeroizing;

/// Longest text that a template may make, in bytes.
pub const LARGEST: usize = 1 << 20;

/// The secrets that a template may use, by name, each with its keys.
pub type Secrets = BTreeMap<String, BTreeMap<String, Sensitive<String>>>;

/// Renders a template, or says which line can't be and why.
pub fn render(text: &str, secrets: Secrets) -> Result<Sensitive<String>, Error> {
    let source = Arc::new(Source {
        secrets,
        missed: Mutex::default(),
    });
    let mut environment = environment();
    Arc::clone(&source).add(&mut environment);
    Budget::default().add(&mut environment);
    let template = compiled(&environment, text)?;
    let program = guarded(&get_compiled_template(&template).instructions);
    // As large as it may be from the start: a text that grows leaves copies behind.
    let mut made = Zeroizing::new(String::with_capacity(LARGEST));
    let mut output = make_string_output(&mut made);
    let none = BTreeMap::new();
    let root = Value::from(());
    if let Err(error) = eval(&environment, &program, root, &none, &mut output, AutoEscape::None) {
        return Err(source.why(&error, text));
    }
    if made.len() > LARGEST {
        let why = Why::Other(TOO_LARGE);
        return Err(Error { line: None, why });
    }
    let mut text = std::mem::take(&mut *made);
    text.shrink_to_fit();
    Ok(Sensitive::new(text))
}

/// Where `secret` finds values.
#[derive(Default)]
pub(crate) struct Source {
    secrets: Secrets,
    /// The key that was looked for last and is not there.
    missed: Mutex<Option<(String, String)>>,
}

impl Source {
    /// Gives templates the function.
    pub(crate) fn add(self: Arc<Self>, environment: &mut Environment<'_>) {
        let source = self;
        environment.add_function(SECRET, move |name: &str, key: Option<Value>| {
            if !source.secrets.contains_key(name) {
                return Err(raise("secret is asked for what is no entry of spec.secrets"));
            }
            source.note(None);
            let keys = Arc::new(Keys {
                name: name.to_owned(),
                source: Arc::clone(&source),
            });
            Ok(match key {
                None => Value::from_dyn_object(keys),
                Some(key) => keys.get_value(&key).unwrap_or_default(),
            })
        });
    }

    /// Why rendering this template failed.
    fn why(&self, error: &minijinja::Error, text: &str) -> Error {
        let missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner).take();
        match missed {
            // What fails is nearly always that which was given nothing. A key that does not stand in the
            // template may be a value.
            Some((secret, key)) if error.kind() != ErrorKind::OutOfFuel && text.contains(&key) => Error {
                line: error.line(),
                why: Why::Missing { secret, key },
            },
            _ => Error::rendering(error),
        }
    }

    fn note(&self, missed: Option<(String, String)>) {
        *self.missed.lock().unwrap_or_else(PoisonError::into_inner) = missed;
    }
}

/// One secret: a mapping of its keys.
struct Keys {
    name: String,
    source: Arc<Source>,
}

impl Object for Keys {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let key = key.as_str()?;
        let found = self.source.secrets.get(&self.name)?.get(key);
        if found.is_none() {
            self.source.note(Some((self.name.clone(), key.to_owned())));
        }
        found.map(|value| Value::from(value.expose().as_str()))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let keys = self.source.secrets.get(&self.name).into_iter().flatten();
        Enumerator::Values(keys.map(|(key, _)| Value::from(key.as_str())).collect())
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A text that has a largest size, and leaves no copies behind as it grows.
#[derive(Default)]
pub(crate) struct Output {
    text: Zeroizing<Vec<u8>>,
    is_full: bool,
}

impl Output {
    /// Whether there was more than fits.
    pub(crate) const fn is_full(&self) -> bool {
        self.is_full
    }

    /// What was written, if it is text.
    pub(crate) fn into_text(mut self) -> Option<String> {
        let text = String::from_utf8(std::mem::take(&mut *self.text));
        text.map_err(|error| drop(Zeroizing::new(error.into_bytes())))
            .ok()
    }
}

impl io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let size = self.text.len() + bytes.len();
        if size > LARGEST {
            self.is_full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if size > self.text.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity((2 * size).min(LARGEST)));
            larger.extend_from_slice(&self.text);
            self.text = larger;
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
