//! Taking a bed down, and cleaning up after one that was killed: both find what is left by marks
//! the bed put on everything, so neither needs to know how far the bed had come.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::Signal;

use super::process::{self, Process, Registry};
use super::{Bed, lock, state_folder, state_root};
use crate::{ui, wait};

const CGROUPS: &str = "/sys/fs/cgroup";
/// The group containerd puts all containers in, each in one that is called like it.
const CONTAINERS: &str = "k8s.io";
/// Where a bed's containerd keeps a folder for each of its containers.
const CONTAINER_FOLDERS: [&str; 3] = [
    "containerd/state/io.containerd.runtime.v2.task/k8s.io",
    "containerd/root/io.containerd.grpc.v1.cri/containers",
    "containerd/root/io.containerd.grpc.v1.cri/sandboxes",
];

/// Takes a bed down; nothing of it is left. Fine if there is none.
pub fn down(name: &str) -> Result<()> {
    let state = state_folder(name)?;
    if !state.exists() {
        ui::note(format_args!("There is no bed {name}."));
        return Ok(());
    }
    let lock = lock()?;
    let visitors = visitors(name);
    let step = ui::Step::begin(format_args!("taking the bed {name} down"));
    sweep(&state)?;
    // Fails while another bed lives there, which is fine.
    let _ = fs::remove_dir(state_root()?);
    drop(lock);
    step.done();
    if !visitors.is_empty() {
        let ids: Vec<String> = visitors.iter().map(|process| process.pid.to_string()).collect();
        ui::note(format_args!(
            "Not the bed's, so left alone, but still in its network: {}",
            ids.join(" ")
        ));
    }
    Ok(())
}

/// Ends every process of a bed, then removes its control groups, mounts and files.
pub(super) fn sweep(state: &Path) -> Result<()> {
    let mut ending: Vec<Process> = Vec::new();
    wait::until_even_if_interrupted("the bed's processes end", Duration::from_secs(30), || {
        // A process that is ending loses its mark before its ports and files: remember it.
        ending.retain(|process| process.alive());
        for process in processes(state) {
            process.signal(Signal::SIGKILL)?;
            ending.push(process);
        }
        Ok(ending.is_empty())
    })?;
    for group in control_groups(state) {
        remove_group(&group)?;
    }
    for parent in hierarchies() {
        // Holds on while another bed has containers, which is fine.
        let _ = fs::remove_dir(parent.join(CONTAINERS));
    }
    // The node's mounts are in a mount namespace that has just ended. This is for the ones a
    // person may have made.
    for mount in mounts_below(state)? {
        umount2(&mount, MntFlags::MNT_DETACH).with_context(|| format!("unmount {}", mount.display()))?;
    }
    match fs::remove_dir_all(state) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", state.display()))
        }
        _ => Ok(()),
    }
}

/// Servers, shims and what runs in containers.
fn processes(state: &Path) -> Vec<Process> {
    // Databases write their titles over the mark; what they started ends with them.
    let servers = Registry::new(state).servers().into_iter();
    let servers = servers.map(|(_, server)| server).filter(|server| server.alive());
    // Containers outlive their shims, and know nothing of the mark.
    servers
        .chain(process::marked(state))
        .chain(members(&control_groups(state)))
        .collect()
}

/// The control groups of the bed's containers.
fn control_groups(state: &Path) -> Vec<PathBuf> {
    let mut containers: Vec<_> = CONTAINER_FOLDERS
        .into_iter()
        .flat_map(|folder| subfolders(&state.join(folder)))
        .filter_map(|container| container.file_name().map(ToOwned::to_owned))
        .collect();
    containers.sort_unstable();
    containers.dedup();
    let mut groups = Vec::new();
    for hierarchy in hierarchies() {
        let parent = hierarchy.join(CONTAINERS);
        groups.extend(
            containers
                .iter()
                .map(|container| parent.join(container))
                .filter(|group| group.is_dir()),
        );
    }
    groups
}

/// Version 1 of control groups has many hierarchies, version 2 one.
fn hierarchies() -> Vec<PathBuf> {
    let mut roots = subfolders(Path::new(CGROUPS));
    roots.push(CGROUPS.into());
    roots
}

/// The processes in these groups and those below.
fn members(groups: &[PathBuf]) -> Vec<Process> {
    let mut found = Vec::new();
    for group in groups {
        let ids = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        found.extend(ids.lines().filter_map(|id| Process::find(id.parse().ok()?)));
        found.extend(members(&subfolders(group)));
    }
    found
}

fn remove_group(group: &Path) -> Result<()> {
    for below in subfolders(group) {
        remove_group(&below)?;
    }
    // The kernel lets go of a group a moment after its last process.
    wait::until_even_if_interrupted(group.display(), Duration::from_secs(5), || {
        match fs::remove_dir(group) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
            Err(error) if error.kind() == ErrorKind::ResourceBusy => Ok(false),
            Err(error) => Err(error).with_context(|| format!("remove the control group {}", group.display())),
        }
    })
}

fn subfolders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// Mount points in a folder, innermost first.
fn mounts_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let table = fs::read_to_string("/proc/self/mountinfo").context("read the mount table")?;
    let mut mounts: Vec<PathBuf> = table
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(PathBuf::from)
        .filter(|mount| mount.starts_with(folder))
        .collect();
    mounts.reverse();
    Ok(mounts)
}

/// Processes in the bed's network that people started there.
fn visitors(name: &str) -> Vec<Process> {
    let Some(bed) = Bed::load(name) else {
        return Vec::new();
    };
    let Some(network) = bed.netns.as_ref().and_then(|netns| fs::read_link(netns).ok()) else {
        return Vec::new();
    };
    let own = processes(&bed.state);
    let ids = fs::read_dir("/proc").into_iter().flatten().flatten();
    ids.filter(|entry| fs::read_link(entry.path().join("ns/net")).is_ok_and(|link| link == network))
        .filter_map(|entry| Process::find(entry.file_name().to_str()?.parse().ok()?))
        .filter(|process| !own.contains(process))
        .collect()
}
