//! Whose token it is. Only the API server knows.

use super::bounds::{Bucket, Rate, Recent};
use super::{Refusal, lock};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use keystead_crds::names;
use kube::api::PostParams;
use kube::{Api, Client};
use ring::digest::{SHA256, digest};
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// A pod, as its token names it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Pod {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
}

/// Asks the API server, and remembers its answers for a short time: by the token's digest, since a token
/// should be kept by nobody but its pod.
pub(super) struct Identities {
    client: Client,
    known: Mutex<Recent<[u8; 32], Option<Pod>>>,
    /// How much may still be asked.
    questions: Mutex<Bucket>,
}

/// The token of an `authorization` header, as far as it may be one.
pub(super) fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.bytes().all(fits)).then_some(token)
}

impl Identities {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            known: Mutex::new(Recent::new(KNOWN, KNOWN_FOR)),
            questions: Mutex::default(),
        }
    }

    /// The pod whose token this is.
    pub(super) async fn of(&self, token: &str) -> Result<Pod, Refusal> {
        let key = digest_of(token);
        let known = lock(&self.known).get(&key, Instant::now()).cloned();
        let pod = if let Some(known) = known {
            known
        } else {
            if !QUESTIONS.take(&mut lock(&self.questions), Instant::now()) {
                return Err(Refusal::TooMany);
            }
            let pod = pod(&self.review(token).await?);
            lock(&self.known).put(key, pod.clone(), Instant::now());
            pod
        };
        pod.ok_or(Refusal::Unknown)
    }

    async fn review(&self, token: &str) -> Result<TokenReviewStatus, Refusal> {
        let review = TokenReview {
            spec: TokenReviewSpec {
                audiences: Some(vec![names::REPORT_AUDIENCE.to_owned()]),
                token: Some(token.to_owned()),
            },
            ..TokenReview::default()
        };
        let reviews: Api<TokenReview> = Api::all(self.client.clone());
        let how = PostParams::default();
        let why = match timeout(DEADLINE, reviews.create(&how, &review)).await {
            Ok(Ok(answer)) => return Ok(answer.status.unwrap_or_default()),
            Ok(Err(kube::Error::Api(status))) => status.message,
            Ok(Err(_)) => "it does not answer".to_owned(),
            Err(_) => format!("no answer within {} s", DEADLINE.as_secs()),
        };
        tracing::warn!(error = why, "the API server can't be asked about a pod's token");
        Err(Refusal::Unanswered(
            "the API server can't be asked about the token".into(),
        ))
    }
}

fn digest_of(token: &str) -> [u8; 32] {
    let mut key = [0; 32];
    key.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    key
}

/// None where the token is not a pod's, or not meant for us.
pub(super) fn pod(status: &TokenReviewStatus) -> Option<Pod> {
    let audiences = status.audiences.iter().flatten();
    let ours = audiences
        .into_iter()
        .any(|audience| audience == names::REPORT_AUDIENCE);
    if status.authenticated != Some(true) || !ours {
        return None;
    }
    let user = status.user.as_ref()?;
    let account = user.username.as_deref()?.strip_prefix("system:serviceaccount:")?;
    let (namespace, _) = account.split_once(':')?;
    let extra = |name: &str| {
        let values = user
            .extra
            .as_ref()?
            .get(&format!("authentication.kubernetes.io/{name}"))?;
        values.first().filter(|value| !value.is_empty()).cloned()
    };
    Some(Pod {
        namespace: namespace.to_owned(),
        name: extra("pod-name")?,
        uid: extra("pod-uid")?,
    })
}

/// Of all pods together: hundreds that wait for the same at once, and some a second for ever. Each costs the API
/// server about a millisecond.
const QUESTIONS: Rate = Rate {
    burst: 400,
    every: Duration::from_millis(50),
};
/// Tokens that are known, those that are refused too.
const KNOWN: usize = 1024;
/// A pod may be gone meanwhile, and then an event more is no harm.
const KNOWN_FOR: Duration = Duration::from_secs(30);
const DEADLINE: Duration = Duration::from_secs(5);

#[cfg(test)]
impl Identities {
    /// As after more questions than may be asked.
    pub(super) fn exhaust(&self) {
        let later = Instant::now() + Duration::from_mins(10);
        while QUESTIONS.take(&mut lock(&self.questions), later) {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn status(change: impl FnOnce(&mut Value)) -> Option<Pod> {
        let mut status = json!({
            "authenticated": true,
            "audiences": ["keystead"],
            "user": {
                "username": "system:serviceaccount:shop:web",
                "extra": {
                    "authentication.kubernetes.io/pod-name": ["web-1"],
                    "authentication.kubernetes.io/pod-uid": ["u-1"],
                },
            },
        });
        change(&mut status);
        pod(&serde_json::from_value(status).unwrap())
    }

    #[test]
    fn a_pod_is_who_the_api_server_says() {
        let web = Pod {
            namespace: "shop".into(),
            name: "web-1".into(),
            uid: "u-1".into(),
        };
        assert_eq!(status(|_| ()), Some(web));
    }

    #[test]
    fn nobody_else_is_a_pod() {
        type Change = fn(&mut Value);
        let changes: [Change; 7] = [
            |status| status["authenticated"] = json!(false),
            |status| status["audiences"] = json!([]),
            |status| status["audiences"] = json!(["vault"]),
            |status| status["user"]["username"] = json!("jane"),
            |status| status["user"]["username"] = json!("system:node:n1"),
            |status| status["user"]["extra"] = json!({}),
            |status| status["user"]["extra"]["authentication.kubernetes.io/pod-uid"] = json!([]),
        ];
        for (index, change) in changes.into_iter().enumerate() {
            assert_eq!(status(change), None, "{index}");
        }
        assert_eq!(pod(&TokenReviewStatus::default()), None);
    }

    #[test]
    fn a_bearer_token_is_a_word() {
        assert_eq!(bearer("Bearer a.b-c_D1"), Some("a.b-c_D1"));
        assert_eq!(bearer("bearer a"), Some("a"));
        for wrong in [
            "",
            "a.b",
            "Basic a",
            "Bearer ",
            "Bearer a b",
            "Bearer a\"",
            "Bearer é",
        ] {
            assert_eq!(bearer(wrong), None, "{wrong:?}");
        }
    }
}
