//! `cargo e2e bench sidecar`: our sidecar, as it is in the image, and `bao agent`, in the same run, with
//! the same secrets of the same server, over TLS, logged in by the same service account.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::report::{Bound, Limit, Measure, Report, median};
use super::usage::Usage;
use super::{leave, new_servers, program, size};
use crate::args::BenchProgram as Options;
use crate::bed::Bed;
use crate::rig::manifest::{account, binding_of, credential, global, namespace, value};
use crate::rig::program::Program;
use crate::rig::{self, Method, Rig};
use crate::stage::{Site, Stage};
use crate::{interrupt, programs, ui};

/// How many secrets there are, and how many times less memory and time ours must take than the other.
const ROWS: [(usize, f64, f64); 3] = [(1, 16.0, 10.0), (10, 15.0, 6.0), (100, 14.0, 3.0)];
/// Secrets of one binding: there may be 64.
const BOUND: usize = 50;
/// How long both are left alone before their memory is read.
const REST: Duration = Duration::from_secs(10);
/// How long their CPU is counted, with 100 secrets.
const COUNTED: Duration = Duration::from_mins(1);
/// How many times less CPU ours must take then.
const LESS_CPU: f64 = 20.0;
/// How often both look for changes while that is counted, and otherwise.
const REFRESH: [Duration; 2] = [Duration::from_secs(10), Duration::from_mins(5)];
/// How often somebody looks whether the files are there.
const POLL: Duration = Duration::from_micros(200);
/// The longest that files may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Ours,
    Agent,
}

/// What both need.
struct Bench<'a> {
    rig: &'a Rig<'a>,
    bed: &'a Bed,
    sidecar: PathBuf,
    /// The service account's token.
    token: PathBuf,
}

/// One that runs, and its folder.
struct Running {
    program: Program,
    folder: PathBuf,
    took: Duration,
}

/// Measures and prints. Fails only where files do not come in time.
pub fn bench(options: &Options) -> Result<()> {
    let sidecar = program(options.program.as_deref(), "keystead-sidecar")?;
    let cli = programs::cli()?;
    let mut report = Report::new("the sidecar and `bao agent` on one server");
    report.add(
        measure("binary", "size", "MB", Some(Limit::AtMost(5.0))),
        size(&sidecar)?,
    );
    let bed = new_servers()?;
    let stage = Stage::new(Site::Bed(Box::new(bed.clone())), false, cli);
    let measured = rig::run(&stage, "bench", Method::Kubernetes, |rig| {
        let bench = Bench::new(rig, &bed, sidecar)?;
        for row in ROWS {
            bench.compare(row, options.runs.max(1), &mut report)?;
        }
        bench.compare_cpu(options.runs.max(1), &mut report)
    });
    leave()?;
    // What was measured before something failed is worth seeing.
    report.publish(options.json.as_deref())?;
    measured
}

impl<'a> Bench<'a> {
    /// Declares a hundred services and an account that gets them all, and has an operator see to it.
    fn new(rig: &'a Rig<'a>, bed: &'a Bed, sidecar: PathBuf) -> Result<Self> {
        let names: Vec<String> = (0..ROWS[2].0).map(service).collect();
        let mut manifests = vec![
            namespace("shop", ""),
            account("shop", "web"),
            rig.provider(),
            global(),
        ];
        manifests.extend(
            names
                .iter()
                .map(|name| credential("shop", name, "global", name, &value("api_key", &secret(name)))),
        );
        let mut bindings = Vec::new();
        for (number, names) in names.chunks(BOUND).enumerate() {
            let secrets: Vec<String> = names
                .iter()
                .map(|name| format!("{{name: {name}, service: {name}}}"))
                .collect();
            manifests.push(binding_of("shop", &format!("web-{number}"), "web", &secrets));
            bindings.push(format!("secretbinding/web-{number} -n @id@-shop"));
        }
        rig.apply(&manifests.concat())?;
        let mut operator = rig.operator()?;
        for name in &names {
            rig.ready(&[&format!("credential/{name} -n @id@-shop")])?;
        }
        for binding in &bindings {
            rig.ready(&[binding])?;
        }
        operator.stop()?;
        let token = rig.path("token");
        fs::create_dir(&token)?;
        let jwt = rig.service_account_token(&format!("{}-shop", rig.id), "web")?;
        fs::write(token.join("vault"), jwt)?;
        Ok(Self {
            rig,
            bed,
            sidecar,
            token,
        })
    }

    /// From exec to files, one after the other; then memory, all at once.
    fn compare(&self, row: (usize, f64, f64), runs: usize, report: &mut Report) -> Result<()> {
        let (secrets, less_memory, less_time) = row;
        let name = format!("{secrets} secrets");
        ui::note(format_args!("━━ {name}"));
        let mut times = [Vec::new(), Vec::new()];
        for run in 0..runs {
            for (who, times) in [Who::Ours, Who::Agent].into_iter().zip(&mut times) {
                let mut running = self.start(who, secrets, &format!("time-{secrets}-{run}"), REFRESH[1])?;
                times.push(1000.0 * running.took.as_secs_f64());
                running.program.stop()?;
            }
        }
        ratio(
            report,
            &name,
            "exec to all files written",
            "ms",
            &times,
            less_time,
        );
        let mut all = Vec::new();
        for run in 0..runs {
            for who in [Who::Ours, Who::Agent] {
                let running = self.start(who, secrets, &format!("rest-{secrets}-{run}"), REFRESH[1])?;
                all.push((who, running));
            }
        }
        rest(REST)?;
        let mut memory = [Vec::new(), Vec::new()];
        for (who, running) in &all {
            memory[usize::from(*who == Who::Agent)].push(Usage::of(&running.program)?.resident);
        }
        ratio(
            report,
            &name,
            "resident memory at rest",
            "MB",
            &memory,
            less_memory,
        );
        all.iter_mut().try_for_each(|(_, running)| running.program.stop())
    }

    /// CPU of both, side by side, while they look for changes.
    fn compare_cpu(&self, runs: usize, report: &mut Report) -> Result<()> {
        let secrets = ROWS[2].0;
        let mut used = [Vec::new(), Vec::new()];
        for run in 0..runs {
            ui::note(format_args!("━━ CPU, run {} of {runs}", run + 1));
            let name = format!("cpu-{run}");
            let mut both = [
                self.start(Who::Ours, secrets, &name, REFRESH[0])?,
                self.start(Who::Agent, secrets, &name, REFRESH[0])?,
            ];
            let cpu = |running: &Running| Ok::<_, anyhow::Error>(Usage::of(&running.program)?.cpu);
            let before = [cpu(&both[0])?, cpu(&both[1])?];
            rest(COUNTED)?;
            for (index, running) in both.iter_mut().enumerate() {
                used[index].push(cpu(running)? - before[index]);
                running.program.stop()?;
            }
        }
        ratio(
            report,
            "100 secrets, refresh every 10 s",
            "CPU over 60 s",
            "s",
            &used,
            LESS_CPU,
        );
        Ok(())
    }

    /// Starts one and waits until it has written all files.
    fn start(&self, who: Who, secrets: usize, name: &str, refresh: Duration) -> Result<Running> {
        let folder = self.rig.path(&format!("{who:?}-{name}"));
        for part in ["files", "private"] {
            fs::create_dir_all(folder.join(part))?;
        }
        let log = self.rig.path(&format!("{who:?}-{name}.log"));
        let wanted: Vec<PathBuf> = (0..secrets)
            .map(|number| folder.join("files").join(service(number)))
            .collect();
        let prepared = match who {
            Who::Ours => self.config(secrets, refresh)?.to_string(),
            Who::Agent => {
                let file = folder.join("agent.hcl");
                fs::write(&file, self.agent_config(&wanted, refresh))?;
                format!("-config={}", file.display())
            }
        };
        let program = match who {
            Who::Ours => &self.sidecar,
            Who::Agent => &self.bed.tools.bao,
        };
        let began = Instant::now();
        let mut program = Program::start_file(self.rig.stage, program, &log, |command| match who {
            Who::Ours => {
                command
                    .arg("run")
                    .env("KEYSTEAD_CONFIG", &prepared)
                    .env("KEYSTEAD_FILES_DIR", folder.join("files"))
                    .env("KEYSTEAD_PRIVATE_DIR", folder.join("private"))
                    .env("KEYSTEAD_TOKEN_DIR", &self.token);
            }
            Who::Agent => {
                command.args(["agent", "-log-level=warn", &prepared]);
            }
        })?;
        for file in &wanted {
            while !file.exists() {
                program.check()?;
                if began.elapsed() > PATIENCE {
                    bail!("{who:?} did not write {}: {}", file.display(), program.log());
                }
                thread::sleep(POLL);
            }
        }
        let took = began.elapsed();
        check(&wanted)?;
        Ok(Running {
            program,
            folder,
            took,
        })
    }

    /// What the webhook would write.
    fn config(&self, secrets: usize, refresh: Duration) -> Result<Value> {
        let rig = self.rig;
        let each = |one: &dyn Fn(String) -> Value| -> Vec<Value> {
            (0..secrets).map(|number| one(service(number))).collect()
        };
        Ok(json!({
            "version": 1,
            "vault": {
                "address": self.bed.vault_address,
                "ca": fs::read_to_string(&self.bed.vault_ca)?,
                "authMount": rig.mount(),
                "role": rig.role(&format!("{}-shop", rig.id), "web"),
                "kvMount": "kv",
                "pathPrefix": rig.id,
                "environment": "production",
                "scopes": [{"level": "Global"}],
            },
            "secrets": each(&|name| json!({"name": name, "from": {"service": name}})),
            "files": each(&|name| json!({"path": name, "format": "Raw", "secret": name, "key": "api_key"})),
            "fileMode": 0o440,
            "refreshMillis": u64::try_from(refresh.as_millis())?,
        }))
    }

    /// The same for `bao agent`.
    fn agent_config(&self, wanted: &[PathBuf], refresh: Duration) -> String {
        let (rig, bed) = (self.rig, self.bed);
        let role = rig.role(&format!("{}-shop", rig.id), "web");
        let mut text = format!(
            "vault {{\n  address = {address:?}\n  ca_cert = {ca:?}\n}}\n\
             auto_auth {{\n  method \"kubernetes\" {{\n    mount_path = \"auth/{mount}\"\n    config = {{\n      \
             role = {role:?}\n      token_path = {token:?}\n    }}\n  }}\n}}\n\
             template_config {{\n  static_secret_render_interval = \"{seconds}s\"\n}}\n",
            address = bed.vault_address,
            ca = bed.vault_ca.to_string_lossy(),
            mount = rig.mount(),
            token = self.token.join("vault").to_string_lossy(),
            seconds = refresh.as_secs(),
        );
        for (number, file) in wanted.iter().enumerate() {
            let path = rig.kv("data", &format!("production/global/all/{}", service(number)));
            let file = file.to_string_lossy();
            let _ = write!(
                text,
                "template {{\n  contents = <<EOT\n{{{{ with secret {path:?} }}}}{{{{ .Data.data.api_key }}}}{{{{ end }}}}\nEOT\n  \
                 destination = {file:?}\n}}\n"
            );
        }
        text
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A hundred of them would fill the machine's memory; who fails has other worries.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Holds that the files have the values, so that equal work is compared.
fn check(wanted: &[PathBuf]) -> Result<()> {
    for file in wanted {
        let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        if text.trim_end() != secret(&name) {
            bail!("{} holds something else", file.display());
        }
    }
    Ok(())
}

fn service(number: usize) -> String {
    format!("service-{number:03}")
}

fn secret(service: &str) -> String {
    format!("an-api-key-of-{service}")
}

/// Reports both, and how many times less ours is.
fn ratio(report: &mut Report, row: &str, title: &str, unit: &'static str, values: &[Vec<f64>; 2], less: f64) {
    let [ours, theirs] = values;
    for value in ours {
        report.add(measure(row, title, unit, None), *value);
    }
    for value in theirs {
        let title = format!("{title}, `bao agent`");
        report.add(measure(row, &title, unit, None), *value);
    }
    let title = format!("{title}: times less");
    let limit = Some(Limit::AtLeast(less));
    report.add(
        measure(row, &title, "times", limit),
        median(theirs) / median(ours),
    );
}

fn measure(row: &str, title: &str, unit: &'static str, limit: Option<Limit>) -> Measure {
    Measure {
        row: row.to_owned(),
        title: title.to_owned(),
        unit,
        bound: limit.map(|limit| Bound { limit, peer: "" }),
    }
}

fn rest(time: Duration) -> Result<()> {
    let end = Instant::now() + time;
    while Instant::now() < end {
        interrupt::check()?;
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}
