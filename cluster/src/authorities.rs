//! Whom to trust when talking to a provider's Vault.

use crate::values::Values;
use keystead_compile::Problem;
use keystead_crds::SecretProvider;
use keystead_crds::condition::Reason;
use keystead_vault::Sensitive;
use keystead_vault::object::ValueStore as _;
use kube::Client;

/// The certificates to trust at a provider; none where it names none. Pods get them too, so nothing else of the text may get through.
pub async fn authorities(client: &Client, provider: &SecretProvider) -> Result<Option<String>, Problem> {
    let vault = &provider.spec.vault;
    let (field, text) = if let Some(secret) = &vault.ca_secret_ref {
        let values = Values::new(client);
        let text = values
            .secret_key(&secret.namespace, &secret.name, &secret.key)
            .await
            .map_err(|error| Problem::new(Reason::NotFound, format!("spec.vault.caSecretRef: {error}")))?;
        ("caSecretRef", text)
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
