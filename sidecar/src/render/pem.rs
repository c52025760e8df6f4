//! Certificates as servers and clients want them: PEM (RFC 7468), each part a file.

use super::{Keys, sized};
use keystead_vault::Sensitive;

/// A part of what `pki` engines answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    /// The certificates of the authority.
    Authority,
    /// The certificate, and then those that lead to the authority.
    Certificate,
    /// The private key.
    PrivateKey,
}

/// The text, or the key that is missing.
pub fn render(part: Part, keys: &Keys<'_>) -> Result<Sensitive<String>, &'static str> {
    let own = match part {
        Part::Authority => None,
        Part::Certificate => Some("certificate"),
        Part::PrivateKey => Some("private_key"),
    };
    let mut blocks = Vec::new();
    if let Some(key) = own {
        blocks.push(keys.get(key).ok_or(key)?.value.clone());
    }
    if part != Part::PrivateKey {
        let chain = keys.get("ca_chain").map(|chain| list(&chain.value));
        let issuer = keys.get("issuing_ca").map(|issuer| vec![issuer.value.clone()]);
        blocks.extend(chain.or(issuer).ok_or("issuing_ca")?);
    }
    Ok(sized(|text| {
        blocks
            .iter()
            .try_for_each(|block| writeln!(text, "{}", block.expose().trim_end()))
    }))
}

/// Vault answers a list, which is its JSON as a value; people store one text.
fn list(chain: &Sensitive<String>) -> Vec<Sensitive<String>> {
    serde_json::from_str(chain.expose()).unwrap_or_else(|_| vec![chain.clone()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use keystead_vault::resolve::{Origin, Resolved};
    use std::collections::BTreeMap;

    fn rendered(part: Part, values: &[(&str, &str)]) -> Result<String, &'static str> {
        let resolved = |value: &str| Resolved {
            value: value.into(),
            origin: Origin::Path,
            version: None,
            ends: None,
        };
        let all: BTreeMap<&str, Resolved> = values
            .iter()
            .map(|(key, value)| (*key, resolved(value)))
            .collect();
        let keys: Keys<'_> = all.iter().map(|(key, value)| (*key, value)).collect();
        render(part, &keys).map(|text| text.expose().clone())
    }

    #[test]
    fn each_part_is_a_file_of_its_own() {
        let answer = [
            ("certificate", "LEAF"),
            ("private_key", "KEY\n"),
            ("issuing_ca", "MIDDLE"),
            ("ca_chain", r#"["MIDDLE","ROOT\n"]"#),
        ];
        let said = |part| rendered(part, &answer).unwrap();
        assert_eq!(said(Part::Certificate), "LEAF\nMIDDLE\nROOT\n");
        assert_eq!(said(Part::PrivateKey), "KEY\n");
        assert_eq!(said(Part::Authority), "MIDDLE\nROOT\n");
        let short = [("certificate", "LEAF"), ("issuing_ca", "ROOT")];
        assert_eq!(rendered(Part::Certificate, &short).unwrap(), "LEAF\nROOT\n");
        assert_eq!(
            rendered(Part::Authority, &[("ca_chain", "A\nB\n")]).unwrap(),
            "A\nB\n"
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(
            rendered(Part::PrivateKey, &[("certificate", "LEAF")]),
            Err("private_key")
        );
        assert_eq!(
            rendered(Part::Certificate, &[("issuing_ca", "CA")]),
            Err("certificate")
        );
        assert_eq!(
            rendered(Part::Authority, &[("certificate", "LEAF")]),
            Err("issuing_ca")
        );
    }
}
