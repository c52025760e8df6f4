//! Who may be a tenant: whoever changes which scopes and providers select a namespace needs the right
//! to update those.

use super::super::wire::{FORBIDDEN, UNAVAILABLE};
use super::{Request, User, Verdict};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use keystead_compile::World;
use keystead_compile::admit::namespace::{self, Change, Kind, Labels};
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::timeout;

/// What the API server is asked: may they update this?
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Question {
    kind: Kind,
    /// All of the kind, where none is named.
    name: Option<String>,
    /// What they need the right for.
    what: String,
}

/// What to ask before a namespace gets its labels; a sentence where they can't be read.
pub(super) fn questions(world: &World, request: &Request) -> Result<Vec<Question>, &'static str> {
    let before = match request.operation.as_str() {
        "CREATE" => None,
        "UPDATE" => Some(labels(request, &request.old_object)?),
        _ => return Ok(Vec::new()),
    };
    let after = labels(request, &request.object)?;
    if before.as_ref() == Some(&after) {
        return Ok(Vec::new());
    }
    let changes = namespace::changes(world, before.as_ref(), &after);
    let (providers, scopes) = changes
        .into_iter()
        .partition(|change| change.kind == Kind::Provider);
    Ok([providers, scopes].into_iter().flat_map(of_one_kind).collect())
}

/// One question for each object; where these are many, one for all that there are.
fn of_one_kind(mut changes: Vec<Change>) -> Vec<Question> {
    let mut seen = BTreeSet::new();
    changes.retain(|change| seen.insert(change.name.clone()));
    let all = changes.len() > MOST;
    let question = |change: Change| Question {
        kind: change.kind,
        name: (!all).then_some(change.name),
        what: change.what,
    };
    let most = if all { 1 } else { MOST };
    changes.into_iter().take(most).map(question).collect()
}

fn labels(request: &Request, namespace: &Value) -> Result<Labels, &'static str> {
    let none = Value::Null;
    let found = namespace.pointer("/metadata/labels").unwrap_or(&none);
    let mut labels: Option<Labels> = serde::Deserialize::deserialize(found)
        .map_err(|_| "Keystead can't read the namespace's labels, which decide who is a tenant")?;
    // A name that the API server makes up comes into its label later.
    if !request.name.is_empty() {
        labels
            .get_or_insert_default()
            .insert(NAME.to_owned(), request.name.clone());
    }
    Ok(labels.unwrap_or_default())
}

/// One made by `generateName` has no name yet.
fn name(request: &Request) -> &str {
    let generated = request.object.pointer("/metadata/generateName");
    match request.name.as_str() {
        "" => generated.and_then(Value::as_str).unwrap_or_default(),
        name => name,
    }
}

/// Asks all questions, some at a time. Fails closed: without an answer in time nobody is a tenant.
pub(super) async fn decide<A>(
    request: &Request,
    questions: Vec<Question>,
    ask: impl Fn(Question) -> A,
) -> Verdict
where
    A: Future<Output = kube::Result<Option<Question>>>,
{
    let (namespace, user) = (name(request), &request.user_info.username);
    let denied = stream::iter(questions)
        .map(ask)
        .buffered(AT_ONCE)
        .try_filter_map(async |denied| Ok(denied));
    let mut denied = std::pin::pin!(denied);
    match timeout(DEADLINE, denied.try_next()).await {
        Ok(Ok(None)) => Verdict::allow(),
        Ok(Ok(Some(question))) => Verdict::refuse(
            FORBIDDEN,
            format!(
                "namespace {namespace}: {}, and user {user} may not update {question}",
                question.what
            ),
        ),
        Ok(Err(error)) => unanswered(&error.to_string()),
        Err(_) => unanswered("no answer in time"),
    }
}

fn unanswered(why: &str) -> Verdict {
    tracing::warn!(why, "the API server could not be asked who may be a tenant");
    let message = "Keystead could not ask the API server whether you may say who is a tenant: try again";
    Verdict::refuse(UNAVAILABLE, message.to_owned())
}

/// Asks one question; it comes back where the answer is no.
pub(super) async fn ask(
    client: &Client,
    request: &Request,
    question: Question,
) -> kube::Result<Option<Question>> {
    let User {
        username,
        uid,
        groups,
        extra,
    } = request.user_info.clone();
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(username),
            uid,
            groups,
            extra,
            resource_attributes: Some(ResourceAttributes {
                group: Some("keystead.dev".to_owned()),
                version: Some("v1alpha1".to_owned()),
                resource: Some(question.kind.resource().to_owned()),
                name: question.name.clone(),
                verb: Some("update".to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let api: Api<SubjectAccessReview> = Api::all(client.clone());
    let answer = api.create(&PostParams::default(), &review).await?;
    let allowed = answer.status.is_some_and(|status| status.allowed);
    Ok((!allowed).then_some(question))
}

impl std::fmt::Display for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{}/{name}", self.kind.resource()),
            None => write!(f, "{}, of which it changes many", self.kind.resource()),
        }
    }
}

/// The label that every namespace has, with its name.
const NAME: &str = "kubernetes.io/metadata.name";
/// Most objects of a kind that are asked about one by one.
const MOST: usize = 32;
const AT_ONCE: usize = 8;
/// For all answers together.
const DEADLINE: Duration = Duration::from_secs(2);
