//! The life of a release on the real node, as somebody who runs a platform has it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, anyhow, ensure};

use super::{CHART, roles};
use crate::bed::{Bed, TEST_IMAGE};
use crate::rig::chart::RELEASE;
use crate::rig::manifest::{account, credential, global, namespace, value};
use crate::rig::{self, Method, Rig};
use crate::stage::Stage;
use crate::tests::operator::rest;
use crate::{exec, programs};

const WEB: &str = "secretbinding/web -n @id@-shop";
/// What the application has.
const FILE: &str = "kubectl -n @id@-shop exec deploy/web -c app -- cat /keystead/hubspot.env";
/// A value that people write in Vault.
const PLACE: &str = "production/global/all/people";
const FINALIZERS: &str =
    "kubectl -n @id@-shop get credential hubspot -o 'jsonpath={.metadata.finalizers[*]}'";

pub(super) fn whole(stage: &Stage) -> Result<()> {
    rig::run(stage, "helm", Method::Jwt, |rig| {
        let release = Release::new(rig)?;
        release.install()?;
        rig.ask(&format!("helm test {RELEASE} --namespace @id@ --timeout 90s"))?;
        release.is_alone_in_its_class()?;
        roles::aggregated(rig)?;
        let pod = serve(rig)?;

        let pods = Pods::begin(rig)?;
        release.upgrade()?;
        release.roll_back()?;
        pods.end(rig)?;

        release.uninstall()?;
        goes_on(rig, &pod)?;
        release.adopts(&pod)
    })
}

/// A release in the test's own namespace, for the test's own class: the definitions are the bed's.
struct Release<'a> {
    rig: &'a Rig<'a>,
    values: PathBuf,
}

impl<'a> Release<'a> {
    fn new(rig: &'a Rig<'a>) -> Result<Self> {
        let values = rig.path("values.yaml");
        let text = "
cluster: @id@
class: @id@
crds: {install: false}
webhook: {namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: In, values: [@id@-shop]}]}}
";
        fs::write(&values, text.replace("@id@", &rig.id))?;
        // What the rig gave an operator that runs on this machine is Helm's to make.
        let granted = ["rbac", "serviceaccount", "tls"].map(|name| format!("-s templates/{name}.yaml"));
        let granted = rig.rendered(&granted.join(" "))?;
        let line = "kubectl delete -f -";
        rig.stage
            .shown(line, &mut rig.stage.command(line), Some(&granted))?;
        rig.ask("kubectl label namespace @id@ pod-security.kubernetes.io/enforce=restricted")?;
        Ok(Self { rig, values })
    }

    fn install(&self) -> Result<()> {
        let values = self.values.display();
        self.rig.ask(&format!(
            "helm install {RELEASE} '{CHART}' --namespace @id@ --values '{values}' --wait --timeout 90s"
        ))?;
        self.runs(&programs::image("operator"))
    }

    /// Another release can't have the class, and can have any other.
    fn is_alone_in_its_class(&self) -> Result<()> {
        let rig = self.rig;
        let values = self.values.display();
        let line = format!(
            "helm install other '{CHART}' --namespace {} --values '{values}' --dry-run=server",
            rig.id
        );
        let said = rig.stage.refused(&line)?.0;
        let sentence = format!("class {} is served already", rig.id);
        ensure!(said.contains(&sentence), "expected {sentence:?} in {said:?}");
        rig.ask(&format!("{line} --set class=@id@-2")).map(drop)
    }

    /// From the tag to the digest of what is the same image.
    fn upgrade(&self) -> Result<()> {
        let (image, digest) = self.by_digest()?;
        self.rig.ask(&format!(
            "helm upgrade {RELEASE} '{CHART}' --namespace @id@ --reset-then-reuse-values --wait --timeout 90s \
             --set image.operator.digest={digest}"
        ))?;
        self.runs(&image)
    }

    fn roll_back(&self) -> Result<()> {
        self.rig.ask(&format!(
            "helm rollback {RELEASE} --namespace @id@ --wait --timeout 90s"
        ))?;
        self.runs(&programs::image("operator"))
    }

    /// The operator is gone, and with it what would hold up a deletion.
    fn uninstall(&self) -> Result<()> {
        let rig = self.rig;
        ensure!(rig.ask(FINALIZERS)? == "keystead.dev/cleanup", "it is held");
        rig.ask(&format!(
            "helm uninstall {RELEASE} --namespace @id@ --wait --timeout 90s"
        ))?;
        ensure!(rig.ask(FINALIZERS)?.is_empty(), "nobody waits for the operator");
        let left = rig.ask(
            "kubectl -n @id@ get all,leases,serviceaccounts,roles,rolebindings,networkpolicies -o name",
        )?;
        let left: Vec<&str> = left.lines().filter(|name| name.contains(RELEASE)).collect();
        let known = [
            "lease.coordination.k8s.io/keystead",
            "serviceaccount/keystead-vault-reviewer",
        ];
        ensure!(
            left.iter().all(|name| known.contains(name)),
            "Helm has left {left:?}"
        );
        let whole = rig.ask("kubectl get clusterroles,clusterrolebindings,mutatingwebhookconfigurations,validatingwebhookconfigurations -o name")?;
        let own = format!("{RELEASE}.{}", rig.id);
        ensure!(
            !whole.contains(&own),
            "Helm has left what is named {own}: {whole}"
        );
        Ok(())
    }

    /// Installed again, it finds all in place: nothing is written in Vault, and no pod is made anew.
    fn adopts(&self, pod: &str) -> Result<()> {
        let (rig, mark) = (self.rig, self.rig.audit_mark()?);
        self.install()?;
        let role = rig.role(&format!("{}-shop", rig.id), "web");
        let mut wanted = [
            format!("sys/policies/acl/{role}"),
            format!("auth/{}/role/{role}", rig.mount()),
            rig.kv("data", "production/global/all/hubspot"),
            rig.kv("data", PLACE),
        ]
        .into();
        rest::looked_at(rig, mark, &mut wanted, || Ok(()))?;
        let line = FINALIZERS.replace("@id@", &rig.id);
        rig.stage
            .until("it is held again", &line, |found| !found.is_empty())?;
        // What is under way is finished before it goes.
        self.uninstall()?;
        rest::wrote_nothing(rig, mark)?;
        ensure!(self::pod(rig)? == pod, "the application's pod is another");
        Ok(())
    }

    /// Waits until there are two replicas of this image and none of another.
    fn runs(&self, image: &str) -> Result<()> {
        let line = "kubectl -n @id@ get pods -l app.kubernetes.io/component=operator \
                    -o 'jsonpath={range .items[*]}{.spec.containers[0].image};{end}'";
        let line = line.replace("@id@", &self.rig.id);
        let wanted = format!("{image};{image};");
        let what = format!("two replicas of {image} are left");
        self.rig
            .stage
            .until(&what, &line, |found| found == wanted)
            .map(drop)
    }

    /// The node knows the operator's image by its digest, too, as it would from a registry.
    fn by_digest(&self) -> Result<(String, String)> {
        let bed = self.rig.stage.bed().context("this test needs a bed")?;
        let (ctr, image) = (bed.tools.ctr.display(), programs::image("operator"));
        let listed = self.rig.ask(&format!("'{ctr}' images ls name=={image}"))?;
        let digest = listed.split_whitespace().find(|word| word.starts_with("sha256:"));
        let digest = digest.context("the image has a digest")?;
        let (repository, _) = image.rsplit_once(':').context("the image has a tag")?;
        let by_digest = format!("{repository}@{digest}");
        self.rig
            .ask(&format!("'{ctr}' images tag --force {image} {by_digest}"))?;
        Ok((by_digest, digest.to_owned()))
    }
}

impl Drop for Release<'_> {
    fn drop(&mut self) {
        // A webhook that nobody answers would be in the way of others.
        for kind in ["mutatingwebhookconfiguration", "validatingwebhookconfiguration"] {
            let _ = self.rig.ask(&format!(
                "kubectl delete {kind} {RELEASE}.@id@ --ignore-not-found"
            ));
        }
    }
}

// === what it is for ===

/// An application that has its secrets; answers its pod.
fn serve(rig: &Rig<'_>) -> Result<String> {
    let going = credential(
        "shop",
        "hubspot",
        "global",
        "hubspot",
        &value("api_key", "of-all"),
    );
    let manifests = [
        namespace("shop", "pod-security.kubernetes.io/enforce: restricted"),
        account("shop", "web"),
        rig.provider_at(rig.stage.vault_for_pods()),
        global(),
        going.replace("spec:\n", "spec:\n  deletionPolicy: Delete\n"),
        credential(
            "shop",
            "people",
            "global",
            "people",
            "{name: word, from: {vault: {}}}",
        ),
        WANTED.replace("@image@", TEST_IMAGE),
    ];
    rig.apply(&manifests.concat())?;
    rig.says("credential/people -n @id@-shop", "False", "NotFound", "")?;
    rig.ask(&format!("bao kv put -mount=kv -cas=0 @id@/{PLACE} word=before"))?;
    rig.ready(&[
        "credential/hubspot -n @id@-shop",
        "credential/people -n @id@-shop",
        WEB,
    ])?;
    rig.ask("kubectl -n @id@-shop rollout status deployment web --timeout=60s")?;
    becomes(rig, "before")?;
    pod(rig)
}

const WANTED: &str = "
---
apiVersion: keystead.dev/v1alpha1
kind: SecretBinding
metadata: {name: web, namespace: @id@-shop}
spec:
  providerRef: {name: @id@}
  serviceAccounts: [web]
  secrets: [{name: hubspot, service: hubspot}, {name: people, service: people}]
  files:
  - {path: hubspot.env, format: Dotenv, secret: hubspot}
  - {path: people.env, format: Dotenv, secret: people}
  refreshInterval: 1s
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: @id@-shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web, keystead.dev/inject: 'true'}}
    spec:
      serviceAccountName: web
      securityContext: {runAsNonRoot: true, runAsUser: 1000, seccompProfile: {type: RuntimeDefault}}
      containers:
      - name: app
        image: @image@
        imagePullPolicy: IfNotPresent
        command: [/bin/sh, -c, 'trap \"exit 0\" TERM; sleep 9999 & wait']
        securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
";

/// Without an operator, the pod is the same and follows what changes in Vault.
fn goes_on(rig: &Rig<'_>, pod: &str) -> Result<()> {
    rig.ask(&format!("bao kv patch -mount=kv -cas=1 @id@/{PLACE} word=after"))?;
    becomes(rig, "after")?;
    ensure!(
        rig.ask(FILE)? == "API_KEY='of-all'",
        "the other file is as it was"
    );
    ensure!(self::pod(rig)? == pod, "the application's pod is another");
    Ok(())
}

fn becomes(rig: &Rig<'_>, word: &str) -> Result<()> {
    let line = FILE.replace("@id@", &rig.id).replace("hubspot.env", "people.env");
    let wanted = format!("WORD='{word}'");
    rig.stage
        .until(&format!("the pod has {wanted}"), &line, |found| found == wanted)
        .map(drop)
}

/// The application's pod and how often its containers have started anew.
fn pod(rig: &Rig<'_>) -> Result<String> {
    rig.ask(
        "kubectl -n @id@-shop get pods -l app=web -o 'jsonpath={range .items[*]}{.metadata.uid} {.status.containerStatuses[*].restartCount} {.status.initContainerStatuses[*].restartCount};{end}'",
    )
}

// === load ===

/// How many pods one command creates: starting it costs more than a pod.
const BATCH: usize = 10;

/// Pods that are created one after the other, each of which wants secrets and none of which is started.
struct Pods {
    ends: Arc<AtomicBool>,
    thread: JoinHandle<Result<usize>>,
}

impl Pods {
    fn begin(rig: &Rig<'_>) -> Result<Self> {
        let file = rig.path("pod.yaml");
        let pod = POD.replace("@id@", &rig.id).replace("@image@", TEST_IMAGE);
        fs::write(&file, pod.repeat(BATCH))?;
        let bed = rig.stage.bed().context("this test needs a bed")?.clone();
        let ends = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&ends);
        let thread = thread::spawn(move || create(&bed, &file, &ended));
        Ok(Self { ends, thread })
    }

    /// Holds that none was refused, and that each has its sidecar.
    fn end(self, rig: &Rig<'_>) -> Result<()> {
        self.ends.store(true, Ordering::Relaxed);
        let created = self.thread.join();
        let created = created.map_err(|_| anyhow!("who creates pods has died"))??;
        let line = "kubectl -n @id@-shop get pods -l load=true -o 'jsonpath={range .items[*]}{.spec.initContainers[0].name} {end}'";
        let first = rig.stage.ask(&line.replace("@id@", &rig.id))?;
        let served = first.split(' ').filter(|name| *name == "keystead").count();
        ensure!(
            created > 0 && served == created,
            "of {created} pods {served} have a sidecar"
        );
        rig.stage.tell(format_args!("{created} pods were created"));
        rig.ask("kubectl delete --raw '/api/v1/namespaces/@id@-shop/pods?labelSelector=load%3Dtrue'")
            .map(drop)
    }
}

fn create(bed: &Bed, file: &Path, ended: &AtomicBool) -> Result<usize> {
    let mut created = 0;
    while !ended.load(Ordering::Relaxed) {
        let mut kubectl = bed.command("kubectl");
        exec::output(kubectl.args(["create", "-f"]).arg(file))
            .with_context(|| format!("after {created} pods"))?;
        created += BATCH;
    }
    Ok(created)
}

/// Its scheduler is nobody: this is about who is let in.
const POD: &str = "
---
apiVersion: v1
kind: Pod
metadata: {generateName: load-, namespace: @id@-shop, labels: {keystead.dev/inject: 'true', load: 'true'}}
spec:
  serviceAccountName: web
  schedulerName: nobody
  securityContext: {runAsNonRoot: true, runAsUser: 1000, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: app
    image: @image@
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
";
