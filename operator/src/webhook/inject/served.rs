//! Which containers get secrets.

use super::Refusal;
use super::pod::{Container, Pod};
use keystead_compile::kinds::defaults::By;
use keystead_compile::kinds::pod::Shape;
use keystead_crds::names;

/// Those that start after an init container at this place, of the ones that somebody names, each with the
/// JSON pointer to it.
pub(super) fn all<'a, 'p>(
    pod: &'a Pod<'p>,
    place: usize,
    shape: &'a Shape,
) -> impl Iterator<Item = (String, &'a Container<'p>)> {
    let named = &shape.containers.value;
    let is_named = |name: &str| named.is_empty() || named.iter().any(|named| named == name);
    pod.after(place)
        .filter(move |(_, container)| is_named(&container.name))
}

/// Refuses a pod in which a container would be without that somebody names. Bindings are for several pods,
/// so one of those that they name is enough.
pub(super) fn admit(pod: &Pod<'_>, place: usize, shape: &Shape, bindings: &[String]) -> Result<(), Refusal> {
    let named = &shape.containers.value;
    let has = |name: &&String| all(pod, place, shape).any(|(_, container)| *container.name == ***name);
    let (who, missing) = match shape.containers.by {
        By::Pod => {
            let who = format!("the annotation {}", names::CONTAINERS_ANNOTATION);
            (who, named.iter().find(|name| !has(name)))
        }
        _ if named.iter().any(|name| has(&name)) => return Ok(()),
        _ => (format!("SecretBinding {}", bindings.join(", ")), named.first()),
    };
    let Some(missing) = missing else { return Ok(()) };
    let others: Vec<&str> = pod.after(place).map(|(_, container)| &*container.name).collect();
    let early = pod.all_containers().any(|container| *container.name == **missing);
    let why = if early {
        "starts before Keystead's sidecar here"
    } else {
        "is none of this pod's"
    };
    Err(Refusal(format!(
        "container {missing}, which {who} names, {why}: those that can have secrets are {}",
        others.join(", ")
    )))
}
