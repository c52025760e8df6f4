//! The language of `Template` files, defined once: the operator looks at a template by it when it is
//! applied, the sidecar renders by it. Pure: no template reads or sends anything.
//!
//! It is Jinja with `secret("name").key`, strict: what is not there is an error and never nothing. All
//! errors are made here, because those of the engine may hold values.

mod bound;
mod check;
mod constants;
mod error;
mod filters;
mod render;

pub use check::{check, names};
pub use error::{Error, Why};
pub use render::{LARGEST, Secrets, render};

use minijinja::machinery::parse;
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Template, UndefinedBehavior};

/// The function that answers a secret's keys.
const SECRET: &str = "secret";
/// Steps that a template may take: far more than any that is meant. What is [guarded](bound::guarded) takes
/// several.
const FUEL: u64 = 200_000;
/// How deep recursive loops may go.
const DEPTH: usize = 50;

/// What every template can use, apart from [`SECRET`].
fn environment<'a>() -> Environment<'a> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(DEPTH);
    environment.set_syntax(syntax());
    filters::add(&mut environment);
    environment
}

fn syntax() -> SyntaxConfig {
    // A line that holds only a block leaves no empty line behind, and the last newline stays.
    let mut syntax = SyntaxConfig::builder();
    syntax
        .trim_blocks(true)
        .lstrip_blocks(true)
        .keep_trailing_newline(true);
    // Only delimiters can be wrong, and these are the usual ones.
    syntax.build().unwrap_or_default()
}

/// A template that can be read, and is no larger compiled than as a text.
fn compiled<'e>(environment: &'e Environment<'_>, text: &'e str) -> Result<Template<'e, 'e>, Error> {
    let syntax_error = |error| Error::syntax(&error);
    constants::check(&parse(text, "", syntax()).map_err(syntax_error)?)?;
    environment.template_from_str(text).map_err(syntax_error)
}

#[cfg(test)]
mod tests;
