//! What templates can do with values.

use crate::bound::{TOO_LARGE, fits, length};
use crate::error::raise;
use crate::render::Output;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minijinja::value::{Rest, Serde, Value};
use minijinja::{Environment, Error, ErrorKind, State, filters, functions, tests};
use zeroize::Zeroizing;

/// Adds all filters, tests and functions but `secret`.
pub(crate) fn add(environment: &mut Environment<'_>) {
    environment.add_filter("b64decode", b64decode);
    environment.add_filter("b64encode", b64encode);
    environment.add_filter("fromjson", fromjson);
    environment.add_filter("json", json);
    environment.add_filter("tojson", json);
    environment.add_filter("quote", quote);
    environment.add_filter("default", filters::default);
    environment.add_filter("d", filters::default);
    environment.add_filter("first", filters::first);
    environment.add_filter("indent", indent);
    environment.add_filter("int", filters::int);
    environment.add_filter("items", filters::items);
    environment.add_filter("join", join);
    environment.add_filter("last", filters::last);
    environment.add_filter("length", filters::length);
    environment.add_filter("lines", filters::lines);
    environment.add_filter("list", filters::list);
    environment.add_filter("lower", filters::lower);
    environment.add_filter("replace", replace);
    environment.add_filter("sort", filters::sort);
    environment.add_filter("split", filters::split);
    environment.add_filter("trim", filters::trim);
    environment.add_filter("unique", filters::unique);
    environment.add_filter("upper", filters::upper);
    environment.add_filter("urlencode", urlencode);
    environment.add_test("defined", tests::is_defined);
    environment.add_test("undefined", tests::is_undefined);
    environment.add_test("none", tests::is_none);
    environment.add_test("string", tests::is_string);
    environment.add_test("number", tests::is_number);
    environment.add_test("mapping", tests::is_mapping);
    environment.add_test("sequence", tests::is_sequence);
    environment.add_test("startingwith", tests::is_startingwith);
    environment.add_test("endingwith", tests::is_endingwith);
    environment.add_function("range", functions::range);
}

fn b64encode(text: &str) -> String {
    STANDARD.encode(text)
}

fn b64decode(text: &str) -> Result<String, Error> {
    // Base64 is often broken into lines.
    let packed: Zeroizing<String> = Zeroizing::new(text.split_ascii_whitespace().collect());
    let bytes = STANDARD
        .decode(packed.as_bytes())
        .map_err(|_| raise("what b64decode is given is not Base64"))?;
    String::from_utf8(bytes).map_err(|error| {
        drop(Zeroizing::new(error.into_bytes()));
        raise("what b64decode finds is not text, and a template's file is text")
    })
}

fn json(value: &Value) -> Result<String, Error> {
    defined(value)?;
    let mut output = Output::default();
    let written = serde_json::to_writer(&mut output, value);
    if output.is_full() {
        return Err(raise(TOO_LARGE));
    }
    let unfit = || raise("what json is given can't be written as JSON");
    written.map_err(|_| unfit())?;
    output.into_text().ok_or_else(unfit)
}

fn fromjson(text: &str) -> Result<Value, Error> {
    let value: serde_json::Value =
        serde_json::from_str(text).map_err(|_| raise("what fromjson is given is not JSON"))?;
    Ok(Value::from(Serde(value)))
}

/// One word of a POSIX shell.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn join(state: &mut State<'_, '_>, value: &Value, between: Option<&str>) -> Result<Value, Error> {
    defined(value)?;
    let mut size = 0_usize;
    if value.as_str().is_none() {
        for item in value.try_iter()? {
            size += length(&item)? + between.map_or(0, str::len);
            fits(size)?;
        }
    }
    let mut arguments = vec![value.clone()];
    arguments.extend(between.map(Value::from));
    Value::from_function(filters::join).call(state, &arguments)
}

fn indent(state: &mut State<'_, '_>, text: &str, width: usize, more: Rest<Value>) -> Result<Value, Error> {
    fits(
        text.lines()
            .count()
            .saturating_mul(width)
            .saturating_add(text.len()),
    )?;
    let mut arguments = vec![Value::from(text), Value::from(width)];
    arguments.extend(more.0);
    Value::from_function(filters::indent).call(state, &arguments)
}

fn replace(state: &mut State<'_, '_>, text: &Value, old: &Value, new: &Value) -> Result<Value, Error> {
    // The text of a number is short.
    if let (Some(text), Some(old), Some(new)) = (text.as_str(), old.as_str(), new.as_str()) {
        let times = text.matches(old).count();
        fits(times.saturating_mul(new.len()).saturating_add(text.len()))?;
    }
    Value::from_function(filters::replace).call(state, &[text.clone(), old.clone(), new.clone()])
}

fn urlencode(value: &Value) -> Result<String, Error> {
    defined(value)?;
    filters::urlencode(value)
}

/// Some filters take what is not there for an empty value.
fn defined(value: &Value) -> Result<(), Error> {
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    Ok(())
}
