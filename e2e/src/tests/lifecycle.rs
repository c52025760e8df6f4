//! The bed's own life: what starts it, what ends it, and what a crash leaves.

use std::fs;
use std::path::Path;
use std::process::{self, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::{Run, Test};
use crate::bed::{self, Bed, TEST_IMAGE};
use crate::{exec, wait};

/// The beds of these tests.
const TWICE: &str = "test-twice";
const KILLED: &str = "test-killed";
const RESTARTED: &str = "test-restarted";
/// Every process a bed starts has this variable, with the bed's folder.
const MARK: &str = "KEYSTEAD_E2E_SERVER_OF";
/// How long a part of a bed may take to come or go.
const PATIENCE: Duration = Duration::from_secs(30);
/// Lines of each server's log in the report of a failure.
const LAST_LINES: usize = 15;

pub(super) fn tests() -> Vec<Test> {
    let test = |name, node, run| Test {
        name,
        node,
        run: Run::Alone(run),
    };
    vec![
        test("bed: up twice is harmless, down leaves nothing", true, || {
            with(TWICE, up_twice)
        }),
        test(
            "bed: what a killed up leaves is cleaned by the next",
            true,
            || with(KILLED, killed),
        ),
        test(
            "bed: OpenBao keeps its data and unseals itself when it is restarted",
            false,
            || with(RESTARTED, restarted),
        ),
    ]
}

fn up_twice(name: &str) -> Result<()> {
    let first = up(name, false)?;
    let pod = start_pod(&first)?;
    let before = marked(name)?;
    ensure!(!before.is_empty(), "a bed has processes, and none was found");
    let network = network(&first)?;

    let second = up(name, false)?;
    ensure!(
        network == self::network(&second)?,
        "the second `up` made another network"
    );
    let after = marked(name)?;
    ensure!(
        before.iter().all(|process| after.contains(process)),
        "the second `up` ended something: {before:?} became {after:?}"
    );
    ask(&second, &["get", "pod", "sleeper"]).context("the pod is still there")?;

    bed::down(name)?;
    nothing_left(name, &network, &[pod])
}

fn killed(name: &str) -> Result<()> {
    let state = bed::state_folder(name)?;
    // This very program, even if its file was replaced meanwhile.
    let program = format!("/proc/{}/exe", process::id());
    let mut child = Command::new(program)
        .args(["up", "--bed", name])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("start `up`")?;
    let half = wait::until("`up` has started the API server", PATIENCE, None, || {
        if let Some(status) = child.try_wait()? {
            bail!("`up` ended before it was killed: {status}");
        }
        Ok(state.join("run/kube-apiserver.json").exists())
    });
    child.kill().context("kill `up`")?;
    child.wait().context("wait for `up`")?;
    half?;

    let left = marked(name)?;
    ensure!(
        left.len() > 1 && Bed::load(name).is_none(),
        "a killed `up` leaves servers, and no bed that counts as up: {left:?}"
    );
    let bed = up(name, false)?;
    bed.check().context("the bed after the killed one")?;
    for process in &left {
        ensure!(
            !alive(*process),
            "process {process} of the killed `up` still runs"
        );
    }
    let network = network(&bed)?;
    bed::down(name)?;
    nothing_left(name, &network, &left)
}

fn restarted(name: &str) -> Result<()> {
    let bed = up(name, true)?;
    let bao = |words: &[&str]| exec::output(bed.command("bao").args(words));
    bao(&["secrets", "enable", "-path=kept", "-version=2", "kv"])?;
    bao(&["kv", "put", "-mount=kept", "thing", "word=still here"])?;
    let before = process_of(&bed, "openbao")?;

    bed.stop_vault()?;
    ensure!(!alive(before), "OpenBao still runs as process {before}");
    ensure!(
        bao(&["kv", "get", "-mount=kept", "thing"]).is_err(),
        "an OpenBao that has ended has answered"
    );
    bed.start_vault()?;
    ensure!(
        process_of(&bed, "openbao")? != before,
        "OpenBao was not started anew"
    );
    let word = bao(&["kv", "get", "-mount=kept", "-field=word", "thing"])?;
    ensure!(
        word.trim_end() == "still here",
        "OpenBao has lost what it had: {word}"
    );
    bed.check()?;

    bed::down(name)?;
    ensure!(marked(name)?.is_empty(), "`down` left {:?}", marked(name)?);
    ensure!(!bed::state_folder(name)?.exists(), "`down` left the bed's folder");
    Ok(())
}

/// Runs a test with a bed of this name, which begins with none and ends with none, however the test
/// ends. A failure carries the ends of the servers' logs.
fn with(name: &str, test: impl FnOnce(&str) -> Result<()>) -> Result<()> {
    bed::down(name)?;
    let result = test(name).map_err(|error| match bed::state_folder(name) {
        Ok(state) => anyhow::anyhow!("{error:#}\n{}", logs(&state)),
        Err(_) => error,
    });
    let down = bed::down(name);
    result.and(down)
}

fn up(name: &str, servers_only: bool) -> Result<Bed> {
    bed::up(&bed::Options {
        name: name.into(),
        servers_only,
        without_env_files: false,
    })
}

/// Runs a pod; answers the process of its container, which knows nothing of the bed.
fn start_pod(bed: &Bed) -> Result<i32> {
    // A sum of seconds, told apart from any other bed's.
    let command = ["sleep", "86400", &process::id().to_string()].map(str::to_owned);
    let run = format!("--image={TEST_IMAGE}");
    ask(
        bed,
        &[
            &["run", "sleeper", &run, "--restart=Never", "--"],
            &command.each_ref().map(String::as_str)[..],
        ]
        .concat(),
    )?;
    let mut found = None;
    wait::until(
        "the pod's process runs",
        PATIENCE,
        Some(&bed.log("kubelet")),
        || {
            found = processes(|folder| {
                let words = fs::read_to_string(folder.join("cmdline")).unwrap_or_default();
                words == format!("{}\0", command.join("\0"))
            })?
            .first()
            .copied();
            Ok(found.is_some())
        },
    )?;
    found.context("the pod's process")
}

/// Nothing of a bed is on this machine: no process, no network, no mount, no file.
fn nothing_left(name: &str, network: &Path, others: &[i32]) -> Result<()> {
    let state = bed::state_folder(name)?;
    let left = marked(name)?;
    ensure!(left.is_empty(), "`down` left the processes {left:?}");
    for process in others {
        ensure!(!alive(*process), "`down` left process {process}");
    }
    let inside = processes(|folder| fs::read_link(folder.join("ns/net")).is_ok_and(|link| link == network))?;
    ensure!(inside.is_empty(), "in the bed's network still: {inside:?}");
    // In whoever's view of the file system: a namespace that lives on would show here.
    let text = state.display().to_string();
    let mounted = processes(|folder| {
        let mounts = fs::read_to_string(folder.join("mountinfo")).unwrap_or_default();
        mounts.lines().any(|line| line.contains(&format!("{text}/")))
    })?;
    ensure!(mounted.is_empty(), "`down` left mounts that {mounted:?} see");
    ensure!(!state.exists(), "`down` left {text}");
    Ok(())
}

/// The processes that carry a bed's mark.
fn marked(name: &str) -> Result<Vec<i32>> {
    let mark = format!("{MARK}={}", bed::state_folder(name)?.display());
    processes(|folder| {
        let environment = fs::read(folder.join("environ")).unwrap_or_default();
        environment
            .split(|byte| *byte == 0)
            .any(|variable| variable == mark.as_bytes())
    })
}

/// The processes of this machine that are like this, by their folder in /proc.
fn processes(like: impl Fn(&Path) -> bool) -> Result<Vec<i32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").context("list processes")? {
        let entry = entry?;
        if let Some(process) = entry.file_name().to_str().and_then(|name| name.parse().ok())
            && like(&entry.path())
        {
            found.push(process);
        }
    }
    Ok(found)
}

/// Whether a process runs. One that has ended and that nobody has waited for does not.
fn alive(process: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// The bed's network, by the number the kernel gave it.
fn network(bed: &Bed) -> Result<std::path::PathBuf> {
    let netns = bed.netns.as_ref().context("a bed with a node has a network")?;
    fs::read_link(netns).context("find the bed's network")
}

/// The process of a server, as the bed has it on record.
fn process_of(bed: &Bed, server: &str) -> Result<i32> {
    let record = fs::read(bed.state.join(format!("run/{server}.json")))?;
    let record: serde_json::Value = serde_json::from_slice(&record)?;
    let pid = record["pid"].as_i64().context("a record names a process")?;
    Ok(i32::try_from(pid)?)
}

fn ask(bed: &Bed, words: &[&str]) -> Result<String> {
    exec::output(bed.command("kubectl").args(words))
}

fn logs(state: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(state.join("logs")).into_iter().flatten().flatten() {
        let log = fs::read_to_string(entry.path()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines
            .get(lines.len().saturating_sub(LAST_LINES)..)
            .unwrap_or_default();
        text = format!(
            "{text}\n── {}\n{}\n",
            entry.file_name().display(),
            last.join("\n")
        );
    }
    text
}
