//! `cargo e2e bench leases`: our sidecar, as it is in the image, and `bao agent`, in the same run, with users of
//! the same database of the same server: how soon each has the new password, or another user, and what it costs.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use keystead_vault::{Client, Connection, Sensitive};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::report::{Measure, Report};
use super::usage::Usage;
use super::{leave, new_bed, program};
use crate::args::BenchProgram as Options;
use crate::rig::inside;
use crate::rig::leases::{Life, World, run};
use crate::rig::program::Program;
use crate::stage::{Site, Stage};
use crate::{interrupt, programs, ui};

/// Leases of one sidecar while its CPU is counted.
const LEASES: usize = 100;
/// How long it is counted.
const COUNTED: Duration = Duration::from_mins(1);
/// Life of a lease, in seconds.
const LIFE: u64 = 300;
/// The longest that anything here takes: `bao agent` looks at a lease when two thirds of it have gone.
const PATIENCE: Duration = Duration::from_secs(2 * LIFE);
/// How often somebody looks.
const POLL: Duration = Duration::from_millis(5);
const STATIC: &str = "static-creds/fixed";

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Ours,
    Agent,
}

/// One that runs.
struct Running {
    who: Who,
    program: Program,
    file: PathBuf,
}

/// Measures and prints. Fails only where a credential does not come in time.
pub fn bench(options: &Options) -> Result<()> {
    let sidecar = program(options.program.as_deref(), "keystead-sidecar")?;
    let cli = programs::cli()?;
    let mut report = Report::new("leases in the sidecar and in `bao agent`, of one database");
    let bed = new_bed(false)?;
    let stage = Stage::new(Site::Bed(Box::new(bed)), false, cli);
    let numbers = 0..LEASES.max(options.runs);
    let roles: Vec<Life> = numbers
        .map(|number| Life {
            name: role(number),
            first: LIFE,
            longest: 100 * LIFE,
        })
        .collect();
    let measured = run(&stage, "bench", &roles, |world| {
        let bench = Bench { world, sidecar };
        bench.let_agent_renew()?;
        bench.rotation(options.runs.max(1), &mut report)?;
        bench.revocation(options.runs.max(1), &mut report)?;
        bench.cpu(&mut report)
    });
    leave()?;
    // What was measured before something failed is worth seeing.
    report.publish(options.json.as_deref())?;
    measured
}

struct Bench<'a> {
    world: &'a World<'a>,
    sidecar: PathBuf,
}

impl Bench<'_> {
    /// `bao agent` names the lease in the body of a renewal, which our policies let nobody do.
    fn let_agent_renew(&self) -> Result<()> {
        let World { rig, server, .. } = self.world;
        let role = rig.role(&format!("{}-shop", rig.id), "web");
        let ours = server.ask(&format!("bao policy read {role}"))?;
        let policy = format!("{ours}\npath \"sys/leases/renew\" {{ capabilities = [\"update\"] }}\n");
        server.write(&format!("sys/policies/acl/{role}"), &json!({ "policy": policy }))
    }

    /// From the moment in which Vault has another password to that in which the file has it.
    fn rotation(&self, runs: usize, report: &mut Report) -> Result<()> {
        ui::note("━━ a static user's password changes");
        let mut both = [
            self.start(Who::Ours, "static", &[STATIC])?,
            self.start(Who::Agent, "static", &[STATIC])?,
        ];
        let files: Vec<PathBuf> = both.iter().map(|running| running.file.clone()).collect();
        let bed = self.world.rig.stage.bed().context("a benchmark has a bed")?;
        let connection = Connection {
            address: self.world.server.address.clone(),
            ..Connection::default()
        };
        let token = Sensitive::new(self.world.server.token.clone());
        let took = inside(bed, move |inside| {
            let client = Client::new(&connection)?;
            client.set_token(&token)?;
            let password = || inside.runtime.block_on(password(&client));
            (0..runs)
                .map(|_| reactions(&files, &password))
                .collect::<Result<Vec<_>>>()
        })?;
        for [ours, theirs] in took {
            for (who, took) in [(Who::Ours, ours), (Who::Agent, theirs)] {
                add(
                    report,
                    who,
                    "reaction to a password that was rotated",
                    "ms",
                    1000.0 * took.as_secs_f64(),
                );
            }
        }
        both.iter_mut().try_for_each(|running| running.program.stop())
    }

    /// From the revocation of all leases to another user in each file.
    fn revocation(&self, runs: usize, report: &mut Report) -> Result<()> {
        ui::note("━━ a lease is revoked behind everybody's back");
        let mut all = Vec::new();
        for run in 0..runs {
            let path = format!("creds/{}", role(run));
            for who in [Who::Ours, Who::Agent] {
                all.push(self.start(who, &format!("revoked-{run}"), &[&path])?);
            }
        }
        let before: Result<Vec<String>, _> = all
            .iter()
            .map(|running| fs::read_to_string(&running.file))
            .collect();
        let before = before?;
        let begun = Instant::now();
        self.world
            .server
            .ask("bao lease revoke -sync -prefix database/creds")?;
        let mut took = vec![None; all.len()];
        wait(|| {
            for ((running, before), took) in all.iter().zip(&before).zip(&mut took) {
                if took.is_none() && fs::read_to_string(&running.file)? != *before {
                    *took = Some(begun.elapsed());
                }
            }
            Ok(took.iter().all(Option::is_some))
        })?;
        for (running, took) in all.iter_mut().zip(took) {
            let seconds = took.unwrap_or_default().as_secs_f64();
            add(
                report,
                running.who,
                "reaction to a lease that was revoked",
                "s",
                seconds,
            );
            running.program.stop()?;
        }
        Ok(())
    }

    /// CPU of both, side by side, while they keep their leases.
    fn cpu(&self, report: &mut Report) -> Result<()> {
        ui::note(format_args!("━━ CPU with {LEASES} leases"));
        let paths: Vec<String> = (0..LEASES)
            .map(|number| format!("creds/{}", role(number)))
            .collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let mut both = [
            self.start(Who::Ours, "cpu", &paths)?,
            self.start(Who::Agent, "cpu", &paths)?,
        ];
        let used = |running: &Running| Usage::of(&running.program);
        let before = [used(&both[0])?.cpu, used(&both[1])?.cpu];
        let end = Instant::now() + COUNTED;
        while Instant::now() < end {
            interrupt::check()?;
            thread::sleep(Duration::from_millis(100));
        }
        for (running, before) in both.iter_mut().zip(before) {
            let now = used(running)?;
            add(
                report,
                running.who,
                "CPU over 60 s with 100 leases",
                "s",
                now.cpu - before,
            );
            add(
                report,
                running.who,
                "resident memory with 100 leases",
                "MB",
                now.resident,
            );
            running.program.stop()?;
        }
        Ok(())
    }

    /// Starts one and waits until it has written all files; answers the first of them.
    fn start(&self, who: Who, name: &str, paths: &[&str]) -> Result<Running> {
        let sidecar = self.world.sidecar(&format!("{who:?}-{name}"), paths)?;
        let files = sidecar.folder.join("files");
        let wanted: Vec<PathBuf> = paths
            .iter()
            .map(|path| files.join(format!("{path}.json")))
            .collect();
        let agent = sidecar.folder.join("agent.hcl");
        fs::write(&agent, self.agent_config(&sidecar.folder, paths, &wanted))?;
        let bed = self.world.rig.stage.bed().context("a benchmark has a bed")?;
        let file = match who {
            Who::Ours => &self.sidecar,
            Who::Agent => &bed.tools.bao,
        };
        let mut program =
            Program::start_file(self.world.rig.stage, file, &sidecar.log(), |command| match who {
                Who::Ours => {
                    command
                        .arg("run")
                        .env("KEYSTEAD_CONFIG", &sidecar.config)
                        .env("KEYSTEAD_FILES_DIR", &files)
                        .env("KEYSTEAD_PRIVATE_DIR", sidecar.folder.join("private"))
                        .env("KEYSTEAD_TOKEN_DIR", sidecar.folder.join("token"));
                }
                Who::Agent => {
                    command.args([
                        "agent",
                        "-log-level=warn",
                        &format!("-config={}", agent.display()),
                    ]);
                }
            })?;
        wait(|| {
            program.check()?;
            Ok(wanted.iter().all(|file| file.exists()))
        })?;
        Ok(Running {
            who,
            program,
            file: wanted.into_iter().next().context("a file")?,
        })
    }

    fn agent_config(&self, folder: &Path, paths: &[&str], wanted: &[PathBuf]) -> String {
        let rig = self.world.rig;
        let method = json!({
            "type": "kubernetes",
            "mount_path": format!("auth/{}", rig.mount()),
            "config": {
                "role": rig.role(&format!("{}-shop", rig.id), "web"),
                "token_path": folder.join("token/vault"),
            },
        });
        let templates = paths.iter().zip(wanted).map(|(path, file)| {
            let contents = format!(
                "{{{{ with secret \"database/{path}\" }}}}{{{{ .Data.username }}}} {{{{ .Data.password }}}}{{{{ end }}}}"
            );
            json!({"contents": contents, "destination": file})
        });
        let templates: Vec<Value> = templates.collect();
        json!({
            "vault": {"address": self.world.server.address},
            "auto_auth": {"method": [method]},
            "template": templates,
        })
        .to_string()
    }
}

/// The static user's password, as Vault has it.
async fn password(client: &Client) -> Result<String> {
    let found: Value = client.read(&format!("database/{STATIC}")).await?;
    let password = found["password"].as_str();
    password
        .map(str::to_owned)
        .context("a static user has a password")
}

/// Waits for the next password; answers how long each of two files was without it.
fn reactions(files: &[PathBuf], password: &dyn Fn() -> Result<String>) -> Result<[Duration; 2]> {
    let before = password()?;
    let mut now = before.clone();
    wait(|| {
        now = password()?;
        Ok(now != before)
    })?;
    let begun = Instant::now();
    let mut took = [None; 2];
    wait(|| {
        for (file, took) in files.iter().zip(&mut took) {
            if took.is_none() && fs::read_to_string(file)?.contains(&now) {
                *took = Some(begun.elapsed());
            }
        }
        Ok(took.iter().all(Option::is_some))
    })?;
    Ok(took.map(Option::unwrap_or_default))
}

fn add(report: &mut Report, who: Who, title: &str, unit: &'static str, value: f64) {
    let title = match who {
        Who::Ours => title.to_owned(),
        Who::Agent => format!("{title}, `bao agent`"),
    };
    let measure = Measure {
        row: "leases".to_owned(),
        title,
        unit,
        bound: None,
    };
    report.add(measure, value);
}

fn role(number: usize) -> String {
    format!("role-{number:03}")
}

/// Waits until something is so; answers for how long.
fn wait(mut condition: impl FnMut() -> Result<bool>) -> Result<Duration> {
    let begun = Instant::now();
    while !condition()? {
        interrupt::check()?;
        ensure!(
            begun.elapsed() < PATIENCE,
            "waited {} s in vain",
            PATIENCE.as_secs()
        );
        thread::sleep(POLL);
    }
    Ok(begun.elapsed())
}
