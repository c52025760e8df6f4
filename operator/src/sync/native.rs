//! One native Secret: read, compared, written. Values go into a request's body and nowhere else, and
//! answers to writes come without them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Request;
use http::header::{ACCEPT, CONTENT_TYPE};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use keystead_cluster::native::{self, Plan, name};
use keystead_cluster::{answer, problem};
use keystead_compile::kinds::sync::Data;
use keystead_compile::{Key, Problem};
use keystead_crds::SecretBinding;
use keystead_crds::condition::Reason;
use keystead_crds::names::SYNCED_LABEL;
use kube::api::{DeleteParams, Preconditions};
use kube::client::Body;
use kube::core::PartialObjectMeta;
use kube::core::response::Status;
use kube::{Api, Client, Error, Resource as _, ResourceExt as _};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// Has the API server answer all of a Secret but its values.
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

/// Makes the binding's Secret hold this and nothing else; answers its version. Where none with our mark
/// is `known` to be there it is made without a look.
pub(crate) async fn write(
    client: &Client,
    secret: &Key,
    binding: &SecretBinding,
    data: &Data<'_>,
    known: bool,
) -> Result<String, Problem> {
    if !known && let Some(version) = create(client, secret, binding, data).await? {
        return Ok(version);
    }
    let plan = native::plan(client, secret, binding.metadata.uid.as_deref(), data).await?;
    match plan.map_err(|error| explain(secret, &error))? {
        Plan::Create => {
            let made = create(client, secret, binding, data).await?;
            let meanwhile = || {
                format!(
                    "spec.sync: {} was made by somebody else at this moment",
                    name(secret)
                )
            };
            made.ok_or_else(|| Problem::new(Reason::KubernetesError, meanwhile()))
        }
        Plan::Keep(found) => Ok(found.resource_version().unwrap_or_default()),
        Plan::Replace(found) => {
            let replaced = answer(&name(secret), replace(client, &found, data)).await?;
            tracing::info!(
                namespace = secret.namespace,
                name = secret.name,
                "wrote the Secret of a binding"
            );
            replaced.map_err(|error| explain(secret, &error))
        }
        Plan::Leave(owner) => Err(Problem::new(
            Reason::Conflict,
            format!(
                "spec.sync: {} is {owner} and was left as it is: delete it, or choose another secretName",
                name(secret)
            ),
        )),
    }
}

/// Takes a Secret away that is still as it was seen.
pub(crate) async fn delete(client: &Client, secret: &Key, version: &str) -> Result<(), Problem> {
    let api: Api<Secret> = Api::namespaced(client.clone(), &secret.namespace);
    let parameters = DeleteParams {
        preconditions: Some(Preconditions {
            resource_version: Some(version.to_owned()),
            uid: None,
        }),
        ..DeleteParams::default()
    };
    // Its answer is a Status, or the Secret where something holds it up; neither is looked at.
    match answer(&name(secret), api.delete(&secret.name, &parameters)).await? {
        Ok(_) => {
            tracing::info!(
                namespace = secret.namespace,
                name = secret.name,
                "deleted the Secret of a binding"
            );
            Ok(())
        }
        Err(Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(error) => Err(explain(secret, &error)),
    }
}

/// Makes it, unless one is there.
async fn create(
    client: &Client,
    secret: &Key,
    binding: &SecretBinding,
    data: &Data<'_>,
) -> Result<Option<String>, Problem> {
    let metadata = ObjectMeta {
        name: Some(secret.name.clone()),
        namespace: Some(secret.namespace.clone()),
        labels: Some(BTreeMap::from([(SYNCED_LABEL.to_owned(), "true".to_owned())])),
        owner_references: Some(binding.controller_owner_ref(&()).into_iter().collect()),
        ..ObjectMeta::default()
    };
    let url = Secret::url_path(&(), Some(&secret.namespace));
    let request = Request::post(url);
    match answer(&name(secret), send(client, request, &metadata, "Opaque", data)).await? {
        Ok(version) => {
            tracing::info!(
                namespace = secret.namespace,
                name = secret.name,
                "made the Secret of a binding"
            );
            Ok(Some(version))
        }
        Err(Error::Api(status)) if status.is_already_exists() => Ok(None),
        Err(error) => Err(explain(secret, &error)),
    }
}

/// Replaces what it holds, as long as it is as it was read.
async fn replace(client: &Client, found: &Secret, data: &Data<'_>) -> Result<String, Error> {
    let mut metadata = found.metadata.clone();
    metadata.managed_fields = None;
    let labels = metadata.labels.get_or_insert_default();
    labels.insert(SYNCED_LABEL.to_owned(), "true".to_owned());
    let url = Secret::url_path(&(), metadata.namespace.as_deref());
    let request = Request::put(format!("{url}/{}", found.name_any()));
    send(
        client,
        request,
        &metadata,
        found.type_.as_deref().unwrap_or("Opaque"),
        data,
    )
    .await
}

/// Sends a Secret; answers its version.
async fn send(
    client: &Client,
    request: http::request::Builder,
    metadata: &ObjectMeta,
    type_: &str,
    data: &Data<'_>,
) -> Result<String, Error> {
    let body = Bytes::from_owner(body(metadata, type_, data).map_err(Error::SerdeError)?);
    let request = request
        .header(ACCEPT, METADATA)
        .header(CONTENT_TYPE, "application/json")
        .body(Body::from(body))
        .map_err(Error::HttpError)?;
    let response = client.send(request).await?;
    let code = response.status();
    let answer = response.into_body().collect_bytes().await?;
    if code.is_success() {
        let made: PartialObjectMeta<Secret> = serde_json::from_slice(&answer).map_err(Error::SerdeError)?;
        return Ok(made.resource_version().unwrap_or_default());
    }
    let status = serde_json::from_slice(&answer);
    let status = status.unwrap_or_else(|_| Status::failure("", "Unknown").with_code(code.as_u16()));
    Err(Error::Api(status.boxed()))
}

/// The whole Secret as JSON. The values are encoded in place, because a buffer that grows, or one in
/// between, leaves copies behind.
fn body(
    metadata: &ObjectMeta,
    type_: &str,
    data: &Data<'_>,
) -> Result<Zeroizing<Vec<u8>>, serde_json::Error> {
    let head = format!(
        r#"{{"apiVersion":"v1","kind":"Secret","metadata":{},"type":{},"data":{{"#,
        serde_json::to_string(metadata)?,
        serde_json::to_string(type_)?
    );
    let entries = data.iter().map(|(key, value)| (key, value.expose().as_bytes()));
    let entries: Vec<(String, &[u8])> = entries
        .map(|(key, value)| Ok((serde_json::to_string(key)?, value)))
        .collect::<Result<_, serde_json::Error>>()?;
    let encoded = |value: &[u8]| value.len().div_ceil(3) * 4;
    let size = entries
        .iter()
        .map(|(key, value)| key.len() + encoded(value) + r#":"","#.len());
    let size = head.len() + size.sum::<usize>() + "}}".len();
    let mut body = Zeroizing::new(Vec::with_capacity(size));
    body.extend_from_slice(head.as_bytes());
    for (index, (key, value)) in entries.iter().enumerate() {
        body.extend_from_slice(if index == 0 { b"" } else { b"," });
        body.extend_from_slice(key.as_bytes());
        body.extend_from_slice(b":\"");
        let start = body.len();
        body.resize(start + encoded(value), 0);
        if let Some(place) = body.get_mut(start..) {
            // It has exactly the size that is needed.
            let _ = STANDARD.encode_slice(value, place);
        }
        body.push(b'"');
    }
    body.extend_from_slice(b"}}");
    Ok(body)
}

/// What a refusal means to who has declared the Secret.
fn explain(secret: &Key, error: &Error) -> Problem {
    match error {
        Error::Api(status) if status.is_forbidden() => Problem::new(
            Reason::KubernetesError,
            format!(
                "spec.sync: the operator may not write {}: set sync.enabled in the chart",
                name(secret)
            ),
        ),
        error => problem(error),
    }
}

#[cfg(test)]
mod tests;
