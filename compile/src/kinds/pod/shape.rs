//! Which containers of a pod are served, and where: what bindings say of it, taken together.

use crate::kinds::defaults::{By, Said};
use crate::{Key, Problem};
use keystead_crds::SecretBinding;
use keystead_crds::condition::Reason;
use keystead_crds::names::FILES_DIR;
use std::fmt::Display;

/// How the secrets stand in a pod.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Shape {
    /// The containers that get them; all where it is empty.
    pub containers: Said<Vec<String>>,
    /// Where these find their files.
    pub mount_path: Said<String>,
    /// The port of the sidecar's probes and metrics, where somebody asks for one.
    pub port: Said<Option<u16>>,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            containers: built_in(Vec::new()),
            mount_path: built_in(FILES_DIR.to_owned()),
            port: built_in(None),
        }
    }
}

impl Shape {
    /// What the bindings of a pod say. Containers add up; else nobody may say something different.
    pub(super) fn of(bindings: &[(&Key, &SecretBinding)]) -> Result<Self, Problem> {
        let mut shape = Self::default();
        let path = agreed(bindings, "spec.mountPath", |found| {
            found.spec.mount_path.as_deref()
        })?;
        if let Some(Said { value, by }) = path {
            let value = value.to_owned();
            shape.mount_path = Said { value, by };
        }
        let port = |found: &SecretBinding| u16::try_from(found.spec.sidecar.port?).ok();
        if let Some(Said { value, by }) = agreed(bindings, "spec.sidecar.port", port)? {
            let value = Some(value);
            shape.port = Said { value, by };
        }
        let mut names = bindings.iter().map(|(_, found)| &found.spec.containers);
        if let (true, Some((key, _))) = (names.all(|names| !names.is_empty()), bindings.first()) {
            let names = bindings.iter().flat_map(|(_, found)| &found.spec.containers);
            let mut value: Vec<String> = names.cloned().collect();
            value.sort_unstable();
            value.dedup();
            let by = By::Binding(key.name.clone());
            shape.containers = Said { value, by };
        }
        Ok(shape)
    }
}

/// What the bindings that say it all say.
fn agreed<'a, T: Display + PartialEq>(
    bindings: &[(&Key, &'a SecretBinding)],
    field: &str,
    ask: impl Fn(&'a SecretBinding) -> Option<T>,
) -> Result<Option<Said<T>>, Problem> {
    let mut told = bindings
        .iter()
        .filter_map(|(key, found)| Some((key, ask(found)?)));
    let Some((first, value)) = told.next() else {
        return Ok(None);
    };
    if let Some((other, another)) = told.find(|(_, another)| *another != value) {
        let message = format!(
            "SecretBindings {} and {} ask for {value} and {another} ({field}), and a pod has one: let them agree, \
             or keep their pods apart by podSelector",
            first.name, other.name
        );
        return Err(Problem::new(Reason::Conflict, message));
    }
    let by = By::Binding(first.name.clone());
    Ok(Some(Said { value, by }))
}

/// Whether a path is as `mountPath` is to be.
pub(super) fn is_mount_path(path: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let is_name = |name: &str| {
        let first = name.bytes().next();
        first.is_some_and(|byte| inner(byte) && !matches!(byte, b'-' | b'.')) && name.bytes().all(inner)
    };
    let names = path.strip_prefix('/');
    path.len() <= 256 && names.is_some_and(|names| names.split('/').all(is_name))
}

fn built_in<T>(value: T) -> Said<T> {
    let by = By::BuiltIn;
    Said { value, by }
}
