//! Values that are sealed outside: each by a fresh AES-256-GCM key, which the public half of a transit key
//! wraps (RSA-OAEP with SHA-256). Only Vault unwraps it.
//!
//! A seal opens at the one place that it was made for: the place is the associated data of AES-GCM, since
//! transit takes none with RSA.

use crate::client::{Client, Method};
use crate::error::Error;
use crate::sensitive::Sensitive;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::error::Unspecified;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

/// Bytes of a value's own key.
const KEY_LEN: usize = 32;

/// The one place where a seal opens.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    /// The cluster's name.
    pub cluster: String,
    /// The Credential's namespace.
    pub namespace: String,
    /// The Credential.
    pub name: String,
    /// The key in it.
    pub key: String,
    /// Its SecretScope.
    pub scope: String,
    /// Its service.
    pub service: String,
}

/// A sealed value, and where it belongs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SealedValue {
    /// Path of the transit engine.
    pub mount: String,
    /// Name of the transit key.
    pub key: String,
    /// The EncryptionKey, as people know it.
    pub by: String,
    /// The value's own key, as transit encrypted it.
    pub wrapped: String,
    /// The value, encrypted by that, in base64.
    pub ciphertext: String,
    /// Where it belongs.
    pub place: Place,
}

impl Place {
    /// No two places have the same.
    fn associated(&self) -> Aad<Vec<u8>> {
        let Self {
            cluster,
            namespace,
            name,
            key,
            scope,
            service,
        } = self;
        let all = json!(["keystead seal 1", cluster, namespace, name, key, scope, service]);
        Aad::from(all.to_string().into_bytes())
    }
}

/// Encrypts a value for a place. Answers the value's own key, which is to be wrapped, and the ciphertext.
pub fn seal(place: &Place, value: &Sensitive<String>) -> Option<(Sensitive<Vec<u8>>, String)> {
    let random = SystemRandom::new();
    let mut key = vec![0; KEY_LEN];
    random.fill(&mut key).ok()?;
    let key = Sensitive::new(key);
    let mut nonce = [0; NONCE_LEN];
    random.fill(&mut nonce).ok()?;
    let mut text = value.expose().clone().into_bytes();
    let cipher = cipher(key.expose()).ok()?;
    let nonce_used = Nonce::assume_unique_for_key(nonce);
    cipher
        .seal_in_place_append_tag(nonce_used, place.associated(), &mut text)
        .ok()?;
    let all = [&nonce[..], &text].concat();
    Some((key, STANDARD.encode(all)))
}

/// Decrypts it; not, if anything of it or its place is another.
fn open(key: &[u8], place: &Place, ciphertext: &str) -> Option<Sensitive<String>> {
    let all = STANDARD.decode(ciphertext).ok()?;
    let (nonce, text) = all.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut text = Zeroizing::new(text.to_vec());
    let opened = cipher(key)
        .and_then(|cipher| cipher.open_in_place(nonce, place.associated(), &mut text))
        .ok()?;
    Some(Sensitive::from(std::str::from_utf8(opened).ok()?))
}

fn cipher(key: &[u8]) -> Result<LessSafeKey, Unspecified> {
    UnboundKey::new(&AES_256_GCM, key).map(LessSafeKey::new)
}

impl SealedValue {
    /// Has Vault unwrap the value's own key, and opens the value by it.
    pub(crate) async fn open(&self, client: &Client) -> Result<Sensitive<String>, Error> {
        #[derive(Deserialize)]
        struct Unwrapped {
            plaintext: Sensitive<String>,
        }
        let path = format!("{}/decrypt/{}", self.mount, self.key);
        let body = json!({ "ciphertext": self.wrapped });
        let answer = client.call::<Unwrapped>(Method::Post, &path, Some(&body)).await;
        let unwrapped = match answer {
            Ok(answer) => answer.data,
            // Vault says 500 of a text that is none of its own.
            Err(Error::Refused {
                code: 400 | 500, why, ..
            }) => return Err(self.refused(&why)),
            Err(error) => return Err(error),
        };
        let key = unwrapped.and_then(|found| STANDARD.decode(found.plaintext.expose()).ok());
        let key = key.map(Sensitive::new);
        let opened = key.and_then(|key| open(key.expose(), &self.place, &self.ciphertext));
        opened.ok_or_else(|| {
            self.error("it was sealed for another cluster, namespace, Credential, key, scope or service, or changed since")
        })
    }

    /// What Vault refuses is an old version, or nothing that this key encrypted.
    fn refused(&self, why: &str) -> Error {
        if why.contains("too old") {
            let old = "it was sealed by a version that is too old now (spec.minDecryptionVersion there)";
            return self.error(old);
        }
        self.error("its wrappedKey was changed, or is of another key")
    }

    fn error(&self, why: &'static str) -> Error {
        Error::Seal {
            key: self.place.key.clone(),
            by: self.by.clone(),
            why,
        }
    }
}

#[cfg(test)]
mod tests;
