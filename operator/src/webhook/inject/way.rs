//! How a pod gets its secrets: what its bindings ask for, by the means that the cluster has.

use super::pod::Container;
use super::text::Text;
use super::{PodSecrets, Refusal};
use keystead_crds::common::SidecarMode;
use keystead_crds::names;
use serde_json::{Value, json};

/// What is decided for a pod.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Way {
    /// Whether ours is an init container that ends when everything is there.
    pub(super) once: bool,
    /// Whether ours comes before all others.
    pub(super) first: bool,
    /// What holds the other containers back until everything is there.
    pub(super) gate: Gate,
    start: Start,
}

/// Who starts the containers' commands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Start {
    /// Our program, with their variables.
    Exec,
    /// Our program, and anew when a value changes.
    ExecAnew,
    /// The kubelet, as everywhere.
    Kubelet,
}

/// What holds containers back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Gate {
    /// An init container of its own.
    Container,
    /// The kubelet, which finds no value for a variable.
    Kubelet,
    /// Nothing is needed: ours is an init container itself.
    Open,
}

impl Way {
    pub(super) fn of(secrets: &PodSecrets) -> Self {
        let mode = secrets.defaults.mode.value;
        let once = mode == SidecarMode::Init;
        let lacks = secrets.lacks_env_files.is_some();
        Self {
            once,
            first: secrets.defaults.first.value,
            gate: match (once, lacks) {
                (true, _) => Gate::Open,
                (false, true) => Gate::Container,
                (false, false) => Gate::Kubelet,
            },
            start: match mode {
                SidecarMode::Exec if secrets.restart => Start::ExecAnew,
                SidecarMode::Exec => Start::Exec,
                _ if lacks && !secrets.config.env.is_empty() => Start::Exec,
                _ => Start::Kubelet,
            },
        }
    }

    /// Whether our program starts the containers' commands, with their variables.
    pub(super) fn execs(self) -> bool {
        self.start != Start::Kubelet
    }

    /// The command that starts this one, in a container that has its files there, and has it signalled so
    /// (`SIGHUP=hubspot.env`).
    pub(super) fn start(self, files: &str, command: &[Text<'_>], signals: &[String]) -> Value {
        let program = format!("{files}/{}", names::PROGRAM_FILE);
        let anew = (self.start == Start::ExecAnew).then(|| json!("--restart"));
        let before = [json!(program), json!("exec")].into_iter().chain(anew);
        let signals = signals
            .iter()
            .flat_map(|signal| [json!("--signal"), json!(signal)]);
        before
            .chain(signals)
            .chain([json!("--")])
            .chain(command.iter().map(|text| json!(**text)))
            .collect()
    }

    /// Refuses a container that our program would have to start and can't: what its image starts is
    /// not known here.
    pub(super) fn admit(self, container: &Container<'_>, secrets: &PodSecrets) -> Result<(), Refusal> {
        if !self.execs() || container.command().is_some() {
            return Ok(());
        }
        let (name, bindings) = (&*container.name, secrets.bindings.join(", "));
        Err(Refusal(match &secrets.lacks_env_files {
            Some(lacks) if secrets.defaults.mode.value != SidecarMode::Exec => format!(
                "container {name} can't be given its variables: {lacks}, so Keystead would have to start its \
                 command, and it has none of its own: set the container's command to what its image starts, or \
                 mount files instead of variables (SecretBinding {bindings})"
            ),
            _ => format!(
                "container {name} has no command of its own, and sidecar.mode Exec starts that with the \
                 variables: set the container's command to what its image starts, or choose another mode \
                 (SecretBinding {bindings})"
            ),
        }))
    }
}
