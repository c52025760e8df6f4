//! What a pod's own annotations say: each takes the place of one field of its bindings. None of them gives
//! the pod anything to read that its bindings do not.

use super::PodSecrets;
use super::shape::is_mount_path;
use crate::kinds::defaults::{By, Said, said};
use keystead_crds::names::{
    CONTAINERS_ANNOTATION, INJECT_LABEL, MOUNT_PATH_ANNOTATION, OWN_POD_ANNOTATIONS, POD_ANNOTATIONS, PREFIX,
    SIDECAR_PORT_ANNOTATION, is_dns_label,
};
use std::collections::BTreeMap;

impl PodSecrets {
    /// The same for a pod with these annotations. Else a sentence that says which of them can't be.
    pub fn of_pod(mut self, annotations: &BTreeMap<&str, &str>) -> Result<Self, String> {
        let own = || annotations.keys().filter(|name| name.starts_with(PREFIX));
        if own().next().is_none() {
            return Ok(self);
        }
        own().try_for_each(|name| known(name))?;
        let annotation = |name: &str| annotations.get(name).copied();
        let wrong = |why| format!("the pod's {why}");
        self.defaults = self.defaults.of_pod(annotation).map_err(wrong)?;
        self.config.refresh_millis = self.defaults.refresh_millis();
        let containers = said(
            annotation(CONTAINERS_ANNOTATION),
            CONTAINERS_ANNOTATION,
            "names of the pod's containers with commas between, such as web,worker",
            names,
        );
        if let Some(value) = containers.map_err(wrong)? {
            self.shape.containers = Said { value, by: By::Pod };
        }
        let mount_path = said(
            annotation(MOUNT_PATH_ANNOTATION),
            MOUNT_PATH_ANNOTATION,
            "an absolute path, its names made of letters, digits, '-', '_' and '.', none starting with '.'",
            |text| is_mount_path(text).then(|| text.to_owned()),
        );
        if let Some(value) = mount_path.map_err(wrong)? {
            self.shape.mount_path = Said { value, by: By::Pod };
        }
        let port = said(
            annotation(SIDECAR_PORT_ANNOTATION),
            SIDECAR_PORT_ANNOTATION,
            "a port between 1024 and 65535",
            |text| text.parse().ok().filter(|port| *port >= 1024),
        );
        if let Some(port) = port.map_err(wrong)? {
            let by = By::Pod;
            self.shape.port = Said {
                value: Some(port),
                by,
            };
        }
        Ok(self)
    }
}

fn names(text: &str) -> Option<Vec<String>> {
    let name = |part: &str| is_dns_label(part).then(|| part.to_owned());
    text.split(',').map(|part| name(part.trim())).collect()
}

/// A typo must not be taken for nothing said.
fn known(name: &str) -> Result<(), String> {
    if POD_ANNOTATIONS.contains(&name) || OWN_POD_ANNOTATIONS.contains(&name) {
        return Ok(());
    }
    if name == INJECT_LABEL {
        return Err(format!(
            "{name} is a label, and the pod has it as an annotation: move it to the pod's labels"
        ));
    }
    let distance = |known: &&&str| distance(known.as_bytes(), name.as_bytes());
    let nearest = POD_ANNOTATIONS.iter().min_by_key(distance);
    let near = nearest.filter(|known| distance(known) <= NEAR);
    let near = near.or_else(|| POD_ANNOTATIONS.iter().find(|known| known.starts_with(name)));
    let hint = near.map_or_else(|| ".".to_owned(), |known| format!(": did you mean {known}?"));
    Err(format!(
        "the pod's annotation {name} is none that Keystead knows{hint} Known are {}",
        POD_ANNOTATIONS.join(", ")
    ))
}

/// How many characters would have to be put in, taken out or changed.
fn distance(one: &[u8], other: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, a) in one.iter().enumerate() {
        let mut before = index;
        let mut next = vec![index + 1];
        for ((b, above), left) in other.iter().zip(row.iter().skip(1)).zip(0..) {
            let changed = before + usize::from(a != b);
            let shifted = (*above).min(next.get(left).copied().unwrap_or(usize::MAX)) + 1;
            before = *above;
            next.push(changed.min(shifted));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

/// What is further away was hardly meant.
const NEAR: usize = 4;

#[cfg(test)]
mod tests;
