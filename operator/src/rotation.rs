//! Asks endpoints for new values. Requests are signed as Standard Webhooks has it:
//! <https://www.standardwebhooks.com>.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use k8s_openapi::jiff::Timestamp;
use keystead_cluster::Values;
use keystead_runtime::Backoff;
use keystead_vault::object::{RotationRequest, Subject, ValueStore};
use keystead_vault::{Connection, Error, Sensitive};
use ring::hmac;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// Endpoints asked at once: whoever is slow keeps no more reconciles busy.
pub(crate) const AT_ONCE: usize = 4;
/// How often an endpoint is asked in one reconcile.
const TRIES: u32 = 3;
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(4));
/// Longest answer, in bytes: no more fits at one path.
const LARGEST: usize = 1 << 20;
/// Fewest characters of a key to sign with.
const SHORTEST_KEY: usize = 16;

/// Values of Secrets, and of endpoints.
pub(crate) struct Store<'a> {
    pub(crate) secrets: Values<'a>,
    /// As many permits as endpoints may be asked at once.
    pub(crate) asking: &'a Semaphore,
}

/// What an endpoint is told.
#[derive(Serialize)]
struct Question<'a> {
    id: &'a str,
    rotation: u64,
    keys: &'a [String],
    #[serde(flatten)]
    subject: &'a Subject,
}

/// What it answers.
#[derive(Deserialize)]
struct Answer {
    values: BTreeMap<String, Sensitive<String>>,
}

/// Why a try brought nothing.
enum Failed {
    /// Another may.
    Again(String),
    /// The same would come.
    Final(String),
}

impl ValueStore for Store<'_> {
    async fn secret_key(&self, namespace: &str, name: &str, key: &str) -> Result<Sensitive<String>, Error> {
        self.secrets.secret_key(namespace, name, key).await
    }

    async fn new_values(
        &self,
        request: &RotationRequest,
    ) -> Result<BTreeMap<String, Sensitive<String>>, Error> {
        let failed = |why: String| Error::Webhook(format!("{}: {why}", request.webhook.url));
        let _permit = self.asking.try_acquire().map_err(|_| {
            failed(format!(
                "{AT_ONCE} endpoints are being asked at this moment; this one is asked soon"
            ))
        })?;
        let (namespace, name, key) = &request.webhook.signing;
        let signing = self.secrets.secret_key(namespace, name, key).await?;
        let signing = signing_key(&signing)
            .map_err(|why| failed(format!("Secret {namespace}/{name}, key {key}: {why}")))?;
        let mut tries = 0;
        loop {
            tries += 1;
            match ask(request, &signing).await {
                Ok(values) => return Ok(values),
                Err(Failed::Again(_)) if tries < TRIES => tokio::time::sleep(BACKOFF.delay(tries)).await,
                Err(Failed::Again(why) | Failed::Final(why)) => return Err(failed(why)),
            }
        }
    }
}

async fn ask(
    request: &RotationRequest,
    signing: &hmac::Key,
) -> Result<BTreeMap<String, Sensitive<String>>, Failed> {
    let connection = Connection {
        address: origin(&request.webhook.url).to_owned(),
        ca: request.webhook.ca.clone(),
        ..Connection::default()
    };
    let client = connection.http().map_err(|why| Failed::Final(why.to_string()))?;
    let question = Question {
        id: &request.id,
        rotation: request.rotation,
        keys: &request.keys,
        subject: &request.webhook.subject,
    };
    let body =
        serde_json::to_string(&question).map_err(|_| Failed::Final("the request can't be written".into()))?;
    let now = Timestamp::now().as_second();
    let signature = hmac::sign(signing, format!("{}.{now}.{body}", request.id).as_bytes());
    let sent = client
        .post(&request.webhook.url)
        .header(CONTENT_TYPE, "application/json")
        .header("idempotency-key", &request.id)
        .header("webhook-id", &request.id)
        .header("webhook-timestamp", now)
        .header(
            "webhook-signature",
            format!("v1,{}", BASE64_STANDARD.encode(signature)),
        )
        .body(body)
        .send();
    let mut answer = sent.await.map_err(|error| {
        Failed::Again(if error.is_timeout() {
            "it did not answer in time".into()
        } else {
            "it can't be reached: there is no connection, or its certificate is not trusted (rotation.webhook.caBundle)".into()
        })
    })?;
    let status = answer.status();
    if status != StatusCode::OK {
        return Err(refusal(status));
    }
    let mut whole = Zeroizing::new(Vec::new());
    while let Some(piece) = answer
        .chunk()
        .await
        .map_err(|_| Failed::Again("its answer broke off".into()))?
    {
        if whole.len() + piece.len() > LARGEST {
            return Err(Failed::Final(format!(
                "its answer is larger than {} KiB",
                LARGEST >> 10
            )));
        }
        whole.extend_from_slice(&piece);
    }
    read(&whole, &request.keys).map_err(Failed::Final)
}

/// What a status says other than 200.
fn refusal(status: StatusCode) -> Failed {
    let why = format!("it answered {status}: expected 200 with {{\"values\": {{KEY: TEXT}}}}");
    let passes = status.is_server_error() || [408, 425, 429].contains(&status.as_u16());
    if passes {
        Failed::Again(why)
    } else {
        Failed::Final(why)
    }
}

/// The values of the keys, each of which must be there. Nothing of the answer is repeated: it may be a secret.
fn read(answer: &[u8], keys: &[String]) -> Result<BTreeMap<String, Sensitive<String>>, String> {
    let answer: Answer = serde_json::from_slice(answer)
        .map_err(|_| "its answer is not {\"values\": {KEY: TEXT}}".to_owned())?;
    let mut values = answer.values;
    values.retain(|key, value| keys.contains(key) && !value.expose().is_empty());
    let lacks = keys.iter().find(|key| !values.contains_key(*key));
    lacks.map_or(Ok(values), |key| {
        Err(format!("its answer has no value for {key}, which was asked for"))
    })
}

/// As Standard Webhooks writes keys, `whsec_` and base64; any other text stands for itself.
fn signing_key(text: &Sensitive<String>) -> Result<hmac::Key, String> {
    let bytes = match text.expose().strip_prefix("whsec_") {
        Some(encoded) => BASE64_STANDARD
            .decode(encoded.trim())
            .map_err(|_| "after whsec_ there must be base64")?,
        None => text.expose().as_bytes().to_vec(),
    };
    let bytes = Zeroizing::new(bytes);
    if bytes.len() < SHORTEST_KEY {
        return Err(format!("a key to sign with needs at least {SHORTEST_KEY} bytes"));
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

/// Scheme, host and port of a URL.
fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    url[host..].find('/').map_or(url, |end| &url[..host + end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_what_was_asked_for_and_nothing_of_it_is_repeated() {
        let keys = ["a".to_owned(), "b".to_owned()];
        let good = read(br#"{"values": {"a": "1", "b": "2", "c": "3"}, "more": 1}"#, &keys).unwrap();
        assert_eq!(good.keys().collect::<Vec<_>>(), ["a", "b"]);
        for (bad, says) in [
            (r#"{"values": {"a": "s3cret"}}"#, "no value for b"),
            (r#"{"values": {"a": "s3cret", "b": ""}}"#, "no value for b"),
            (r#"{"values": {"a": "s3cret", "b": 5}}"#, "is not {\"values\""),
            ("s3cret", "is not {\"values\""),
        ] {
            let why = read(bad.as_bytes(), &keys).unwrap_err();
            assert!(why.contains(says) && !why.contains("s3cret"), "{why}");
        }
    }

    #[test]
    fn keys_to_sign_with_are_long_enough() {
        let key = |text: &str| signing_key(&Sensitive::from(text)).map(drop);
        assert_eq!(key("0123456789abcdef"), Ok(()));
        assert_eq!(key("whsec_MDEyMzQ1Njc4OWFiY2RlZg=="), Ok(()));
        assert!(key("short").unwrap_err().contains("at least 16 bytes"));
        assert!(key("whsec_c2hvcnQ=").unwrap_err().contains("at least 16 bytes"));
        assert!(key("whsec_?").unwrap_err().contains("base64"));
    }

    #[test]
    fn a_server_is_named_by_its_origin() {
        assert_eq!(origin("https://a.example:8443/x/y"), "https://a.example:8443");
        assert_eq!(origin("https://a.example"), "https://a.example");
    }
}
