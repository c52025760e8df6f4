//! The webhook: whether the API server will find it, trust it and be answered.

use super::report::Section;
use crate::installation::Installation;
use crate::view::View;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use keystead_cluster::call;
use keystead_compile::Problem;
use kube::api::ListParams;
use kube::{Api, Client};
use x509_parser::pem::Pem;

/// A certificate that ends sooner was not renewed when it should have been.
const SOON: SignedDuration = SignedDuration::from_hours(24 * 7);
/// What mends most of it.
const LOOK: &str = "see the operator's pods and log: it keeps the certificates current by itself";

/// One check a part.
pub(crate) async fn section(view: &View) -> Section {
    let mut section = Section::new("Webhook");
    match &view.installation {
        Ok(Some(installation)) => {
            if let Err(problem) = check(&mut section, &view.client, installation).await {
                section.skip("the rest of it", problem.message);
            }
        }
        Ok(None) => section.fail(
            "operator",
            format!(
                "there is no Deployment of an operator of class {}",
                view.world.class
            ),
            "install the chart, or name another class with --class",
        ),
        Err(problem) => section.skip("operator", problem.message.clone()),
    }
    section
}

async fn check(section: &mut Section, client: &Client, installed: &Installation) -> Result<(), Problem> {
    section.pass(format!("operator {}/{}", installed.namespace, installed.name));
    let authorities = certificate(section, client, installed).await?;
    let mutating: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let name = &installed.webhook_configuration;
    let found = call(name, mutating.get_opt(name)).await?;
    let called = found.map(|found| clients(found.webhooks, |hook| hook.client_config));
    let what = format!("MutatingWebhookConfiguration {name}");
    configuration(section, what, installed, called, &authorities);
    if let Some(name) = &installed.validating_webhook_configuration {
        let validating: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
        let found = call(name, validating.get_opt(name)).await?;
        let called = found.map(|found| clients(found.webhooks, |hook| hook.client_config));
        let what = format!("ValidatingWebhookConfiguration {name}");
        configuration(section, what, installed, called, &authorities);
    }
    endpoints(section, client, installed).await
}

fn clients<T>(
    hooks: Option<Vec<T>>,
    client: impl FnMut(T) -> WebhookClientConfig,
) -> Vec<WebhookClientConfig> {
    hooks.into_iter().flatten().map(client).collect()
}

/// The certificate that is served; answers whom to trust for it.
async fn certificate(
    section: &mut Section,
    client: &Client,
    installed: &Installation,
) -> Result<ByteString, Problem> {
    let (namespace, name) = (&installed.namespace, &installed.tls_secret);
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = call(name, secrets.get_opt(name)).await?;
    let mut data = secret.and_then(|secret| secret.data).unwrap_or_default();
    let what = format!("certificate in Secret {namespace}/{name}");
    match data.get("tls.crt").map(|pem| end(&pem.0)) {
        None => section.fail(what, "there is none", LOOK),
        Some(None) => section.fail(what, "it is not a PEM certificate", LOOK),
        Some(Some(end)) if end.duration_since(Timestamp::now()) < SOON => {
            section.fail(what, format!("it ends at {end}"), LOOK);
        }
        Some(Some(_)) => section.pass(what),
    }
    Ok(data.remove("ca.crt").unwrap_or_default())
}

/// Whether somebody answers.
async fn endpoints(section: &mut Section, client: &Client, installed: &Installation) -> Result<(), Problem> {
    let (namespace, service) = (&installed.namespace, &installed.service);
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), namespace);
    let of_service = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
    let slices = call("list of EndpointSlices", slices.list(&of_service)).await?;
    let mut endpoints = slices.iter().flat_map(|slice| &slice.endpoints);
    let ready = endpoints.any(|endpoint| {
        let conditions = endpoint.conditions.as_ref();
        conditions.is_none_or(|conditions| conditions.ready != Some(false))
    });
    let what = format!("endpoints of Service {namespace}/{service}");
    if ready {
        section.pass(what);
    } else {
        let why = "none is ready: pods that want secrets can't be made";
        section.fail(what, why, "see the operator's pods");
    }
    Ok(())
}

/// Whether the API server calls this operator, and trusts what it serves.
fn configuration(
    section: &mut Section,
    what: String,
    installed: &Installation,
    clients: Option<Vec<WebhookClientConfig>>,
    authorities: &ByteString,
) {
    let why = match clients {
        None => Some("it is not there".to_owned()),
        Some(clients) => clients
            .iter()
            .find_map(|client| wrong(client, installed, authorities)),
    };
    match why {
        None => section.pass(what),
        Some(why) => section.fail(what, why, "install the chart again, and see the operator's log"),
    }
}

fn wrong(client: &WebhookClientConfig, installed: &Installation, authorities: &ByteString) -> Option<String> {
    let called = client
        .service
        .as_ref()
        .map(|service| (service.namespace.as_str(), service.name.as_str()));
    if called != Some((installed.namespace.as_str(), installed.service.as_str())) {
        return Some("it calls another service than the operator's".into());
    }
    match &client.ca_bundle {
        Some(bundle) if bundle == authorities && !bundle.0.is_empty() => None,
        Some(bundle) if !bundle.0.is_empty() => {
            Some("its caBundle is not that of the serving certificate".into())
        }
        _ => Some("it has no caBundle yet".into()),
    }
}

/// When the first certificate of a PEM file ends.
fn end(pem: &[u8]) -> Option<Timestamp> {
    let pem = Pem::iter_from_buffer(pem).next()?.ok()?;
    let certificate = pem.parse_x509().ok()?;
    Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::admissionregistration::v1::ServiceReference;

    #[test]
    fn the_bundle_must_be_that_of_the_secret() {
        let installed = Installation {
            namespace: "keystead-system".into(),
            service: "keystead".into(),
            ..Installation::default()
        };
        let client = |name: &str, bundle: Option<&str>| WebhookClientConfig {
            service: Some(ServiceReference {
                namespace: "keystead-system".into(),
                name: name.into(),
                ..ServiceReference::default()
            }),
            ca_bundle: bundle.map(|text| ByteString(text.into())),
            url: None,
        };
        let wrong = |name, bundle| {
            wrong(&client(name, bundle), &installed, &ByteString("CA".into())).unwrap_or_default()
        };
        assert_eq!(wrong("keystead", Some("CA")), "");
        assert!(wrong("keystead", None).contains("no caBundle"));
        assert!(wrong("keystead", Some("other")).contains("not that of"));
        assert!(wrong("other", Some("CA")).contains("another service"));
    }
}
