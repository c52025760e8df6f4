//! Whether the cluster knows our kinds as this tool does.

use super::report::Section;
use crate::view::View;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use keystead_cluster::call;
use kube::{Api, ResourceExt as _};

/// One check a kind.
pub(crate) async fn section(view: &View) -> Section {
    let mut section = Section::new("Kinds");
    let api: Api<CustomResourceDefinition> = Api::all(view.client.clone());
    for known in keystead_crds::definitions() {
        let name = known.name_any();
        match call(&name, api.get_opt(&name)).await {
            Ok(Some(found)) => compare(&mut section, &known, &found),
            Ok(None) => section.fail(
                name,
                "it is not installed",
                "install the chart (crds.install), or apply crds/yaml",
            ),
            Err(problem) => section.skip(name, problem.message),
        }
    }
    section
}

fn compare(section: &mut Section, known: &CustomResourceDefinition, found: &CustomResourceDefinition) {
    let name = known.name_any();
    let conditions = found
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_deref())
        .unwrap_or_default();
    let established = conditions
        .iter()
        .any(|condition| condition.type_ == "Established" && condition.status == "True");
    if !established {
        section.fail(
            name,
            "it is not established",
            "see its conditions: kubectl describe crd",
        );
        return;
    }
    for version in &known.spec.versions {
        let served = found
            .spec
            .versions
            .iter()
            .find(|found| found.name == version.name && found.served);
        let Some(served) = served else {
            section.fail(
                name,
                format!("version {} is not served", version.name),
                "install the chart and this tool from one release",
            );
            return;
        };
        if served.schema != version.schema {
            section.hints.push(format!(
                "{name}: {} has other fields in the cluster than this tool knows: they are of different releases",
                version.name
            ));
        }
    }
    section.pass(name);
}
