//! A value's own key, encrypted by the newest public half of an RSA key. Nothing is decrypted here.

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use getrandom::SysRng;
use keystead_crds::EncryptionKey;
use keystead_vault::Sensitive;
use rsa::pkcs8::DecodePublicKey as _;
use rsa::traits::PaddingScheme as _;
use rsa::{Oaep, RsaPublicKey};
use sha2::Sha256;

/// As transit would have written it.
pub(super) fn wrap(by: &EncryptionKey, own: &Sensitive<Vec<u8>>) -> anyhow::Result<String> {
    let status = by.status.as_ref();
    let keys = status.into_iter().flat_map(|status| &status.public_keys);
    let newest = keys.max_by_key(|key| key.version).context(
        "the EncryptionKey has no status.publicKeys: it is no RSA key, or not ready; write the file by kubectl get encryptionkey NAME -o yaml",
    )?;
    let public = RsaPublicKey::from_public_key_pem(&newest.pem)
        .map_err(|error| anyhow::anyhow!("the EncryptionKey's public half can't be read: {error}"))?;
    let wrapped = Oaep::<Sha256>::new()
        .encrypt(&mut SysRng, &public, own.expose())
        .map_err(|error| anyhow::anyhow!("the EncryptionKey's public half can't be used: {error}"))?;
    Ok(format!("vault:v{}:{}", newest.version, STANDARD.encode(wrapped)))
}
