//! Values that are replaced: in their time, for who asks, by an endpoint, by people, and however often the
//! operator is killed over it.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::super::manifest::{credential, from_secret, global, namespace, secret};
use super::super::rig::deadly::{Deadly, Moment};
use super::super::rig::endpoint::{self, Endpoint};
use super::super::rig::{self, Method, Rig};
use crate::stage::{PATIENCE, Stage};
use crate::ui::note;
use crate::wait;

/// A Credential of one key, from `from`, with a rotation.
fn rotated(service: &str, from: &str, rotation: &str) -> String {
    let key = format!("{{name: token, from: {{{from}}}}}");
    credential("shop", service, "global", service, &key)
        + &format!("  type: ApiKey\n  rotation: {{{rotation}}}\n")
}

/// The provider, which opens an endpoint to the namespace.
fn provider(rig: &Rig<'_>, endpoint: &Endpoint) -> String {
    let prefix = endpoint.url.trim_end_matches("new");
    let labels = format!("matchLabels: {{kubernetes.io/metadata.name: {}-shop}}", rig.id);
    rig.provider() + &format!("  rotationWebhooks: [{{prefix: {prefix}, namespaces: {{{labels}}}}}]\n")
}

/// A rotation by the endpoint.
fn by(endpoint: &Endpoint) -> String {
    let ca = json!(endpoint.ca);
    format!(
        "method: Webhook, every: 24h, keepPrevious: 1h, webhook: {{url: {}, signingSecretRef: {{name: signing, key: key}}, caBundle: {ca}}}",
        endpoint.url
    )
}

fn place(service: &str) -> String {
    format!("credential/{service} -n @id@-shop")
}

fn annotate(rig: &Rig<'_>, service: &str, annotation: &str) -> Result<()> {
    let line =
        format!("kubectl -n @id@-shop annotate --overwrite credential {service} keystead.dev/{annotation}");
    rig.ask(&line).map(drop)
}

/// What stands in Vault.
#[derive(Debug)]
struct Found {
    token: String,
    previous: Option<String>,
    count: u64,
    version: u64,
    marks: Value,
}

fn look(rig: &Rig<'_>, service: &str) -> Result<Found> {
    let found = rig.vault(&rig.kv("data", &format!("production/global/all/{service}")))?;
    let found = found.context("there are values")?["data"].clone();
    let text = |key: &str| found["data"][key].as_str().map(str::to_owned);
    let marks = &found["metadata"]["custom_metadata"];
    let count = marks["rotation-count"].as_str().map_or(Ok(0), str::parse)?;
    Ok(Found {
        token: text("token").context("a token")?,
        previous: text("token_previous"),
        count,
        version: found["metadata"]["version"].as_u64().context("a version")?,
        marks: marks.clone(),
    })
}

fn status(rig: &Rig<'_>, service: &str) -> Result<Value> {
    let line = format!(
        "kubectl get {} -o 'jsonpath={{.status.rotation}}'",
        place(service)
    );
    let answer = rig.ask(&line)?;
    Ok(serde_json::from_str(&answer).unwrap_or_default())
}

fn until(rig: &Rig<'_>, what: &str, service: &str, holds: impl Fn(&Value) -> bool) -> Result<()> {
    wait::until(what, PATIENCE, Some(&rig.path("operator.log")), || {
        Ok(holds(&status(rig, service)?))
    })
}

/// As if the values had been in place since long ago.
fn grows_old(rig: &Rig<'_>, service: &str) -> Result<()> {
    rig.ask(&format!(
        "bao kv metadata patch -mount=kv -custom-metadata=rotation-timestamp=2020-01-01T00:00:00Z @id@/production/global/all/{service}"
    ))?;
    annotate(rig, service, &format!("sync=old-{service}"))
}

pub(super) fn in_their_time(stage: &Stage) -> Result<()> {
    rig::run(stage, "rotated", Method::Kubernetes, |rig| {
        let made = |more: &str| rotated("made", "generate: {}", &format!("keepPrevious: 1h{more}"));
        rig.apply(&[namespace("shop", ""), rig.provider(), global(), made("")].concat())?;
        let _operator = rig.operator()?;
        rig.ready(&[&place("made")])?;
        let first = look(rig, "made")?;
        let known = status(rig, "made")?;
        let last: Timestamp = known["last"].as_str().context("a time")?.parse()?;
        let due: Timestamp = known["due"].as_str().context("a time")?.parse()?;
        let week = SignedDuration::from_hours(7 * 24);
        let period = due.duration_since(last);
        ensure!(
            known["count"] == json!(0) && period <= week && period >= week * 9 / 10,
            "{known}"
        );

        grows_old(rig, "made")?;
        until(rig, "what is due is replaced", "made", |now| {
            now["count"] == json!(1)
        })?;
        let second = look(rig, "made")?;
        ensure!(
            second.token != first.token && second.previous == Some(first.token),
            "{second:?}"
        );
        ensure!(second.count == 1 && second.version == 2, "{second:?}");
        rig.says(&place("made"), "True", "Synced", "")?;
        let told =
            "kubectl -n @id@-shop get events -o 'jsonpath={range .items[*]}{.reason} {.message};{end}'";
        rig.stage
            .until("an event says so", &told.replace("@id@", &rig.id), |said| {
                said.contains("NotYet replaced 1 times")
            })?;

        in_the_window(rig, &second, made)
    })
}

/// Who asks waits for the window, unless it is urgent; then nothing of before is kept.
fn in_the_window(rig: &Rig<'_>, second: &Found, made: impl Fn(&str) -> String) -> Result<()> {
    let window = |hours: i64| {
        let at = Timestamp::now() + SignedDuration::from_hours(hours);
        at.to_string()[11..16].to_owned()
    };
    let (from, to) = (window(11), window(13));
    rig.apply(&made(&format!(", window: {{from: '{from}', to: '{to}'}}")))?;
    annotate(rig, "made", "rotate=soon")?;
    until(rig, "who asks is told when", "made", |now| {
        now["due"]
            .as_str()
            .is_some_and(|due| due.contains(&format!("T{from}:00Z")))
    })?;
    ensure!(look(rig, "made")?.token == second.token, "it waits");
    annotate(rig, "made", "rotate=now-1")?;
    until(rig, "what is urgent is done", "made", |now| {
        now["followed"] == json!("now-1")
    })?;
    let third = look(rig, "made")?;
    ensure!(
        third.token != second.token && third.previous.is_none() && third.count == 2,
        "{third:?}"
    );
    Ok(())
}

pub(super) fn by_endpoint(stage: &Stage) -> Result<()> {
    rig::run(stage, "endpoint", Method::Kubernetes, |rig| {
        let endpoint = Endpoint::start(stage)?;
        let given = rotated("given", "webhook: {}", &by(&endpoint));
        rig.apply(&[namespace("shop", ""), rig.provider(), global(), given.clone()].concat())?;
        let _operator = rig.operator()?;
        let closed = format!(
            "SecretProvider @id@ does not open {} to namespace @id@-shop",
            endpoint.url
        );
        rig.says(&place("given"), "False", "NotPermitted", &closed)?;
        rig.apply(&provider(rig, &endpoint))?;
        rig.apply(&secret("shop", "signing", "key", "short"))?;
        rig.says(
            &place("given"),
            "False",
            "WebhookFailed",
            "a key to sign with needs at least 16 bytes",
        )?;
        ensure!(endpoint.asked().is_empty(), "nothing is sent unsigned");
        rig.apply(&secret("shop", "signing", "key", endpoint::KEY))?;
        rig.ready(&[&place("given")])?;
        let first = look(rig, "given")?;
        let asked = endpoint.asked();
        let wanted = json!({
            "id": endpoint::id(&asked[0])?, "rotation": 0, "keys": ["token"], "cluster": rig.id,
            "environment": "production", "level": "Global", "service": "given",
        });
        rig::same("what is asked", &asked[0], &wanted)?;
        ensure!(
            asked.len() == 1 && first.token == endpoint::value(endpoint::id(&asked[0])?, "token"),
            "{first:?}"
        );

        asked_again(rig, &endpoint, &first)
    })
}

fn asked_again(rig: &Rig<'_>, endpoint: &Endpoint, first: &Found) -> Result<()> {
    // Asked again by the same id while it fails, and another thing for the next.
    endpoint.answers(&[503, 429]);
    annotate(rig, "given", "rotate=1")?;
    until(rig, "it is replaced", "given", |now| {
        now["followed"] == json!("1")
    })?;
    let asked = endpoint.asked();
    let ids: BTreeSet<&str> = asked[1..].iter().map(endpoint::id).collect::<Result<_>>()?;
    ensure!(asked.len() == 4 && ids.len() == 1, "{asked:?}");
    let second = look(rig, "given")?;
    ensure!(
        second.previous == Some(first.token.clone()) && ids.contains(&*second.token.replace("token-of-", "")),
        "{second:?}"
    );

    // One that refuses is told, and the values stay; it is asked again by the same id once it gives.
    endpoint.answers(&[403]);
    annotate(rig, "given", "rotate=2")?;
    rig.says(
        &place("given"),
        "False",
        "WebhookFailed",
        "it answered 403 Forbidden: expected 200",
    )?;
    rig.ready(&[&place("given")])?;
    let third = look(rig, "given")?;
    ensure!(
        third.count == 2 && third.previous == Some(second.token),
        "{third:?}"
    );
    let asked = endpoint.asked();
    let ids: BTreeSet<&str> = asked[4..].iter().map(endpoint::id).collect::<Result<_>>()?;
    ensure!(asked.len() == 6 && ids.len() == 1, "{asked:?}");
    Ok(())
}

pub(super) fn by_people(stage: &Stage) -> Result<()> {
    rig::run(stage, "brought", Method::Kubernetes, |rig| {
        let from = from_secret("token", "brought", "key");
        let rotation = "  rotation: {method: None, every: 24h, keepPrevious: 1h}\n";
        let brought = credential("shop", "brought", "global", "brought", &from) + rotation;
        let given = |value: &str| secret("shop", "brought", "key", value);
        rig.apply(
            &[
                namespace("shop", ""),
                rig.provider(),
                global(),
                given("one"),
                brought,
            ]
            .concat(),
        )?;
        let (_operator, probe) = rig.start("operator", |_| {})?;
        rig.ready(&[&place("brought")])?;
        let metrics = probe.replace("/readyz", "/metrics");
        let due = |count: u32| {
            let line = format!("keystead_operator_rotations_due {count}\n");
            rig.stage
                .until("the metric says how many are due", &metrics, |all| {
                    (all.to_owned() + "\n").contains(&line)
                })
        };
        due(0)?;
        grows_old(rig, "brought")?;
        rig.warned(
            "Credential",
            "brought",
            "new values were due at 2020-01-02T00:00:00Z, and people bring them",
        )?;
        due(1)?;
        let condition = "kubectl get credential brought -n @id@-shop -o 'jsonpath={.status.conditions[?(@.type==\"RotationDue\")].status}'";
        ensure!(rig.ask(condition)? == "True", "it is due");

        rig.apply(&given("two"))?;
        until(rig, "what is brought is counted", "brought", |now| {
            now["count"] == json!(1)
        })?;
        let found = look(rig, "brought")?;
        ensure!(
            found.token == "two" && found.previous.as_deref() == Some("one"),
            "{found:?}"
        );
        due(0)?;
        ensure!(rig.ask(condition)? == "False", "it is not due any more");
        Ok(())
    })
}

/// At each request to Vault in turn, before the server has it and after it has done it.
pub(super) fn killed(stage: &Stage) -> Result<()> {
    rig::run(stage, "killed", Method::Kubernetes, |rig| {
        let endpoint = Endpoint::start(stage)?;
        let way = Deadly::start(stage, format!("/{}/production/global/all/", rig.id))?;
        let vault = stage.bed().map_or("", |bed| bed.vault_address.as_str());
        let provider = provider(rig, &endpoint).replace(vault, &way.address);
        let manifests = [
            namespace("shop", ""),
            provider.replace(
                "caSecretRef: {name: vault-ca, namespace: vault, key: ca.crt}, ",
                "",
            ),
            global(),
            secret("shop", "signing", "key", endpoint::KEY),
            rotated("made", "generate: {}", "every: 24h, keepPrevious: 1h"),
            rotated("given", "webhook: {}", &by(&endpoint)),
        ];
        rig.apply(&manifests.concat())?;
        let mut operator = rig.operator()?;
        rig.ready(&[&place("made"), &place("given")])?;
        for service in ["made", "given"] {
            let mut kills = Vec::new();
            let mut turns = 0;
            'requests: for after in 0.. {
                for moment in [Moment::Before, Moment::After] {
                    turns += 1;
                    let text = format!("{service}-{turns}");
                    let before = look(rig, service)?;
                    let asked = endpoint.asked().len();
                    way.arm(operator.id(), after, moment)?;
                    annotate(rig, service, &format!("rotate={text}"))?;
                    wait::until(
                        "the operator is killed, or done",
                        PATIENCE,
                        Some(&rig.path("operator.log")),
                        || Ok(operator.check().is_err() || status(rig, service)?["followed"] == json!(text)),
                    )?;
                    let method = way.disarm();
                    if method.is_some() {
                        operator.ended()?;
                        operator = rig.operator()?;
                    }
                    until(rig, "the rotation is done", service, |now| {
                        now["followed"] == json!(text)
                    })?;
                    once(&look(rig, service)?, &before)?;
                    by_one_id(&endpoint.asked()[asked..], service, &look(rig, service)?)?;
                    let Some(method) = method else { break 'requests };
                    // Nothing is lost with an answer to a question: the next request is the next moment.
                    let only_asks = method == "GET";
                    kills.push(format!("{moment:?} {method}"));
                    if only_asks {
                        break;
                    }
                }
            }
            note(format_args!(
                "{service}: killed {} times: {}",
                kills.len(),
                kills.join(", ")
            ));
            ensure!(kills.len() >= 8, "{kills:?}");
        }
        Ok(())
    })
}

/// There was one rotation since, and nothing of it is under way.
fn once(now: &Found, before: &Found) -> Result<()> {
    ensure!(
        now.token != before.token
            && now.previous.as_ref() == Some(&before.token)
            && now.count == before.count + 1
            && now.version == before.version + 1
            && now.marks["keystead-rotate-begun"].is_null(),
        "{before:?} became {now:?}"
    );
    Ok(())
}

/// The endpoint was asked for this rotation by one id, and gave what stands there.
fn by_one_id(asked: &[Value], service: &str, now: &Found) -> Result<()> {
    let ids: BTreeSet<&str> = asked.iter().map(endpoint::id).collect::<Result<_>>()?;
    if service == "made" {
        return Ok(());
    }
    ensure!(ids.len() == 1, "{asked:?}");
    ensure!(
        ids.iter().all(|id| now.token == endpoint::value(id, "token")),
        "{asked:?} {now:?}"
    );
    Ok(())
}
