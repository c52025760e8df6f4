//! What is to happen in a pod when values change: what can't work is refused, and each signal gets the name
//! of its container.

use super::pod::{Container, Pod};
use super::way::Way;
use super::{PodSecrets, Refusal, served, sidecar};
use keystead_compile::kinds::defaults::By;
use keystead_crds::common::SidecarMode;
use keystead_crds::names;
use keystead_crds::sidecar::OnChange;
use std::collections::BTreeMap;

/// By container, the signals that its command's parent sends, each with its file: `SIGHUP=hubspot.env`.
pub(super) type Signals = BTreeMap<String, Vec<String>>;

/// Puts the containers of signals into the config, or says why somebody could not be told. Where our program
/// starts a container's command it sends the signal, too, and the sidecar need not.
pub(super) fn settle(pod: &Pod<'_>, secrets: &mut PodSecrets, way: Way) -> Result<Signals, Refusal> {
    admit_mode(secrets, way)?;
    admit_leases(secrets, way)?;
    let mut signals = Signals::new();
    let served = served::all(pod, pod.place(way.first), &secrets.shape);
    let started: Vec<&str> = served.map(|(_, container)| &*container.name).collect();
    for file in &mut secrets.config.files {
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
                let refused = |why| refused(format!("{} {why}", name.as_str()));
                let found = receiver(pod, container.as_deref()).map_err(refused)?;
                if way.execs() && started.contains(&&*found.name) {
                    let signal = format!("{}={}", name.as_str(), file.path);
                    signals.entry(found.name.to_string()).or_default().push(signal);
                    file.on_change = None;
                } else {
                    reaches(pod, found).map_err(refused)?;
                    *container = Some(found.name.to_string());
                }
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
    Ok(signals)
}

/// Refuses what the pod's mode would silently leave undone: a binding asks for it in a mode of its own that an
/// annotation of the pod replaces, or the pod itself does by another annotation.
fn admit_mode(secrets: &PodSecrets, way: Way) -> Result<(), Refusal> {
    let mode = secrets.defaults.mode.value;
    if secrets.restart && mode != SidecarMode::Exec {
        return Err(Refusal(format!(
            "sidecar.restartOnChange of SecretBinding {} needs mode Exec, and the pod's annotation {} is {mode:?}: take \
             the annotation away or say Exec, or keep such pods apart from the binding by its podSelector",
            secrets.bindings.join(", "),
            names::SIDECAR_MODE_ANNOTATION
        )));
    }
    let own = [
        (&secrets.defaults.refresh.by, names::REFRESH_ANNOTATION),
        (&secrets.shape.port.by, names::SIDECAR_PORT_ANNOTATION),
    ];
    match own.into_iter().find(|(by, _)| way.once && **by == By::Pod) {
        None => Ok(()),
        Some((_, annotation)) => Err(Refusal(format!(
            "the pod's annotation {annotation} needs a sidecar that stays, and with sidecar.mode Init none does: take \
             the annotation away, or choose another mode by the annotation {}",
            names::SIDECAR_MODE_ANNOTATION
        ))),
    }
}

/// Refuses what would end while the pod still uses it.
fn admit_leases(secrets: &PodSecrets, way: Way) -> Result<(), Refusal> {
    match secrets.leases.as_ref().filter(|_| way.once) {
        None => Ok(()),
        Some(role) => Err(Refusal(format!(
            "DatabaseRole {role} makes users with a lease, and with sidecar.mode Init nothing stays to renew it: choose \
             Sidecar or Exec, or a role with a static user"
        ))),
    }
}

/// The container that gets a signal, or why none can.
fn receiver<'a, 'p>(pod: &'a Pod<'p>, wanted: Option<&str>) -> Result<&'a Container<'p>, String> {
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
    found.ok_or_else(|| {
        let wanted = wanted.unwrap_or_default();
        format!("is for container {wanted}, which this pod does not have: it has {names}")
    })
}

/// Whether the sidecar may signal the container's processes, or why not.
fn reaches(pod: &Pod<'_>, found: &Container<'_>) -> Result<(), String> {
    if !pod.shares_processes() {
        let remedy = "set shareProcessNamespace: true in the pod's spec, or ask for a call instead (onChange.http), or let \
                      Keystead start its command (sidecar.mode: Exec)";
        return Err(format!(
            "can't reach a container whose processes are its own: {remedy}"
        ));
    }
    if sidecar::shares_user(pod, found) {
        return Ok(());
    }
    Err(format!(
        "may only be sent to processes of the sidecar's own user: set one runAsUser other than 0 for all of the \
         pod's containers, {} too",
        &*found.name
    ))
}
