//! Where in a container its files can be: nothing of its own is hidden, and it still starts.

use super::Refusal;
use super::pod::{Container, Pod};
use super::volume::{Mount, Volume};
use keystead_compile::kinds::defaults::By;
use keystead_compile::kinds::pod::Shape;
use keystead_crds::names;
use std::path::{Path, PathBuf};

/// Refuses a place that no container could start with.
pub(super) fn admit_place(shape: &Shape, bindings: &[String]) -> Result<(), Refusal> {
    let files = &shape.mount_path.value;
    if !names::is_system_path(files) {
        return Ok(());
    }
    let who = match &shape.mount_path.by {
        By::Pod => format!("the pod's annotation {}", names::MOUNT_PATH_ANNOTATION),
        _ => format!("mountPath of SecretBinding {}", bindings.join(", ")),
    };
    Err(Refusal(format!(
        "{who} is {files}, where a container has what it can't start or work without: have the files in a directory \
         of their own, such as /etc/secrets"
    )))
}

/// Refuses a container that has something of its own there, or would have its files where they can't be mounted.
pub(super) fn admit(pod: &Pod<'_>, container: &Container<'_>, files: &str) -> Result<(), Refusal> {
    let name = &*container.name;
    if let Some(path) = container
        .mount_paths()
        .find(|path| absolute(path).starts_with(files))
    {
        return Err(Refusal(format!(
            "container {name} mounts something at {path}, and {files} is where its secrets would be: mount it \
             elsewhere, or have them elsewhere by the annotation {}",
            names::MOUNT_PATH_ANNOTATION
        )));
    }
    let above = container
        .mounts()
        .filter_map(|mount| Some((absolute(mount.path()?), mount)));
    let above = above.filter(|(path, _)| Path::new(files).starts_with(path));
    let nearest = above.max_by_key(|(path, _)| path.components().count());
    match nearest.filter(|(_, mount)| is_closed(pod, mount)) {
        None => Ok(()),
        Some((path, _)) => Err(Refusal(format!(
            "container {name} mounts something read-only at {}, and its secrets would be below it in {files}, where \
             no directory can be made for them: take readOnly off that mount, or have them elsewhere by the annotation {}",
            path.display(),
            names::MOUNT_PATH_ANNOTATION
        ))),
    }
}

/// Whether nothing can be mounted below it. In what the kubelet fills itself it makes the directory first.
fn is_closed(pod: &Pod<'_>, mount: &Mount<'_>) -> bool {
    let volume = mount.name.as_deref().and_then(|name| pod.volume(name));
    mount.is_read_only() && (mount.is_part() || !volume.is_some_and(Volume::is_filled_by_kubelet))
}

fn absolute(path: &str) -> PathBuf {
    Path::new("/").join(path)
}
