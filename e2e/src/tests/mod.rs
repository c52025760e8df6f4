//! `cargo e2e test`: every test in one command. Unit tests, tests against real servers, and the
//! stories on the real node.

mod admission;
mod api;
mod chart;
mod cli;
mod engine;
mod kinds;
mod leases;
mod lifecycle;
mod old;
mod operator;
mod own;
mod pages;
mod pods;
mod policies;
mod release;
mod report;
mod sidecar;
mod specs;

use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::time::Instant;

use crate::args::Test as Options;
use crate::bed::{self, Bed};
use crate::rig::{self, manifest, program};
use crate::stage::{Site, Stage};
use crate::{demo, interrupt, programs, story, ui};
use report::{Outcome, Report};

/// Namespaces that tests use, for the report of a failure.
const OURS: [&str; 2] = ["keystead-system", "shop"];

/// A test: its name, what it needs, what it does.
pub struct Test {
    /// `group: what holds`.
    pub name: &'static str,
    /// Whether it needs pods to run.
    pub node: bool,
    /// The test.
    pub run: Run,
}

impl Test {
    /// A test that needs the servers and no pods.
    fn on_servers(name: &'static str, run: fn(&Stage) -> Result<()>) -> Self {
        Self {
            name,
            node: false,
            run: Run::Bed(run),
        }
    }

    /// A test that needs the databases of a bed with a node, and no pods.
    fn on_databases(name: &'static str, run: fn(&Stage) -> Result<()>) -> Self {
        Self {
            name,
            node: true,
            run: Run::Databases(run),
        }
    }
}

/// How a test is run.
pub enum Run {
    /// `cargo test` of the whole workspace.
    Unit,
    /// Against the tests' bed.
    Bed(fn(&Stage) -> Result<()>),
    /// The same, without our images on its node.
    Databases(fn(&Stage) -> Result<()>),
    /// With a bed of its own.
    Alone(fn() -> Result<()>),
}

/// Runs the tests whose names contain one of the words. Fails if one failed, and with `CI=true`
/// if one was skipped.
pub fn test(options: &Options) -> Result<()> {
    let chosen: Vec<Test> = all()
        .into_iter()
        .filter(|test| is_chosen(test, &options.names))
        .collect();
    if options.list {
        for test in &chosen {
            ui::say(test.name);
        }
        return Ok(());
    }
    if chosen.is_empty() {
        bail!(
            "no test's name contains {}; `cargo e2e test --list` names them",
            options.names.join(" or ")
        );
    }
    let mut report = Report::default();
    let (unit, beds): (Vec<Test>, Vec<Test>) =
        chosen.into_iter().partition(|test| matches!(test.run, Run::Unit));
    for test in unit {
        timed(&mut report, test.name, unit_tests);
    }
    if !beds.is_empty() {
        let result = on_a_bed(&options.bed, &beds, &mut report);
        if !options.keep {
            bed::down(&options.bed)?;
        }
        result?;
    }
    report.close(std::env::var("CI").is_ok_and(|value| value == "true"))
}

/// Every test there is.
fn all() -> Vec<Test> {
    let mut tests = vec![
        Test {
            name: "unit: cargo test --workspace",
            node: false,
            run: Run::Unit,
        },
        Test {
            name: "story: the main job, end to end",
            node: true,
            run: Run::Bed(story::tell),
        },
        Test {
            name: "demo: told on somebody's own cluster",
            node: true,
            run: Run::Alone(own::cluster),
        },
        Test {
            name: "old pods: a cluster without fileKeyRef has gates and variables of another kind",
            node: true,
            run: Run::Alone(old::cluster),
        },
    ];
    // What is quick to fail comes before what is slow to tell.
    let servers = [
        engine::tests(),
        kinds::tests(),
        chart::tests(),
        admission::tests(),
        policies::tests(),
        operator::tests(),
        cli::tests(),
        release::tests(),
        specs::tests(),
        sidecar::tests(),
        leases::tests(),
        pods::tests(),
        pages::tests(),
        lifecycle::tests(),
    ];
    tests.splice(1..1, servers.into_iter().flatten());
    tests
}

fn is_chosen(test: &Test, names: &[String]) -> bool {
    names.is_empty() || names.iter().any(|name| test.name.contains(name.as_str()))
}

/// Starts one bed for all of them. Without root, what needs a node is named as skipped.
fn on_a_bed(name: &str, tests: &[Test], report: &mut Report) -> Result<()> {
    let root = nix::unistd::geteuid().is_root();
    let options = bed::Options {
        name: name.to_owned(),
        servers_only: !root,
        without_env_files: false,
    };
    if Bed::load(name).is_some_and(|kept| demo::has_keystead(&kept)) {
        // A kept bed that has heard the story can't hear it again.
        bed::down(name)?;
    }
    let bed = bed::up(&options)?;
    if root
        && tests
            .iter()
            .any(|test| test.node && matches!(test.run, Run::Bed(_)))
    {
        programs::import(&bed)?;
    }
    let cli = programs::cli()?;
    for test in tests {
        interrupt::check()?;
        if test.node && !root {
            report.add(
                test.name,
                Outcome::Skipped("it needs a node, and a node needs root"),
                Duration::ZERO,
            );
            continue;
        }
        let stage = Stage::new(Site::Bed(Box::new(bed.clone())), false, cli.clone());
        timed(report, test.name, || match test.run {
            Run::Unit => unit_tests(),
            Run::Alone(run) => run(),
            Run::Bed(run) | Run::Databases(run) => {
                run(&stage).map_err(|error| with_evidence(&stage, &bed, &error))
            }
        });
    }
    Ok(())
}

fn timed(report: &mut Report, name: &str, run: impl FnOnce() -> Result<()>) {
    let start = Instant::now();
    let outcome = match run() {
        Ok(()) => Outcome::Passed,
        Err(error) => Outcome::Failed(format!("{error:#}")),
    };
    report.add(name, outcome, start.elapsed());
}

fn unit_tests() -> Result<()> {
    let status = programs::command()
        .args(["test", "--workspace", "--locked", "--quiet"])
        .status()
        .context("start cargo test")?;
    if !status.success() {
        bail!("cargo test failed; its output is above");
    }
    Ok(())
}

/// What helps to understand a failure: what was done, the events, and our own logs.
fn with_evidence(stage: &Stage, bed: &Bed, error: &anyhow::Error) -> anyhow::Error {
    let mut text = format!("{error:#}\n\n── what was done\n{}\n", stage.transcript());
    let mut add = |title: &str, line: &str| {
        let answer = stage.ask(line).unwrap_or_else(|error| format!("({error:#})"));
        text = format!("{text}\n── {title}\n{answer}\n");
    };
    add("conditions", "kubectl get keystead -A");
    add("pods", "kubectl get pods -A -o wide");
    add("events", "kubectl get events -A --sort-by=.lastTimestamp");
    for namespace in stage
        .ask("kubectl get namespaces -o 'jsonpath={.items[*].metadata.name}'")
        .unwrap_or_default()
        .split(' ')
    {
        if OURS.iter().any(|ours| namespace.contains(ours)) {
            add(
                &format!("logs in {namespace}"),
                &format!(
                    "kubectl -n {namespace} logs --selector=!nothing --all-containers --prefix --tail=40"
                ),
            );
        }
    }
    text = format!(
        "{text}\nThe servers\' logs are in {}/logs; keep the bed with --keep.",
        bed.state.display()
    );
    anyhow::Error::msg(text)
}
