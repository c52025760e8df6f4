//! The clients that applications may use, against the sidecar itself.

use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use keystead_client::{Error, Secrets};

use super::super::manifest::{credential, value};
use super::super::rig::{self, Method};
use super::{CHANGED, MARKED, Pod, everyones};
use crate::stage::{PATIENCE, Stage};
use crate::wait;

/// How often a watch asks here.
const PERIOD: Duration = Duration::from_millis(50);

pub(super) fn both(stage: &Stage) -> Result<()> {
    rig::run(stage, "clients", Method::Kubernetes, |rig| {
        let acme = |text: &str| credential("shop", "acme", "acme", "hubspot", &value("api_key", text));
        let everyone = credential("shop", "everyone", "global", "hubspot", &everyones());
        let pod = Pod::new(rig, &[everyone, acme(MARKED)])?;
        rig.ready(&["credential/acme -n @id@-shop"])?;
        let folder = pod.folder("files");
        let secrets = Secrets::at(&folder);
        ensure!(
            matches!(secrets.get("hubspot", "api_key"), Err(Error::Unavailable(_))),
            "there is no sidecar yet"
        );
        let mut sidecar = pod.start("run")?;
        pod.opens(&mut sidecar)?;
        rust(&secrets)?;

        let log = rig.path("python.log");
        let mut python = python(&folder, &log)?;
        let said = |what: &str, python: &mut Child| {
            wait::until(format_args!("python says {what:?}"), PATIENCE, Some(&log), || {
                let text = std::fs::read_to_string(&log)?;
                if !text.contains(what) && python.try_wait()?.is_some() {
                    bail!("python has ended: {text}");
                }
                Ok(text.contains(what))
            })
        };
        said(&format!("ready\n{MARKED}\n"), &mut python)?;
        let watch = secrets.watch("hubspot", "api_key").every(PERIOD);
        let (sender, told) = mpsc::channel();
        // It ends when nobody hears it any more.
        thread::spawn(move || watch.map(|now| sender.send(now)).all(|sent| sent.is_ok()));

        rig.apply(&acme(CHANGED))?;
        said(&format!("{MARKED}\n{CHANGED}\n"), &mut python)?;
        rig.ask("kubectl -n @id@-shop delete secretbinding web")?;
        said(&format!("{CHANGED}\nAccessDenied\n"), &mut python)?;
        ensure!(python.wait()?.success(), "python failed");
        let told: Vec<Result<String, Error>> = (0..3)
            .map(|_| told.recv_timeout(PATIENCE))
            .map(|now| Ok(now?.map(|secret| secret.value.expose().to_owned())))
            .collect::<Result<_>>()?;
        ensure!(
            matches!(&told[..], [Ok(first), Ok(then), Err(Error::AccessDenied(_))] if first == MARKED && then == CHANGED),
            "the watch told {told:?}"
        );
        sidecar.stop()
    })
}

fn rust(secrets: &Secrets) -> Result<()> {
    let found = secrets.get("hubspot", "api_key")?;
    let scope = found.scope.context("a company's value has a scope")?;
    ensure!(
        (found.value.expose(), found.version) == (MARKED, Some(1))
            && (scope.level.as_str(), scope.id.as_deref()) == ("Company", Some("acme")),
        "it is told wrong"
    );
    let listed = secrets.list()?;
    ensure!(
        listed
            .iter()
            .any(|found| found.service.as_deref() == Some("hubspot") && found.key == "api_key"),
        "the list is {listed:?}"
    );
    ensure!(
        secrets.read("hubspot/api_key")?.expose() == MARKED,
        "a file is read wrong"
    );
    let missing = secrets.get("hubspot", "other");
    let sentence = "no value for hubspot/other in company acme, global";
    ensure!(
        matches!(&missing, Err(Error::NotFound(why)) if why == sentence),
        "of what is missing it tells {missing:?}"
    );
    Ok(())
}

/// The Python client, which looks at the same and then watches.
fn python(folder: &std::path::Path, log: &std::path::Path) -> Result<Child> {
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../clients/python/tests/against_sidecar.py"
    );
    let out = std::fs::File::create(log)?;
    Command::new("python3")
        .arg(script)
        .arg(MARKED)
        .env(keystead_client::FOLDER_ENV, folder)
        .stdin(Stdio::null())
        .stderr(out.try_clone()?)
        .stdout(out)
        .spawn()
        .context("start python3")
}
