//! What is declared: providers, scopes, credentials, bindings, databases, keys.

use super::conditions;
use super::report::Section;
use crate::view::View;
use keystead_compile::kinds::credential;
use keystead_compile::kinds::database::role;
use keystead_crds::common::{BasicStatus, HasBasicStatus};
use keystead_crds::condition::READY;
use keystead_crds::{Level, SecretScope};
use kube::ResourceExt as _;

/// What can't be read is wrong whatever else it says.
const UNREADABLE: &str = "apply it again in the form that kubectl explain shows";

/// One section a kind.
pub(crate) fn sections(view: &View) -> Vec<Section> {
    let kinds = [
        (&["SecretProvider"][..], providers(view)),
        (&["SecretScope"], scopes(view)),
        (&["Credential"], credentials(view)),
        (&["DatabaseConnection", "DatabaseRole"], databases(view)),
        (&["EncryptionKey"], keys(view)),
        (&["SecretBinding"], bindings(view)),
    ];
    let mut sections = Vec::new();
    for (kinds, mut section) in kinds {
        let unreadable = view.unreadable.iter();
        let unreadable = unreadable.filter(|found| kinds.contains(&found.kind.as_str()));
        for found in unreadable.filter(|_| view.concerns(None)) {
            section.fail(
                found.to_string(),
                format!("it can't be read: {}", found.why),
                UNREADABLE,
            );
        }
        sections.push(section);
    }
    sections
}

fn providers(view: &View) -> Section {
    let mut section = Section::new("Providers");
    for found in view.providers() {
        let status = found.status.as_ref().map(HasBasicStatus::basic);
        add(&mut section, &found.name_any(), found.metadata.generation, status);
    }
    section
}

fn scopes(view: &View) -> Section {
    let mut section = Section::new("Scopes");
    let all = view.world.scopes();
    for found in all.filter(|scope| view.concerns(Some(&scope.spec.provider_ref.name))) {
        add(
            &mut section,
            &found.name_any(),
            found.metadata.generation,
            found.status.as_ref(),
        );
        if !is_used(view, found) {
            section
                .hints
                .push(format!("{} has no Credential", found.name_any()));
        }
    }
    section
}

/// Whether somebody declares values there.
fn is_used(view: &View, scope: &SecretScope) -> bool {
    let name = scope.name_any();
    scope.spec.level == Level::User
        || view
            .world
            .credentials()
            .any(|(_, found)| found.spec.scope_ref.name == name)
}

fn credentials(view: &View) -> Section {
    let mut section = Section::new("Credentials");
    for (key, found) in view.world.credentials() {
        if view.concerns(credential::provider_name(&view.world, found)) {
            let status = found.status.as_ref().map(HasBasicStatus::basic);
            let name = format!("{}/{}", key.namespace, key.name);
            add(&mut section, &name, found.metadata.generation, status);
        }
    }
    section
}

fn bindings(view: &View) -> Section {
    let mut section = Section::new("Bindings");
    for (key, found) in view.world.bindings() {
        if view.concerns(Some(&found.spec.provider_ref.name)) {
            let name = format!("{}/{}", key.namespace, key.name);
            add(
                &mut section,
                &name,
                found.metadata.generation,
                found.status.as_ref(),
            );
        }
    }
    section
}

fn databases(view: &View) -> Section {
    let mut section = Section::new("Databases");
    let connections = view.world.database_connections().map(|(key, found)| {
        let status = found.status.as_ref().map(HasBasicStatus::basic);
        let provider = Some(found.spec.provider_ref.name.as_str());
        ("connection", key, found.metadata.generation, status, provider)
    });
    let roles = view.world.database_roles().map(|(key, found)| {
        let status = found.status.as_ref().map(HasBasicStatus::basic);
        let provider = role::provider_name(&view.world, key, found);
        ("role", key, found.metadata.generation, status, provider)
    });
    for (kind, key, generation, status, provider) in connections.chain(roles) {
        if view.concerns(provider) {
            let name = format!("{kind} {}/{}", key.namespace, key.name);
            add(&mut section, &name, generation, status);
        }
    }
    section
}

fn keys(view: &View) -> Section {
    let mut section = Section::new("Keys");
    let all = view.world.encryption_keys();
    for found in all.filter(|key| view.concerns(Some(&key.spec.provider_ref.name))) {
        let status = found.status.as_ref().map(HasBasicStatus::basic);
        add(&mut section, &found.name_any(), found.metadata.generation, status);
    }
    section
}

fn add(section: &mut Section, name: &str, generation: Option<i64>, status: Option<&BasicStatus>) {
    let (checks, hint) = conditions::check(generation, status);
    for (condition, verdict) in checks {
        let what = match condition {
            READY => name.to_owned(),
            condition => format!("{name}: {condition}"),
        };
        section.add(what, verdict);
    }
    section.hints.extend(hint.map(|hint| format!("{name}: {hint}")));
}
