//! Whom the pod's files can be told about when they change: what can't work is refused, and each signal
//! gets the name of its container.

use super::pod::{Container, Pod};
use super::way::Way;
use super::{Refusal, sidecar};
use keystead_crds::sidecar::{Config, OnChange};

/// Puts the containers of signals into the config, or says why somebody could not be told.
pub(super) fn settle(pod: &Pod<'_>, config: &mut Config, way: Way) -> Result<(), Refusal> {
    for file in &mut config.files {
        let refused = |why: String| {
            Refusal(format!(
                "onChange of the SecretBinding's file {}: {why}",
                file.path
            ))
        };
        match &mut file.on_change {
            Some(_) if way.once => {
                return Err(refused(
                    "sidecar.mode Init leaves nobody who could tell of changes: choose another mode, or take \
                     onChange away"
                        .to_owned(),
                ));
            }
            Some(OnChange::Signal { name, container }) => {
                let found = receiver(pod, container.as_deref());
                let found = found.map_err(|why| refused(format!("{} {why}", name.as_str())))?;
                *container = Some(found.name.to_string());
            }
            Some(OnChange::Http { port, .. }) if pod.has_host_network() => {
                return Err(refused(format!(
                    "a call on port {port} stays within the pod, and one on the host's network shares its ports \
                     with others: ask for a signal instead"
                )));
            }
            Some(OnChange::Http { .. }) | None => {}
        }
    }
    Ok(())
}

/// The container that gets a signal, or why none can.
fn receiver<'a, 'p>(pod: &'a Pod<'p>, wanted: Option<&str>) -> Result<&'a Container<'p>, String> {
    if !pod.shares_processes() {
        let remedy =
            "set shareProcessNamespace: true in the pod's spec, or ask for a call instead (onChange.http)";
        return Err(format!(
            "can't reach a container whose processes are its own: {remedy}"
        ));
    }
    // Others end before files change.
    let running: Vec<&Container<'_>> = pod.running_containers().collect();
    let names = running
        .iter()
        .map(|container| &*container.name)
        .collect::<Vec<_>>()
        .join(", ");
    let found = match (wanted, &*running) {
        (Some(wanted), _) => running.into_iter().find(|container| *container.name == *wanted),
        (None, [only]) => Some(*only),
        (None, _) => {
            return Err(format!(
                "is for one container: name it (onChange.signal.container), one of {names}"
            ));
        }
    };
    let found = found.ok_or_else(|| {
        let wanted = wanted.unwrap_or_default();
        format!("is for container {wanted}, which this pod does not have: it has {names}")
    })?;
    if sidecar::shares_user(pod, found) {
        return Ok(found);
    }
    Err(format!(
        "may only be sent to processes of the sidecar's own user: set one runAsUser other than 0 for all of the \
         pod's containers, {} too",
        &*found.name
    ))
}
