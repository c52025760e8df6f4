//! A cluster's public signing keys, in the form Vault's jwt mounts take them: JWK (RFC 7517, 7518)
//! → PEM (`SubjectPublicKeyInfo`, RFC 5280).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pkcs1::UintRef;
use serde::Deserialize;
use spki::der::Encode as _;
use spki::der::asn1::{AnyRef, BitString, ObjectIdentifier};
use spki::der::pem::LineEnding;
use spki::{AlgorithmIdentifier, SubjectPublicKeyInfo};

/// `rsaEncryption`, RFC 8017.
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// `id-ecPublicKey`, RFC 5480.
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// `secp256r1`, `secp384r1`, `secp521r1`, RFC 5480.
const CURVES: [(&str, ObjectIdentifier); 3] = [
    ("P-256", ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7")),
    ("P-384", ObjectIdentifier::new_unwrap("1.3.132.0.34")),
    ("P-521", ObjectIdentifier::new_unwrap("1.3.132.0.35")),
];

/// A set of keys, as the API server answers at `/openid/v1/jwks`.
#[derive(Debug, Deserialize)]
pub struct KeySet {
    keys: Vec<Jwk>,
}

/// A key that can't be written as PEM.
#[derive(Debug, thiserror::Error)]
#[error("the signing key {0} is of a sort that is not supported: expected RSA or an elliptic curve of NIST")]
pub struct Unsupported(String);

#[derive(Debug, Deserialize)]
struct Jwk {
    #[serde(default)]
    kid: String,
    #[serde(flatten)]
    key: Key,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "kty")]
enum Key {
    #[serde(rename = "RSA")]
    Rsa { n: String, e: String },
    #[serde(rename = "EC")]
    Ec { crv: String, x: String, y: String },
    #[serde(other)]
    Other,
}

impl KeySet {
    /// Every key as PEM, in the order of the set; without a last newline, which Vault drops too.
    pub fn to_pem(&self) -> Result<Vec<String>, Unsupported> {
        self.keys
            .iter()
            .map(|jwk| jwk.key.to_pem().ok_or_else(|| Unsupported(jwk.kid.clone())))
            .collect()
    }
}

impl Key {
    fn to_pem(&self) -> Option<String> {
        let pem = match self {
            Self::Rsa { n, e } => {
                let (n, e) = (decode(n)?, decode(e)?);
                let key = pkcs1::RsaPublicKey {
                    modulus: UintRef::new(&n).ok()?,
                    public_exponent: UintRef::new(&e).ok()?,
                };
                spki(RSA, AnyRef::NULL, &key.to_der().ok()?)?
            }
            Self::Ec { crv, x, y } => {
                let (_, curve) = CURVES.iter().find(|(name, _)| name == crv)?;
                // An uncompressed point, SEC 1 section 2.3.3.
                let point = [vec![4], decode(x)?, decode(y)?].concat();
                spki(EC, AnyRef::from(curve), &point)?
            }
            Self::Other => return None,
        };
        Some(pem)
    }
}

fn spki(oid: ObjectIdentifier, parameters: AnyRef<'_>, key: &[u8]) -> Option<String> {
    let info = SubjectPublicKeyInfo {
        algorithm: AlgorithmIdentifier {
            oid,
            parameters: Some(parameters),
        },
        subject_public_key: BitString::from_bytes(key).ok()?,
    };
    let document = spki::Document::try_from(info.to_der().ok()?.as_slice()).ok()?;
    Some(
        document
            .to_pem("PUBLIC KEY", LineEnding::LF)
            .ok()?
            .trim_end()
            .to_owned(),
    )
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_pem() {
        // RFC 7517, appendix A.1.
        let set: KeySet = serde_json::from_str(
            r#"{"keys":[
                {"kty":"EC","crv":"P-256","kid":"1",
                 "x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
                 "y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"},
                {"kty":"RSA","alg":"RS256","kid":"2","e":"AQAB",
                 "n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"}]}"#,
        )
        .unwrap();
        let pems = set.to_pem().unwrap();
        assert_eq!(
            pems[0],
            "-----BEGIN PUBLIC KEY-----\n\
             MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEMKBCTNIcKUSDii11ySs3526iDZ8A\n\
             iTo7Tu6KPAqv7D7gS2XpJFbZiItSs3m9+9Ue6GnvHw/GW2ZZaVtszggXIw==\n\
             -----END PUBLIC KEY-----"
        );
        assert!(
            pems[1].starts_with("-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A"),
            "{}",
            pems[1]
        );
    }

    #[test]
    fn an_unknown_sort_is_named() {
        let set: KeySet = serde_json::from_str(r#"{"keys":[{"kty":"OKP","kid":"new"}]}"#).unwrap();
        assert!(set.to_pem().unwrap_err().to_string().contains("new"));
    }
}
