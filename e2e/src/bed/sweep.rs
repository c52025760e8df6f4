//! Taking a bed down, and cleaning up after one that was killed: both find what is left by marks
//! the bed put on everything, so neither needs to know how far the bed had come.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::Signal;

use super::node::cgroup;
use super::process::{self, Process};
use super::{Bed, lock, state_folder, state_root};
use crate::{ui, wait};

const CGROUPS: &str = "/sys/fs/cgroup";

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
    sweep(name, &state)?;
    // Fails while another bed lives there, which is fine.
    let _ = fs::remove_dir(state_root()?);
    drop(lock);
    step.done();
    if !visitors.is_empty() {
        let ids: Vec<String> = visitors.iter().map(|process| process.pid.to_string()).collect();
        ui::note(format_args!("Not the bed's, so left alone, but still in its network: {}", ids.join(" ")));
    }
    Ok(())
}

/// Ends every process of a bed, then removes its control groups, mounts and files.
pub(super) fn sweep(name: &str, state: &Path) -> Result<()> {
    let groups = control_groups(&cgroup(name));
    wait::until_even_if_interrupted("the bed's processes end", Duration::from_secs(30), || {
        let left: Vec<Process> = process::marked(state).into_iter().chain(members(&groups)).collect();
        for process in &left {
            process.signal(Signal::SIGKILL)?;
        }
        Ok(left.is_empty())
    })?;
    for group in &groups {
        remove_group(group)?;
    }
    // The node's mounts are in a mount namespace that has just ended. This is for the ones a
    // person may have made.
    for mount in mounts_below(state)? {
        umount2(&mount, MntFlags::MNT_DETACH).with_context(|| format!("unmount {}", mount.display()))?;
    }
    match fs::remove_dir_all(state) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).with_context(|| format!("remove {}", state.display())),
        _ => Ok(()),
    }
}

/// The bed's control group in each hierarchy (version 1 has many, version 2 one).
fn control_groups(name: &str) -> Vec<PathBuf> {
    let hierarchies = fs::read_dir(CGROUPS).into_iter().flatten().flatten().map(|entry| entry.path());
    hierarchies.chain([CGROUPS.into()]).map(|hierarchy| hierarchy.join(name)).filter(|group| group.is_dir()).collect()
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
    wait::until_even_if_interrupted(group.display(), Duration::from_secs(5), || match fs::remove_dir(group) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) if error.kind() == ErrorKind::ResourceBusy => Ok(false),
        Err(error) => Err(error).with_context(|| format!("remove the control group {}", group.display())),
    })
}

fn subfolders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
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
    let Some(bed) = Bed::load(name) else { return Vec::new() };
    let Some(network) = bed.netns.as_ref().and_then(|netns| fs::read_link(netns).ok()) else { return Vec::new() };
    let own = process::marked(&bed.state);
    let contained = members(&control_groups(&cgroup(name)));
    let ids = fs::read_dir("/proc").into_iter().flatten().flatten();
    ids.filter(|entry| fs::read_link(entry.path().join("ns/net")).is_ok_and(|link| link == network))
        .filter_map(|entry| Process::find(entry.file_name().to_str()?.parse().ok()?))
        .filter(|process| !own.contains(process) && !contained.contains(process))
        .collect()
}
