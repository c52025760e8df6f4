//! One request to the sidecar's socket: HTTP, one a connection.

use crate::Error;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;
use zeroize::Zeroizing;

/// The socket's name among the files.
const NAME: &str = ".socket";
/// Longest silence of the sidecar, which answers from memory; another 15 may be asking, too.
const DEADLINE: Duration = Duration::from_secs(10);
/// Longest answer, in bytes: a value may have 1 MiB, and JSON may take six bytes for one.
const LONGEST: u64 = 8 << 20;
/// What stands for itself in an address.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The same in a service or an existing path.
const PATH: &AsciiSet = &PLAIN.remove(b'/');

/// Why the sidecar tells nothing.
#[derive(Deserialize)]
struct Problem {
    message: String,
}

/// What the sidecar says of a place below `/v1/secrets`; a `/` stands for itself in all of its parts but
/// the last, which is a key.
pub(crate) fn ask<T: DeserializeOwned>(folder: &Path, place: &[&str]) -> Result<T, Error> {
    let path = folder.join(NAME);
    let away = |error: std::io::Error| {
        Error::Unavailable(format!(
            "no answer from Keystead's sidecar at {}: {error}",
            path.display()
        ))
    };
    let mut stream = UnixStream::connect(&path).map_err(away)?;
    stream.set_read_timeout(Some(DEADLINE)).map_err(away)?;
    stream.set_write_timeout(Some(DEADLINE)).map_err(away)?;
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: keystead\r\nConnection: close\r\n\r\n",
        address(place)
    );
    stream.write_all(request.as_bytes()).map_err(away)?;
    // It has a secret in it.
    let mut answer = Zeroizing::new(Vec::new());
    stream.take(LONGEST).read_to_end(&mut answer).map_err(away)?;
    understand(&answer)
}

fn address(place: &[&str]) -> String {
    let last = place.len().saturating_sub(1);
    place
        .iter()
        .enumerate()
        .fold("/v1/secrets".to_owned(), |address, (index, part)| {
            let plain = if index < last { PATH } else { PLAIN };
            format!("{address}/{}", utf8_percent_encode(part, plain))
        })
}

pub(crate) fn understand<T: DeserializeOwned>(answer: &[u8]) -> Result<T, Error> {
    let unreadable = |why: &str| Error::Unreadable(why.to_owned());
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    let (head, body) = answer.split_at(end.ok_or_else(|| unreadable("it is not HTTP"))?);
    let status = head.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    let body = &body[4..];
    if status == b"200" {
        // The parser's own words could have a piece of the value in them.
        return serde_json::from_slice(body).map_err(|_| unreadable("it is not as this version expects it"));
    }
    let problem: Problem = serde_json::from_slice(body).map_err(|_| unreadable("it says no why"))?;
    Err(match status {
        b"403" => Error::AccessDenied(problem.message),
        b"404" => Error::NotFound(problem.message),
        b"503" => Error::Unavailable(problem.message),
        _ => Error::Unreadable(problem.message),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_as_the_sidecar_reads_them() {
        assert_eq!(address(&[]), "/v1/secrets");
        assert_eq!(address(&["hubspot", "api_key"]), "/v1/secrets/hubspot/api_key");
        assert_eq!(
            address(&["kv/data/a b", "user/x"]),
            "/v1/secrets/kv/data/a%20b/user%2Fx"
        );
    }
}
