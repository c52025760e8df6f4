//! The manifest by which krew installs the tool.

use crate::archive;
use crate::programs::VERSION;

const TEMPLATE: &str = include_str!("krew.yaml");

/// The manifest for an archive that will be found at `uri`.
pub(super) fn manifest(uri: &str, archive: &[u8]) -> String {
    TEMPLATE
        .replace("@version@", VERSION)
        .replace("@uri@", uri)
        .replace("@sha256@", &archive::sha256(archive))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    /// The fields that krew documents; it refuses what it does not know.
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct Plugin {
        api_version: String,
        kind: String,
        metadata: Metadata,
        spec: Spec,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Metadata {
        name: String,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct Spec {
        version: String,
        homepage: String,
        short_description: String,
        description: String,
        caveats: String,
        platforms: Vec<Platform>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Platform {
        selector: Selector,
        uri: String,
        sha256: String,
        bin: String,
        files: Vec<FileOperation>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct Selector {
        match_labels: BTreeMap<String, String>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct FileOperation {
        from: String,
        to: String,
    }

    #[test]
    fn it_is_as_krew_wants_it() {
        let uri = "https://example.com/v1/kubectl-keystead.tar.gz";
        let text = manifest(uri, b"the archive");
        let plugin: Plugin = serde_saphyr::from_str(&text).expect("the fields that there are");
        assert_eq!(
            plugin.api_version,
            "krew.googlecontainertools.github.com/v1alpha2"
        );
        assert_eq!(plugin.kind, "Plugin");
        // Its file in an index has this name; the program is kubectl-NAME.
        assert_eq!(plugin.metadata.name, "keystead");
        let Spec {
            version,
            homepage,
            short_description,
            description,
            caveats,
            platforms,
        } = plugin.spec;
        assert_eq!(version, format!("v{VERSION}"));
        assert!(homepage.starts_with("https://"));
        assert!(short_description.len() <= 50 && !short_description.ends_with('.'));
        let widest = [description, caveats].concat().lines().map(str::len).max();
        assert!(widest.is_some_and(|widest| widest <= 120));
        assert_eq!(platforms.len(), 1);
        for platform in platforms {
            let labels = platform.selector.match_labels;
            assert_eq!(labels.get("os").map(String::as_str), Some("linux"));
            assert_eq!(labels.get("arch").map(String::as_str), Some("amd64"));
            assert_eq!(platform.uri, uri);
            assert_eq!(platform.sha256, archive::sha256(b"the archive"));
            assert_eq!(platform.sha256.len(), 64);
            assert!(platform.files.iter().all(|file| file.to == "."));
            let has_bin = platform.files.iter().any(|file| file.from == platform.bin);
            assert!(has_bin, "{} is not brought", platform.bin);
        }
    }
}
