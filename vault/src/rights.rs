//! What a token may not do though it should: `sys/capabilities-self`, in one request.
//! API: <https://openbao.org/api-docs/system/capabilities-self/>.

use crate::client::{Client, Method};
use crate::error::Error;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

const CAPABILITIES: &str = "sys/capabilities-self";
/// The capability of a root token: every other.
const ROOT: &str = "root";

/// A path and what is to be done there. A path that ends in `*` means all that begin like it.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Right {
    /// The path, as policies write it.
    pub path: String,
    /// `create`, `read`, `update`, `delete`, `list` and so on.
    pub capabilities: BTreeSet<String>,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let capabilities: Vec<&str> = self.capabilities.iter().map(String::as_str).collect();
        write!(f, "{} on {}", capabilities.join(", "), self.path)
    }
}

/// What of these the client's token lacks; prints as `permission denied: update on kv/…`.
pub async fn lacking(client: &Client, needed: &[Right]) -> Result<Vec<Lacking>, Error> {
    let paths: Vec<&str> = needed.iter().map(|right| right.path.as_str()).collect();
    let body = json!({ "paths": paths });
    let answer = client
        .call::<BTreeMap<String, BTreeSet<String>>>(Method::Post, CAPABILITIES, Some(&body))
        .await;
    match answer {
        Ok(answer) => Ok(compare(needed, &answer.data.unwrap_or_default())),
        // It may not even ask; what else it may not, nobody can tell.
        Err(Error::Denied { .. }) => Ok(vec![Lacking(Right {
            path: CAPABILITIES.into(),
            capabilities: ["update".to_owned()].into(),
        })]),
        Err(error) => Err(error),
    }
}

/// A right that a token lacks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lacking(pub Right);

impl fmt::Display for Lacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "permission denied: {}", self.0)
    }
}

fn compare(needed: &[Right], found: &BTreeMap<String, BTreeSet<String>>) -> Vec<Lacking> {
    let lacks = |right: &Right| {
        let has = found.get(&right.path);
        if has.is_some_and(|has| has.contains(ROOT)) {
            return None;
        }
        let mut missing = right.capabilities.clone();
        missing.retain(|capability| has.is_none_or(|has| !has.contains(capability)));
        (!missing.is_empty()).then(|| {
            Lacking(Right {
                path: right.path.clone(),
                capabilities: missing,
            })
        })
    };
    needed.iter().filter_map(lacks).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{Answer, Fake};

    fn right(path: &str, capabilities: &[&str]) -> Right {
        Right {
            path: path.into(),
            capabilities: capabilities.iter().map(ToString::to_string).collect(),
        }
    }

    #[tokio::test]
    async fn one_request_says_what_is_lacking() {
        let fake = Fake::start(|_| {
            Answer::ok(json!({"data": {"a": ["read", "update"], "b": ["deny"], "c": ["root"]}}))
        })
        .await;
        let needed = [
            right("a", &["read", "update"]),
            right("b", &["read", "update"]),
            right("c", &["delete"]),
            right("d", &["list"]),
        ];
        let lacking = lacking(&fake.client(), &needed).await.unwrap();
        let words: Vec<String> = lacking.iter().map(ToString::to_string).collect();
        assert_eq!(
            words,
            [
                "permission denied: read, update on b",
                "permission denied: list on d"
            ]
        );
        assert_eq!(fake.asked(), ["POST /v1/sys/capabilities-self"]);
        assert_eq!(fake.last().body, json!({"paths": ["a", "b", "c", "d"]}));
    }

    #[tokio::test]
    async fn a_token_that_may_not_ask_lacks_that() {
        let fake = Fake::start(|_| Answer::refused(403, "permission denied")).await;
        let lacking = lacking(&fake.client(), &[right("a", &["read"])]).await.unwrap();
        assert_eq!(
            lacking[0].to_string(),
            "permission denied: update on sys/capabilities-self"
        );
    }
}
