//! Whether a template can work, without any value: that it can be read, and that the filters, tests,
//! functions, secrets and keys it names are there.

use crate::error::{Error, Why};
use crate::render::Source;
use crate::{SECRET, compiled, environment};
use minijinja::machinery::{Instruction, Instructions, get_compiled_template};
use minijinja::value::Value;
use minijinja::{Environment, ErrorKind};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Looks at a template. `keys` answers which keys of a secret are shown (all, where there are none), or
/// none where there is no secret of that name.
///
/// Only names that stand in quotes can be looked at; one that the template makes up is an error when it is
/// rendered.
pub fn check<'k>(text: &str, keys: impl Fn(&str) -> Option<&'k [String]>) -> Result<(), Error> {
    let mut environment = environment();
    Arc::new(Source::default()).add(&mut environment);
    let template = compiled(&environment, text)?;
    let mut unknown: Vec<String> = template.undeclared_variables(false).into_iter().collect();
    unknown.retain(|name| environment.globals().all(|(global, _)| global != name));
    let compiled = get_compiled_template(&template);
    let program = &compiled.instructions;
    for index in 0.. {
        let Some(instruction) = program.get(index) else {
            break;
        };
        let wrong = match instruction {
            Instruction::ApplyFilter(name, ..) if !has_filter(&environment, name) => {
                Some(unheard("filter", name))
            }
            Instruction::PerformTest(name, ..) if !has_test(&environment, name) => {
                Some(unheard("test", name))
            }
            Instruction::Lookup(SECRET) => Some(Why::Other(
                "secret is a function: write secret(\"name\").key, with the name of an entry of spec.secrets",
            )),
            Instruction::CallFunction(SECRET, count) => asked(program, index, *count, &keys),
            Instruction::Lookup(name) | Instruction::CallFunction(name, _)
                if unknown.iter().any(|unknown| unknown == name) =>
            {
                Some(unheard("variable or function", name))
            }
            _ => None,
        };
        if let Some(why) = wrong {
            let line = program.get_line(index);
            return Err(Error { line, why });
        }
    }
    Ok(())
}

/// The secrets that a template names; none where only rendering it can tell.
pub fn names(text: &str) -> Option<BTreeSet<String>> {
    let environment = environment();
    let template = compiled(&environment, text).ok()?;
    let compiled = get_compiled_template(&template);
    let program = &compiled.instructions;
    let mut names = BTreeSet::new();
    for index in 0.. {
        let name = match program.get(index) {
            None => break,
            Some(Instruction::Lookup(SECRET)) => return None,
            Some(Instruction::CallFunction(SECRET, count)) => {
                self::text(program, index.checked_sub(u32::from((*count)?))?)?
            }
            Some(_) => continue,
        };
        names.insert(name.to_owned());
    }
    Some(names)
}

fn unheard(kind: &'static str, name: &str) -> Why {
    let name = name.to_owned();
    Why::Unknown { kind, name }
}

/// What is wrong with the secret and the key that a call asks for: `secret("name")`,
/// `secret("name", "key")`, `secret("name").key`, `secret("name")["key"]`.
fn asked<'k>(
    program: &Instructions<'_>,
    call: u32,
    count: Option<u16>,
    keys: &impl Fn(&str) -> Option<&'k [String]>,
) -> Option<Why> {
    let (name, key) = match count {
        Some(1) => (text(program, call.checked_sub(1)?)?, key_after(program, call)),
        Some(2) => (
            text(program, call.checked_sub(2)?)?,
            text(program, call.checked_sub(1)?),
        ),
        None => return None,
        Some(_) => {
            return Some(Why::Other(
                "secret takes the name of an entry of spec.secrets, and a key if you like",
            ));
        }
    };
    let Some(shown) = keys(name) else {
        return Some(Why::UnknownSecret(name.to_owned()));
    };
    let key = key.filter(|key| !shown.is_empty() && !shown.iter().any(|shown| shown == key))?;
    Some(Why::UnknownKey {
        secret: name.to_owned(),
        key: key.to_owned(),
    })
}

fn key_after<'a>(program: &'a Instructions<'_>, call: u32) -> Option<&'a str> {
    match (program.get(call + 1)?, program.get(call + 2)) {
        (Instruction::GetAttr(key), _) => Some(key),
        (Instruction::LoadConst(key), Some(Instruction::GetItem)) => key.as_str(),
        _ => None,
    }
}

/// A text that stands in the template.
fn text<'a>(program: &'a Instructions<'_>, index: u32) -> Option<&'a str> {
    match program.get(index)? {
        Instruction::LoadConst(value) => value.as_str(),
        _ => None,
    }
}

/// The engine tells only by trying.
fn has_filter(environment: &Environment<'_>, name: &str) -> bool {
    let tried = environment.empty_state().apply_filter(name, &[Value::UNDEFINED]);
    tried
        .err()
        .is_none_or(|error| error.kind() != ErrorKind::UnknownFilter)
}

fn has_test(environment: &Environment<'_>, name: &str) -> bool {
    let tried = environment.empty_state().perform_test(name, &[Value::UNDEFINED]);
    tried
        .err()
        .is_none_or(|error| error.kind() != ErrorKind::UnknownTest)
}
