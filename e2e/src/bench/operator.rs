//! `cargo e2e bench operator`. Each run of a row has servers of its own that know nothing yet, and
//! the operator as it is in the image.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum as _;
use jiff::Timestamp;
use tokio::time::Instant;

use super::load::{self, Load};
use super::observe::{Answered, Audit, ReadyWatch, cluster_writes, look, pause, until_idle};
use super::report::Report;
use super::usage::Usage;
use super::what::{What, measure, name};
use super::{leave, new_servers, program};
use crate::args::{BenchOperator as Options, Row};
use crate::bed::Bed;
use crate::rig::program::{Program, free_port};
use crate::rig::{self, Method, Rig, manifest};
use crate::stage::{Site, Stage};
use crate::{programs, ui};

/// How long an operator is watched that has nothing to do.
const REST: Duration = Duration::from_mins(1);
/// The longest that starting may take, whatever there is to do.
const PATIENCE: Duration = Duration::from_mins(1);
/// The longest that one object may take.
const PATIENCE_EACH: Duration = Duration::from_millis(50);

/// What every row needs.
struct Bench {
    /// The operator.
    program: PathBuf,
    cli: PathBuf,
    runs: usize,
    /// Objects of a row of one kind.
    objects: usize,
}

/// An operator that runs.
struct Running {
    program: Program,
    /// Where its metrics are.
    port: u16,
    /// When it was started.
    began: Instant,
    /// The same, as clocks on walls say it.
    at: Timestamp,
    audit: Audit,
    /// What Vault has answered to it, as far as that was read.
    answered: Vec<Answered>,
}

/// The report, and how many objects it speaks of.
struct OperatorReport {
    objects: usize,
    report: Report,
}

impl OperatorReport {
    fn add(&mut self, row: Row, what: What, value: f64) {
        self.report.add(measure(row, what, self.objects), value);
    }
}

/// Measures and prints. Fails only where an object does not become Ready in time.
pub fn bench(options: &Options) -> Result<()> {
    let bench = Bench {
        program: program(options.program.as_deref(), "keystead-operator")?,
        cli: programs::cli()?,
        runs: options.runs.max(1),
        objects: options.objects.max(1),
    };
    let mut report = OperatorReport {
        objects: bench.objects,
        report: Report::new(format!(
            "{} objects a row (in `many` ten times as many)",
            bench.objects
        )),
    };
    let rows = if options.rows.is_empty() {
        Row::value_variants()
    } else {
        &options.rows
    };
    let measured = rows.iter().try_for_each(|row| bench.measure(*row, &mut report));
    leave()?;
    // What was measured before something failed is worth seeing.
    report.report.publish(options.json.as_deref())?;
    measured
}

// === the rows ===

impl Bench {
    fn measure(&self, row: Row, report: &mut OperatorReport) -> Result<()> {
        match row {
            Row::Credentials => starts(self, report, row, Load::Credentials),
            Row::Bindings => starts(self, report, row, Load::Bindings),
            Row::Sync => starts(self, report, row, Load::Synced),
            Row::Many => many(self, report),
            Row::Foreign => foreign(self, report),
        }
    }
}

/// Objects exist, the operator starts; then it starts again.
fn starts(bench: &Bench, report: &mut OperatorReport, row: Row, load: Load) -> Result<()> {
    let loads = [(load, bench.objects)];
    for run in 1..=bench.runs {
        ui::note(format_args!("━━ {}, run {run} of {}", name(row), bench.runs));
        bench.on_new_servers(&loads, |rig, bed| {
            let mut operator = bench.first_start(rig, bed, &loads, row, report)?;
            operator.program.stop()?;
            bench.second_start(rig, bed, &loads, row, report)
        })?;
    }
    Ok(())
}

/// Ten times as many, once; and what they cost when there is nothing to do.
fn many(bench: &Bench, report: &mut OperatorReport) -> Result<()> {
    ui::note(format_args!("━━ {}", name(Row::Many)));
    let each = bench.objects * 5;
    let loads = [(Load::Credentials, each), (Load::Bindings, each)];
    bench.on_new_servers(&loads, |rig, bed| {
        let mut operator = bench.first_start(rig, bed, &loads, Row::Many, report)?;
        let before = Usage::of(&operator.program)?.cpu;
        let deadline = Instant::now() + REST;
        while Instant::now() < deadline {
            look(&mut operator.program, deadline + REST, "the end of a rest")?;
            pause();
        }
        let used = Usage::of(&operator.program)?.cpu - before;
        report.add(Row::Many, What::Rest, 100.0 * used / REST.as_secs_f64());
        operator.program.stop()?;
        bench.second_start(rig, bed, &loads, Row::Many, report)
    })
}

/// Big Secrets of others: are they kept in memory?
fn foreign(bench: &Bench, report: &mut OperatorReport) -> Result<()> {
    ui::note(format_args!("━━ {}", name(Row::Foreign)));
    let loads = [(Load::Credentials, bench.objects / 10)];
    bench.on_new_servers(&loads, |rig, bed| {
        bench.until_ready(rig, bed, &loads)?.0.program.stop()?;
        for what in [What::PeakWithout, What::PeakWith] {
            if what == What::PeakWith {
                load::foreign_secrets(rig, bed, bench.objects * 5)?;
            }
            for _ in 0..bench.runs {
                let mut operator = bench.start(rig, bed)?;
                operator.see_all(rig, &loads)?;
                report.add(Row::Foreign, what, Usage::of(&operator.program)?.peak);
                operator.program.stop()?;
            }
        }
        Ok(())
    })
}

// === what they are made of ===

impl Bench {
    /// Servers that know of nothing but objects that nobody has looked at yet.
    fn on_new_servers(
        &self,
        loads: &[(Load, usize)],
        measure: impl FnOnce(&Rig<'_>, &Bed) -> Result<()>,
    ) -> Result<()> {
        let bed = new_servers()?;
        let stage = Stage::new(Site::Bed(Box::new(bed.clone())), false, self.cli.clone());
        rig::run(&stage, "bench", Method::Kubernetes, |rig| {
            let common = [
                manifest::namespace("shop", ""),
                rig.provider(),
                manifest::global(),
                manifest::secret("shop", "values", "api_key", "an-api-key-of-24-letters"),
            ];
            rig.apply(&common.concat())?;
            rig.grant("--set sync.enabled=true")?;
            for (load, count) in loads {
                load::declare(rig, &bed, *load, *count)?;
            }
            measure(rig, &bed)
        })
    }

    fn start(&self, rig: &Rig<'_>, bed: &Bed) -> Result<Running> {
        let (port, log) = (free_port()?, rig.path("operator.log"));
        let audit = Audit::follow(bed)?;
        let (began, at) = (Instant::now(), Timestamp::now());
        let program = Program::start_file(rig.stage, &self.program, &log, |command| {
            rig.prepare(command, port);
        })?;
        Ok(Running {
            program,
            port,
            began,
            at,
            audit,
            answered: Vec::new(),
        })
    }

    /// Starts the operator and waits until every object is Ready; answers how many seconds it took.
    fn until_ready(&self, rig: &Rig<'_>, bed: &Bed, loads: &[(Load, usize)]) -> Result<(Running, f64)> {
        let watches: Vec<ReadyWatch> = loads
            .iter()
            .map(|(load, count)| ReadyWatch::start(rig.stage, load.plural(), *count))
            .collect::<Result<_>>()?;
        let mut operator = self.start(rig, bed)?;
        let deadline = deadline(loads);
        let mut last = operator.began;
        for watch in &watches {
            last = last.max(watch.wait(&mut operator.program, deadline)?);
        }
        let took = (last - operator.began).as_secs_f64();
        Ok((operator, took))
    }

    /// The same, reported.
    fn first_start(
        &self,
        rig: &Rig<'_>,
        bed: &Bed,
        loads: &[(Load, usize)],
        row: Row,
        report: &mut OperatorReport,
    ) -> Result<Running> {
        let (operator, took) = self.until_ready(rig, bed, loads)?;
        let usage = Usage::of(&operator.program)?;
        report.add(row, What::Ready, took);
        report.add(row, What::Cpu, usage.cpu);
        report.add(row, What::Peak, usage.peak);
        Ok(operator)
    }

    /// Starts the operator again, with nothing to do but to see that.
    fn second_start(
        &self,
        rig: &Rig<'_>,
        bed: &Bed,
        loads: &[(Load, usize)],
        row: Row,
        report: &mut OperatorReport,
    ) -> Result<()> {
        let writes = cluster_writes(rig.stage)?;
        let mut operator = self.start(rig, bed)?;
        let idle = until_idle(bed, &mut operator.program, operator.port, deadline(loads))?;
        report.add(row, What::Settled, (idle - operator.began).as_secs_f64());
        report.add(row, What::SettledCpu, Usage::of(&operator.program)?.cpu);
        let after = operator.see_all(rig, loads)?;
        let usage = Usage::of(&operator.program)?;
        // It finishes what is under way, so what it would write is written when it has ended.
        operator.program.stop()?;
        operator.read_audit(rig)?;
        report.add(row, What::LookedAt, after);
        report.add(row, What::LookCpu, usage.cpu);
        report.add(row, What::LookPeak, usage.peak);
        report.add(row, What::VaultWrites, operator.count(Answered::wrote));
        report.add(row, What::ClusterWrites, cluster_writes(rig.stage)? - writes);
        report.add(row, What::OwnToken, operator.count(Answered::is_own_token));
        Ok(())
    }
}

impl Running {
    /// Waits until it has read every object in Vault, and answers how many seconds after its start
    /// that was. The audit file is read only while nobody writes to it: reading costs time, too.
    fn see_all(&mut self, rig: &Rig<'_>, loads: &[(Load, usize)]) -> Result<f64> {
        let deadline = deadline(loads);
        let mut length = self.audit.length()?;
        loop {
            look(
                &mut self.program,
                deadline,
                "the operator reads every object in Vault",
            )?;
            pause();
            let before = std::mem::replace(&mut length, self.audit.length()?);
            if before != length {
                continue;
            }
            self.read_audit(rig)?;
            if let Some(last) = seen_all(&self.answered, rig, loads) {
                return Ok(last.time()?.duration_since(self.at).as_secs_f64());
            }
        }
    }

    fn read_audit(&mut self, rig: &Rig<'_>) -> Result<()> {
        let policy = format!("keystead-operator-{}", rig.id);
        self.answered.extend(self.audit.answered(&policy)?);
        Ok(())
    }

    fn count(&self, test: impl Fn(&Answered) -> bool) -> f64 {
        let entries = self.answered.iter().filter(|entry| test(entry));
        entries.fold(0.0, |count, _| count + 1.0)
    }
}

/// What was answered when the last of all objects was read; none while some were not.
fn seen_all<'a>(answered: &'a [Answered], rig: &Rig<'_>, loads: &[(Load, usize)]) -> Option<&'a Answered> {
    let places: Vec<String> = loads.iter().flat_map(|(load, _)| load.places(rig)).collect();
    let mut missing: usize = loads
        .iter()
        .map(|(load, count)| load.places(rig).len() * count)
        .sum();
    let mut seen = BTreeSet::new();
    for entry in answered.iter().filter(|entry| entry.read()) {
        let path = entry.request.path.as_str();
        if places.iter().any(|place| path.starts_with(place)) && seen.insert(path) {
            missing -= 1;
            if missing == 0 {
                return Some(entry);
            }
        }
    }
    None
}

fn deadline(loads: &[(Load, usize)]) -> Instant {
    let objects: usize = loads.iter().map(|(_, count)| count).sum();
    Instant::now() + PATIENCE + PATIENCE_EACH * u32::try_from(objects).unwrap_or(u32::MAX)
}
