//! A Vault is prepared: with what rights, and by whose hand.

use anyhow::{Context, Result, ensure};

use super::{Answer, answer};
use crate::rig::{self, Method, Rig};
use crate::stage::Stage;

/// Runs a command line with a token of Vault's; `@id@` in it is the test's name.
fn run_as(rig: &Rig<'_>, token: &str, line: &str) -> Result<Answer> {
    let line = line.replace("@id@", &rig.id);
    answer(&mut rig.stage.vault_as(token, &line), line, "")
}

/// A token of one policy alone, which is this text.
fn token(rig: &Rig<'_>, namespace: &str, policy: &str) -> Result<String> {
    let line = format!("bao policy write {namespace} {}-preparing -", rig.id);
    let mut command = rig.stage.command(&line);
    rig.stage.shown(&line, &mut command, Some(policy))?;
    rig.ask(&format!(
        "bao token create {namespace} -orphan -no-default-policy -policy=@id@-preparing -field=token"
    ))
}

/// The policy, and each that is short of one capability, with what it is short of.
fn weaker(policy: &str) -> Vec<(String, String)> {
    let rules = policy.lines().filter(|line| line.starts_with("path "));
    let words = |rule: &str| {
        let list = rule.split_once('[').map_or("", |(_, list)| list);
        let words = list.split('"').skip(1).step_by(2);
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    let mut all = Vec::new();
    for rule in rules {
        for word in words(rule) {
            let others: Vec<String> = words(rule)
                .into_iter()
                .filter(|other| *other != word)
                .map(|word| format!("\"{word}\""))
                .collect();
            let head = rule.split('[').next().unwrap_or_default();
            let less = if others.is_empty() {
                String::new()
            } else {
                format!("{head}[{}] }}", others.join(", "))
            };
            all.push((format!("{word} in {rule}"), policy.replace(rule, &less)));
        }
    }
    all
}

/// Each time a cluster of another name is prepared, so each time everything is missing.
pub(super) fn rights(stage: &Stage) -> Result<()> {
    rig::run(stage, "rights", Method::Jwt, |rig| {
        let line = |number: usize| {
            let name = format!("@id@-{number}");
            format!(
                "kubectl-keystead bootstrap --cluster {name} --operator-namespace @id@ --kv {name}/kv --database {name}/db --transit {name}/keys"
            )
        };
        let policy = |number: usize| {
            let shown = run_as(rig, "none", &format!("{} --output policy", line(number)))?.ends(0)?;
            anyhow::Ok(shown.out)
        };
        // From nothing, with nothing left to do, and with a role that is out of date.
        let prepare = |number: usize, token: &str| {
            let line = format!("{} --yes", line(number));
            let mut all = Vec::new();
            for more in ["", "", " --audience other"] {
                let said = run_as(rig, token, &format!("{line}{more}"))?;
                let refused = said.code != Some(0);
                all.push(said);
                if refused {
                    break;
                }
            }
            anyhow::Ok(all)
        };

        let count = weaker(&policy(0)?).len();
        ensure!(count > 10, "{count} rights can't be all that there are");
        let said = prepare(0, &token(rig, "", &policy(0)?)?)?;
        for (said, sentence) in said
            .into_iter()
            .zip(["done: mount kv", "Nothing to do", "+ write auth"])
        {
            said.ends(0)?.says(&[sentence])?;
        }
        for number in 0..count {
            let (missing, less) = weaker(&policy(number + 1)?).swap_remove(number);
            let last = prepare(number + 1, &token(rig, "", &less)?)?.pop();
            last.context("it was run")?
                .ends(1)
                .and_then(|said| said.complains(&["permission denied"]))
                .with_context(|| format!("without {missing}"))?;
        }
        Ok(())
    })
}

pub(super) fn files(stage: &Stage) -> Result<()> {
    rig::run(stage, "files", Method::Jwt, |rig| {
        for (method, namespace) in [("kubernetes", "@id@-one"), ("jwt", "@id@-two")] {
            let folder = rig.path(method).display().to_string();
            let line = format!(
                "kubectl-keystead bootstrap --cluster @id@ --operator-namespace @id@ --database db --workload-method {method} --vault-namespace {namespace}"
            );
            // Who lets it write files has no token.
            let written = format!("{line} --output hcl --folder {folder}");
            run_as(rig, "none", &written)?
                .ends(0)?
                .says(&["apply.sh", "namespace: "])?;

            rig.ask(&format!("bao namespace create {namespace}"))?;
            let policy = std::fs::read_to_string(format!("{folder}/token.hcl"))?;
            let inside = format!("-namespace={}", namespace.replace("@id@", &rig.id));
            let token = token(rig, &inside, &policy)?;
            let apply = format!("{folder}/apply.sh");
            run_as(rig, &token, &line)?.ends(0)?.says(&["8 to do"])?;
            run_as(rig, &token, &apply)?.ends(0)?;
            run_as(rig, &token, &line)?.ends(0)?.says(&["Nothing to do"])?;
            run_as(rig, &token, &apply)?.ends(0)?;

            // Vault asks the API server by the reviewer that the script has told it.
            let jwt = rig.service_account_token(&rig.id, rig::chart::RELEASE)?;
            let login = "auth/kubernetes-@id@/login role=keystead-operator-@id@";
            let login = format!("bao write {inside} -field=token {login} jwt={jwt}");
            run_as(rig, "none", &login)?;
            let outside = rig.ask("bao auth list")?;
            let mount = format!("kubernetes-{}/", rig.id);
            ensure!(
                !outside.contains(&mount),
                "it is in the root namespace: {outside}"
            );
        }
        // The same by the command itself.
        let line = "kubectl-keystead bootstrap --cluster @id@ --operator-namespace @id@ --vault-namespace @id@-three --yes";
        rig.ask("bao namespace create @id@-three")?;
        rig.ask(line)?;
        let again = rig.ask(line)?;
        ensure!(again.contains("Nothing to do"), "it did something again: {again}");
        Ok(())
    })
}
