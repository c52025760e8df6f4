//! What of a foreign error is let through: it may hold a token or a whole response body.

use rustify::errors::ClientError as RestError;
use serde::Deserialize;

/// Longest text of Vault's own errors that we repeat.
const LONGEST_WORDS: usize = 512;

/// The `errors` of a body, joined and cut; the body itself may hold anything.
pub(super) fn of_vault(body: &str) -> String {
    #[derive(Deserialize)]
    struct Errors {
        errors: Vec<String>,
    }
    let Ok(Errors { errors }) = serde_json::from_str(body) else {
        return String::new();
    };
    let mut words = errors.join("; ").split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((cut, _)) = words.char_indices().nth(LONGEST_WORDS) {
        words.truncate(cut);
    }
    words
}

/// The innermost cause of a transport error, which says what happened ("connection refused").
pub(super) fn of_transport(error: &RestError) -> String {
    let (RestError::RequestError { source, .. } | RestError::ResponseError { source }) = error else {
        return "the request could not be made".into();
    };
    match source.downcast_ref::<reqwest::Error>() {
        Some(error) if error.is_timeout() => "no answer in time".into(),
        Some(error) => {
            let mut cause: &dyn std::error::Error = error;
            while let Some(next) = cause.source() {
                cause = next;
            }
            cause.to_string()
        }
        None => "the connection broke".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_vaults_own_words_are_repeated() {
        assert_eq!(of_vault(r#"{"errors":["a\n\tb","c"]}"#), "a b; c");
        assert_eq!(of_vault(r#"{"data":{"password":"hunter2"}}"#), "");
        assert_eq!(
            of_vault(&format!(r#"{{"errors":["{}"]}}"#, "é".repeat(600)))
                .chars()
                .count(),
            LONGEST_WORDS
        );
    }
}
