//! What tests declare, as the YAML that a person would write. `@id@` stands for the test's name.

use super::{Method, Rig};

impl Rig<'_> {
    /// This test's provider, named as everything else of it.
    pub(crate) fn provider(&self) -> String {
        let address = self.stage.bed().map_or("", |bed| bed.vault_address.as_str());
        self.provider_at(address)
    }

    /// The same, at another address.
    pub(crate) fn provider_at(&self, address: &str) -> String {
        self.provider_with(&format!(
            "address: {address}, caSecretRef: {{name: vault-ca, namespace: vault, key: ca.crt}}, \
             auth: {{kubernetes: {{mount: @id@, role: keystead-operator-@id@}}}}"
        ))
    }

    /// The same, with these fields of `spec.vault`.
    pub(crate) fn provider_with(&self, vault: &str) -> String {
        let method = match self.method {
            Method::Jwt => "Jwt",
            Method::Kubernetes => "Kubernetes",
        };
        format!(
            "
---
apiVersion: keystead.dev/v1alpha1
kind: SecretProvider
metadata: {{name: @id@}}
spec:
  environment: production
  class: @id@
  vault: {{pathPrefix: @id@, {vault}}}
  workloadAuth: {{method: {method}, mount: {}, audience: vault}}
",
            self.mount()
        )
    }
}

/// A namespace `@id@-<name>` with labels.
pub(crate) fn namespace(name: &str, labels: &str) -> String {
    format!(
        "
---
apiVersion: v1
kind: Namespace
metadata: {{name: @id@-{name}, labels: {{{labels}}}}}
"
    )
}

/// A service account in such a namespace.
pub(crate) fn account(space: &str, name: &str) -> String {
    format!(
        "
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: {name}, namespace: @id@-{space}}}
"
    )
}

/// The scope of everyone, `@id@-global`.
pub(crate) fn global() -> String {
    scope("global", "level: Global")
}

/// The scope of a company, `@id@-<company>`: namespaces with its label are members.
pub(crate) fn company(company: &str) -> String {
    scope(
        company,
        &format!(
            "level: Company, id: {company}, members: {{namespaceSelector: {{matchLabels: {{company: {company}}}}}}}"
        ),
    )
}

/// A scope `@id@-<name>` that every namespace may write to.
pub(crate) fn scope(name: &str, spec: &str) -> String {
    format!(
        "
---
apiVersion: keystead.dev/v1alpha1
kind: SecretScope
metadata: {{name: @id@-{name}}}
spec: {{providerRef: {{name: @id@}}, {spec}, writers: {{namespaceSelector: {{}}}}}}
"
    )
}

/// A credential in namespace `@id@-<space>` for scope `@id@-<scope>`.
pub(crate) fn credential(space: &str, name: &str, scope: &str, service: &str, keys: &str) -> String {
    format!(
        "
---
apiVersion: keystead.dev/v1alpha1
kind: Credential
metadata: {{name: {name}, namespace: @id@-{space}}}
spec:
  scopeRef: {{name: @id@-{scope}}}
  service: {service}
  keys: [{keys}]
"
    )
}

/// A key with its value in the manifest.
pub(crate) fn value(key: &str, value: &str) -> String {
    format!("{{name: {key}, from: {{value: \"{value}\"}}}}")
}

/// A key with its value in a Secret.
pub(crate) fn from_secret(key: &str, secret: &str, secret_key: &str) -> String {
    format!("{{name: {key}, from: {{secretKeyRef: {{name: {secret}, key: {secret_key}}}}}}}")
}

/// A Secret of one key.
pub(crate) fn secret(space: &str, name: &str, key: &str, value: &str) -> String {
    format!(
        "
---
apiVersion: v1
kind: Secret
metadata: {{name: {name}, namespace: @id@-{space}}}
stringData: {{{key}: \"{value}\"}}
"
    )
}

/// A binding that gives an account of namespace `@id@-<space>` services.
pub(crate) fn binding(space: &str, name: &str, account: &str, services: &[&str]) -> String {
    let secrets = services
        .iter()
        .map(|service| format!("{{name: {service}, service: {service}}}"));
    binding_of(space, name, account, &secrets.collect::<Vec<_>>())
}

/// A binding that gives an account of namespace `@id@-<space>` these entries of `secrets`.
pub(crate) fn binding_of(space: &str, name: &str, account: &str, secrets: &[String]) -> String {
    format!(
        "
---
apiVersion: keystead.dev/v1alpha1
kind: SecretBinding
metadata: {{name: {name}, namespace: @id@-{space}}}
spec:
  providerRef: {{name: @id@}}
  serviceAccounts: [{account}]
  secrets: [{}]
",
        secrets.join(", ")
    )
}
