//! OCI images without a container engine: one layer of given files, a configuration, and a tar
//! that is an OCI layout and a docker archive at once. The same input gives the same bytes.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result};
use oci_spec::image::{
    Arch, ConfigBuilder, DescriptorBuilder, Digest, ImageConfigurationBuilder, ImageIndexBuilder,
    ImageManifestBuilder, MediaType, Os, RootFsBuilder, SCHEMA_VERSION,
};
use serde_json::json;

use crate::archive::{self, Files, Node, append};

/// What goes into an image.
#[derive(Debug, Clone, Default)]
pub struct Image {
    /// Its name with registry and tag, as pods ask for it.
    pub name: String,
    /// The file system, by path without a leading slash; all of it belongs to root.
    pub files: Files,
    /// What runs.
    pub entrypoint: Vec<String>,
    /// The numeric `user:group` it runs as.
    pub user: String,
    /// `NAME=value`.
    pub environment: Vec<String>,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
}

/// An image that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The digest of its manifest: what `name@sha256:…` means.
    pub digest: String,
    /// The size of the tar.
    pub size: u64,
}

/// A blob of the image, known by its digest.
struct Blob {
    digest: Digest,
    bytes: Vec<u8>,
}

impl Blob {
    fn new(bytes: Vec<u8>) -> Result<Self> {
        let digest =
            Digest::from_str(&format!("sha256:{}", archive::sha256(&bytes))).context("form a digest")?;
        Ok(Self { digest, bytes })
    }

    fn path(&self) -> String {
        format!("blobs/sha256/{}", self.digest.digest())
    }

    fn describe(&self, kind: MediaType) -> DescriptorBuilder {
        DescriptorBuilder::default()
            .media_type(kind)
            .digest(self.digest.clone())
            .size(self.bytes.len() as u64)
    }
}

impl Image {
    /// Writes the image as a tar that `docker load` and `ctr images import` take. The file appears
    /// under its name only when it is whole.
    pub fn write(&self, path: &Path) -> Result<Written> {
        let layer = Blob::new(archive::tar(&self.files, 0)?)?;
        let config = Blob::new(self.config(&layer)?)?;
        let manifest = ImageManifestBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::ImageManifest)
            .config(config.describe(MediaType::ImageConfig).build()?)
            .layers(vec![layer.describe(MediaType::ImageLayer).build()?])
            .build()?;
        let manifest = Blob::new(serde_json::to_vec(&manifest)?)?;
        let archive = self.archive(&layer, &config, &manifest)?;

        let folder = path.parent().context("an image needs a folder")?;
        fs::create_dir_all(folder)?;
        let mut unfinished = tempfile::NamedTempFile::new_in(folder)?;
        unfinished.write_all(&archive)?;
        fs::set_permissions(
            unfinished.path(),
            std::os::unix::fs::PermissionsExt::from_mode(0o644),
        )?;
        let _: File = unfinished
            .persist(path)
            .with_context(|| format!("write {}", path.display()))?;
        Ok(Written {
            digest: manifest.digest.to_string(),
            size: archive.len() as u64,
        })
    }

    fn config(&self, layer: &Blob) -> Result<Vec<u8>> {
        let labels: HashMap<String, String> = self.labels.clone().into_iter().collect();
        let run = ConfigBuilder::default()
            .user(&self.user)
            .env(self.environment.clone())
            .entrypoint(self.entrypoint.clone())
            .labels(labels)
            .build()?;
        let root = RootFsBuilder::default()
            .typ("layers")
            .diff_ids(vec![layer.digest.to_string()])
            .build()?;
        let config = ImageConfigurationBuilder::default()
            .architecture(Arch::Amd64)
            .os(Os::Linux)
            .created("1970-01-01T00:00:00Z")
            .config(run)
            .rootfs(root)
            .build()?;
        // Through a `Value`, whose maps are sorted: the labels' own order is a new one each time.
        Ok(serde_json::to_vec(&serde_json::to_value(config)?)?)
    }

    /// Everything in one tar: the OCI layout, and the docker archive's table of contents.
    fn archive(&self, layer: &Blob, config: &Blob, manifest: &Blob) -> Result<Vec<u8>> {
        let entry = manifest.describe(MediaType::ImageManifest).build()?;
        let tag = self.name.rsplit_once(':').map_or("latest", |(_, tag)| tag);
        let mut index = serde_json::to_value(
            ImageIndexBuilder::default()
                .schema_version(SCHEMA_VERSION)
                .media_type(MediaType::ImageIndex)
                .manifests(vec![entry])
                .build()?,
        )?;
        index["manifests"][0]["annotations"] =
            json!({"io.containerd.image.name": self.name, "org.opencontainers.image.ref.name": tag});
        index["manifests"][0]["platform"] = json!({"architecture": "amd64", "os": "linux"});
        let docker = json!([{"Config": config.path(), "RepoTags": [self.name], "Layers": [layer.path()]}]);

        let mut tar = tar::Builder::new(Vec::new());
        let text = |value: &serde_json::Value| value.to_string().into_bytes();
        append(
            &mut tar,
            "oci-layout",
            &Node::File(0o644, text(&json!({"imageLayoutVersion": "1.0.0"}))),
            0,
        )?;
        append(&mut tar, "index.json", &Node::File(0o644, text(&index)), 0)?;
        append(&mut tar, "manifest.json", &Node::File(0o644, text(&docker)), 0)?;
        for folder in ["blobs", "blobs/sha256"] {
            append(&mut tar, folder, &Node::Folder(0o755), 0)?;
        }
        for blob in [layer, config, manifest] {
            append(&mut tar, &blob.path(), &Node::File(0o644, blob.bytes.clone()), 0)?;
        }
        tar.into_inner().context("finish the archive")
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn image() -> Image {
        Image {
            name: "keystead.test/thing:1".into(),
            files: [
                ("opt/thing".into(), Node::File(0o755, b"\x7fELF".to_vec())),
                ("bin/sh".into(), Node::Link("../opt/thing".into())),
                ("tmp".into(), Node::Folder(0o1777)),
            ]
            .into(),
            entrypoint: vec!["/opt/thing".into()],
            user: "65532:65532".into(),
            environment: vec!["A=b".into()],
            labels: ["a", "b", "c", "d"]
                .map(|key| (key.to_owned(), "x".to_owned()))
                .into(),
        }
    }

    fn contents(path: &Path) -> BTreeMap<String, Vec<u8>> {
        let mut archive = tar::Archive::new(File::open(path).expect("the tar"));
        let entries = archive.entries().expect("entries");
        entries
            .map(|entry| {
                let mut entry = entry.expect("an entry");
                assert_eq!(entry.header().mtime().expect("a time"), 0);
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).expect("bytes");
                (entry.path().expect("a path").display().to_string(), bytes)
            })
            .collect()
    }

    #[test]
    fn the_same_input_gives_the_same_bytes() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, two) = (folder.path().join("one.tar"), folder.path().join("two.tar"));
        let first = image().write(&one).expect("an image");
        assert_eq!(first, image().write(&two).expect("an image"));
        assert_eq!(fs::read(&one).expect("bytes"), fs::read(&two).expect("bytes"));
        assert_eq!(first.size, fs::metadata(&one).expect("a file").len());

        let mut other = image();
        other
            .files
            .insert("opt/thing".into(), Node::File(0o755, b"other".to_vec()));
        assert_ne!(first.digest, other.write(&two).expect("an image").digest);
    }

    #[test]
    fn both_tables_of_contents_lead_to_blobs_that_are_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("image.tar");
        let written = image().write(&path).expect("an image");
        let files = contents(&path);
        let parse = |name: &str| serde_json::from_slice::<serde_json::Value>(&files[name]).expect("JSON");
        let blob = |digest: &serde_json::Value| {
            format!("blobs/{}", digest.as_str().expect("a digest").replace(':', "/"))
        };

        for (name, bytes) in files
            .iter()
            .filter(|(name, _)| name.starts_with("blobs/sha256/") && !name.ends_with('/'))
        {
            assert_eq!(*name, Blob::new(bytes.clone()).expect("a blob").path());
        }
        let index = parse("index.json");
        assert_eq!(index["manifests"][0]["digest"], written.digest.as_str());
        assert_eq!(
            index["manifests"][0]["annotations"]["io.containerd.image.name"],
            "keystead.test/thing:1"
        );
        let manifest = parse(&blob(&index["manifests"][0]["digest"]));
        let config = parse(&blob(&manifest["config"]["digest"]));
        assert_eq!(config["config"]["User"], "65532:65532");
        assert_eq!(config["rootfs"]["diff_ids"][0], manifest["layers"][0]["digest"]);
        let docker = parse("manifest.json");
        assert_eq!(docker[0]["RepoTags"][0], "keystead.test/thing:1");
        assert_eq!(
            docker[0]["Layers"][0],
            blob(&manifest["layers"][0]["digest"]).as_str()
        );

        let layer = &files[&blob(&manifest["layers"][0]["digest"])];
        let mut archive = tar::Archive::new(layer.as_slice());
        let names: Vec<String> = archive
            .entries()
            .expect("entries")
            .map(|entry| {
                entry
                    .expect("an entry")
                    .path()
                    .expect("a path")
                    .display()
                    .to_string()
            })
            .collect();
        assert_eq!(names, ["bin/", "bin/sh", "opt/", "opt/thing", "tmp/"]);
    }
}
