//! How to reach a provider's Vault, whom to trust and how to log in there: what its spec says, and the Secrets it
//! names, read when they are needed.

use crate::values::Values;
use keystead_compile::Problem;
use keystead_compile::kinds::provider::login_mount;
use keystead_crds::SecretProvider;
use keystead_crds::common::SecretKeyReference;
use keystead_crds::condition::Reason;
use keystead_crds::provider::{RoleLogin, VaultConnection};
use keystead_vault::object::ValueStore as _;
use keystead_vault::{Connection, Login, Sensitive};
use std::path::Path;

/// How to reach the server, trusting `ca`.
pub async fn connection(
    values: &Values<'_>,
    provider: &SecretProvider,
    ca: Option<String>,
) -> Result<Connection, Problem> {
    let vault = &provider.spec.vault;
    Ok(Connection {
        address: vault.address.clone(),
        ca,
        namespace: vault.namespace.clone(),
        server_name: vault.tls_server_name.clone(),
        identity: identity(values, vault).await?,
        proxy: vault.proxy.clone(),
    })
}

/// How to log in. `jwt_file` has the operator's own service account token.
pub async fn login(
    values: &Values<'_>,
    provider: &SecretProvider,
    jwt_file: &Path,
) -> Result<Login, Problem> {
    let auth = &provider.spec.vault.auth;
    let by_role = |method: &str, login: &RoleLogin| Login::Jwt {
        mount: login_mount(method, login).to_owned(),
        role: login.role.clone(),
        jwt_file: jwt_file.to_owned(),
    };
    if let Some(login) = &auth.kubernetes {
        Ok(by_role("kubernetes", login))
    } else if let Some(login) = &auth.jwt {
        Ok(by_role("jwt", login))
    } else if let Some(login) = &auth.app_role {
        let secret_id = key(values, "auth.appRole.secretIdRef", &login.secret_id_ref).await?;
        Ok(Login::AppRole {
            mount: login.mount.clone(),
            role_id: login.role_id.clone(),
            secret_id,
        })
    } else if let Some(token) = &auth.token_secret_ref {
        let token = key(values, "auth.tokenSecretRef", token).await?;
        Ok(Login::Token(token))
    } else {
        Err(Problem::new(
            Reason::Invalid,
            "spec.vault.auth needs exactly one of kubernetes, jwt, appRole and tokenSecretRef",
        ))
    }
}

/// The certificates to trust. Pods get them too, so nothing else of the text may get through.
pub async fn authorities(values: &Values<'_>, provider: &SecretProvider) -> Result<Option<String>, Problem> {
    let vault = &provider.spec.vault;
    let (field, text) = if let Some(secret) = &vault.ca_secret_ref {
        ("caSecretRef", key(values, "caSecretRef", secret).await?)
    } else if let Some(text) = &vault.ca_bundle {
        ("caBundle", Sensitive::from(text.as_str()))
    } else {
        return Ok(None);
    };
    certificates(text.expose()).map(Some).ok_or_else(|| {
        let message = format!("spec.vault.{field}: expected PEM blocks 'BEGIN CERTIFICATE', and found none");
        Problem::new(Reason::Invalid, message)
    })
}

/// The certificate that the server is shown, and its private key.
async fn identity(
    values: &Values<'_>,
    vault: &VaultConnection,
) -> Result<Option<Sensitive<String>>, Problem> {
    let Some(secret) = &vault.client_certificate_ref else {
        return Ok(None);
    };
    let mut parts = Vec::new();
    for name in ["tls.crt", "tls.key"] {
        let place = SecretKeyReference {
            secret: secret.clone(),
            key: name.into(),
        };
        parts.push(key(values, "clientCertificateRef", &place).await?);
    }
    let mut whole = String::with_capacity(parts.iter().map(|part| part.expose().len() + 1).sum());
    for part in &parts {
        whole.push_str(part.expose());
        whole.push('\n');
    }
    Ok(Some(Sensitive::new(whole)))
}

/// A key of a Secret that a field of `spec.vault` names.
async fn key(
    values: &Values<'_>,
    field: &str,
    place: &SecretKeyReference,
) -> Result<Sensitive<String>, Problem> {
    let secret = &place.secret;
    let value = values
        .secret_key(&secret.namespace, &secret.name, &place.key)
        .await;
    value.map_err(|error| Problem::new(error.reason(), format!("spec.vault.{field}: {error}")))
}

/// The certificates in a text (RFC 7468) and nothing else: a private key may stand beside them.
fn certificates(text: &str) -> Option<String> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let blocks = text.split(BEGIN).skip(1).filter_map(|rest| rest.split_once(END));
    let blocks: Vec<String> = blocks
        .map(|(block, _)| format!("{BEGIN}{block}{END}\n"))
        .collect();
    (!blocks.is_empty()).then(|| blocks.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_certificates_get_through() {
        let certificate = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
        let key = "-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----\n";
        let text = format!("a comment\n{certificate}{key}{certificate}");
        assert_eq!(certificates(&text), Some(certificate.repeat(2)));
        assert_eq!(certificates(key), None);
        assert_eq!(certificates("-----BEGIN CERTIFICATE-----\nAA=="), None);
    }
}
