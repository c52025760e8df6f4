//! What a Credential can say of its values, and what becomes of them in Vault.

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::super::manifest::{company, credential, from_secret, global, namespace, scope, secret, value};
use super::super::rig::{self, Method, Rig, same};
use crate::stage::{PATIENCE, Stage};
use crate::wait;

const HUBSPOT: &str = "production/global/all/hubspot";
const CREDENTIAL: &str = "credential/hubspot -n @id@-shop";

pub(super) fn generated(stage: &Stage) -> Result<()> {
    rig::run(stage, "made", Method::Kubernetes, |rig| {
        let keys = |url: &str| {
            let pin =
                "{name: pin, from: {generate: {length: 12, alphabet: abcxyz2345, classes: [Lower, Digit]}}}";
            [
                pin,
                "{name: token, from: {generate: {}}}",
                &value("base_url", url),
            ]
            .join(", ")
        };
        let declare = |url: &str| credential("shop", "hubspot", "global", "hubspot", &keys(url));
        rig.apply(&[namespace("shop", ""), rig.provider(), global(), declare("u")].concat())?;
        let _operator = rig.operator()?;
        rig.ready(&[CREDENTIAL])?;
        let first = values(rig)?;
        made_of(&first["pin"], 12, &["abcxyz", "2345"])?;
        let letters = "abcdefghijklmnopqrstuvwxyz";
        made_of(
            &first["token"],
            32,
            &[letters, &letters.to_uppercase(), "0123456789"],
        )?;

        // A change beside them leaves them as they are.
        rig.apply(&declare("v"))?;
        let mut wanted = first.clone();
        wanted["base_url"] = json!("v");
        rig.values_become(HUBSPOT, &wanted)?;
        annotate(rig, "keystead.dev/rotate=again")?;
        wait::until("both are made anew", PATIENCE, None, || {
            let now = values(rig)?;
            Ok(now["pin"] != first["pin"] && now["token"] != first["token"])
        })?;
        made_of(&values(rig)?["pin"], 12, &["abcxyz", "2345"])?;

        // What is lost is said, and nothing is made in its place.
        rig.ask("bao kv metadata delete -mount=kv @id@/production/global/all/hubspot")?;
        annotate(rig, "keystead.dev/sync=1")?;
        let sentence = "the generated value of pin, token is lost";
        rig.says(CREDENTIAL, "False", "Lost", sentence)?;
        rig.warned("Credential", "hubspot", sentence)?;
        let left = rig.vault(&rig.kv("data", HUBSPOT))?.unwrap_or_default();
        for key in ["pin", "token"] {
            ensure!(
                left["data"]["data"][key].is_null(),
                "{key} was made anew: nobody asked"
            );
        }
        annotate(rig, "keystead.dev/rotate=once-more")?;
        rig.ready(&[CREDENTIAL])?;
        made_of(&values(rig)?["pin"], 12, &["abcxyz", "2345"])
    })
}

pub(super) fn of_people(stage: &Stage) -> Result<()> {
    rig::run(stage, "people", Method::Kubernetes, |rig| {
        let keys = |url: &str| ["{name: api_key, from: {vault: {}}}", &value("base_url", url)].join(", ");
        let declare = |url: &str| credential("shop", "hubspot", "global", "hubspot", &keys(url));
        rig.apply(&[namespace("shop", ""), rig.provider(), global(), declare("u")].concat())?;
        let _operator = rig.operator()?;
        let sentence = "kv/@id@/production/global/all/hubspot has no key api_key, which people write there: run vault kv ";
        rig.says(CREDENTIAL, "False", "NotFound", sentence)?;
        rig.values_become(HUBSPOT, &json!({"base_url": "u"}))?;

        // The sentence says what to do, so that is done.
        let message = condition(rig, "Ready")?;
        let command = message.split("run vault").nth(1).context("a command")?;
        rig.ask(&format!("bao{}", command.replace('…', "by-hand")))?;
        annotate(rig, "keystead.dev/sync=1")?;
        rig.ready(&[CREDENTIAL])?;
        rig.apply(&declare("v"))?;
        rig.values_become(HUBSPOT, &json!({"api_key": "by-hand", "base_url": "v"}))?;
        // It is theirs: not put back, and not taken away with its declaration.
        rig.ask("bao kv patch -mount=kv -cas=3 @id@/production/global/all/hubspot api_key=changed")?;
        rig.apply(&credential(
            "shop",
            "hubspot",
            "global",
            "hubspot",
            &value("base_url", "w"),
        ))?;
        rig.values_become(HUBSPOT, &json!({"api_key": "changed", "base_url": "w"}))
    })
}

pub(super) fn inactive(stage: &Stage) -> Result<()> {
    rig::run(stage, "idle", Method::Kubernetes, |rig| {
        let declare = |active: bool| {
            let keys = [
                "{name: pin, from: {generate: {}}}",
                &from_secret("api_key", "s", "k"),
            ]
            .join(", ");
            let manifest = credential("shop", "hubspot", "global", "hubspot", &keys);
            format!("{manifest}  active: {active}\n")
        };
        let manifests = [
            namespace("shop", ""),
            rig.provider(),
            global(),
            secret("shop", "s", "k", "one"),
            declare(true),
        ];
        rig.apply(&manifests.concat())?;
        let _operator = rig.operator()?;
        rig.ready(&[CREDENTIAL])?;
        let before = values(rig)?;

        rig.apply(&declare(false))?;
        rig.says(CREDENTIAL, "True", "Inactive", "nobody is served")?;
        let hidden = rig.vault(&rig.kv("data", HUBSPOT))?.context("a version")?;
        same("hidden values", &hidden["data"]["data"], &Value::Null)?;
        let metadata = &hidden["data"]["metadata"];
        same("its version", &metadata["version"], &json!(1))?;
        same("whether it is destroyed", &metadata["destroyed"], &json!(false))?;

        rig.apply(&declare(true))?;
        rig.ready(&[CREDENTIAL])?;
        rig.values_become(HUBSPOT, &before)?;
        // What changed meanwhile comes with it.
        rig.apply(&declare(false))?;
        rig.says(CREDENTIAL, "True", "Inactive", "")?;
        rig.apply(&[secret("shop", "s", "k", "two"), declare(true)].concat())?;
        rig.ready(&[CREDENTIAL])?;
        let mut wanted = before.clone();
        wanted["api_key"] = json!("two");
        rig.values_become(HUBSPOT, &wanted)
    })
}

pub(super) fn expiry(stage: &Stage) -> Result<()> {
    rig::run(stage, "ends", Method::Kubernetes, |rig| {
        let declare = |end: &str| {
            let manifest = credential("shop", "hubspot", "global", "hubspot", &value("api_key", "x"));
            format!("{manifest}{end}")
        };
        let ends_in =
            |wait: SignedDuration| declare(&format!("  expiresAt: \"{}\"\n", Timestamp::now() + wait));
        let (moment, two_weeks) = (SignedDuration::from_secs(3), SignedDuration::from_hours(14 * 24));
        let manifests = [
            namespace("shop", ""),
            rig.provider(),
            global(),
            ends_in(two_weeks + two_weeks),
        ];
        rig.apply(&manifests.concat())?;
        let _operator = rig.operator()?;
        rig.ready(&[CREDENTIAL])?;
        ends(rig, "False NotYet: it ends at ")?;
        // From here on nothing touches the object: its own clock turns the condition.
        rig.apply(&ends_in(two_weeks + moment))?;
        ends(rig, "True ExpiresSoon: it ends at ")?;
        rig.warned("Credential", "hubspot", "it ends at ")?;
        rig.apply(&ends_in(moment))?;
        ends(rig, "True Expired: it ended at ")?;
        rig.warned("Credential", "hubspot", "it ended at ")?;
        // The values stay, and it is as declared.
        rig.ready(&[CREDENTIAL])?;
        rig.values_become(HUBSPOT, &json!({"api_key": "x"}))?;
        rig.apply(&declare(""))?;
        ends(rig, "")
    })
}

pub(super) fn adopted(stage: &Stage) -> Result<()> {
    rig::run(stage, "adopt", Method::Kubernetes, |rig| {
        rig.ask("bao kv put -mount=kv @id@/production/global/all/hubspot api_key=of-a-person note=mine")?;
        let declare = |adoption: &str| {
            let manifest = credential("shop", "hubspot", "global", "hubspot", &value("api_key", "ours"));
            format!("{manifest}  adoption: {adoption}\n")
        };
        rig.apply(&[namespace("shop", ""), rig.provider(), global(), declare("Refuse")].concat())?;
        let _operator = rig.operator()?;
        rig.says(
            CREDENTIAL,
            "False",
            "Conflict",
            "or take over what nobody has marked with spec.adoption: Adopt",
        )?;
        rig.apply(&declare("Adopt"))?;
        rig.ready(&[CREDENTIAL])?;
        rig.values_become(HUBSPOT, &json!({"api_key": "ours", "note": "mine"}))
    })
}

pub(super) fn of_users(stage: &Stage) -> Result<()> {
    rig::run(stage, "users", Method::Kubernetes, |rig| {
        let mia = "level: User, id: mia@example.org, members: {users: [mia]}";
        let selector = "namespaceSelector: {matchLabels: {company: globex}}";
        let globex =
            format!("level: Company, id: globex, members: {{{selector}, users: [mia], groups: [staff]}}");
        let manifests = [
            namespace("shop", ""),
            rig.provider(),
            scope("mia", mia),
            scope("globex", &globex),
            company("acme"),
            credential("shop", "hubspot", "mia", "hubspot", &value("api_key", "x")),
        ];
        rig.apply(&manifests.concat())?;
        let _operator = rig.operator()?;
        rig.says(
            "secretscope/@id@-mia",
            "True",
            "Synced",
            "are served by the HTTP API",
        )?;
        rig.ready(&["secretscope/@id@-globex", "secretscope/@id@-acme", CREDENTIAL])?;
        rig.values_become(
            "production/user/mia@example.org/hubspot",
            &json!({"api_key": "x"}),
        )
    })
}

/// The values that stand there now.
fn values(rig: &Rig<'_>) -> Result<Value> {
    let found = rig.vault(&rig.kv("data", HUBSPOT))?;
    Ok(found.context("there are values")?["data"]["data"].clone())
}

fn annotate(rig: &Rig<'_>, annotation: &str) -> Result<()> {
    let line = format!("kubectl -n @id@-shop annotate --overwrite credential hubspot {annotation}");
    rig.ask(&line).map(drop)
}

/// Holds that a text has this length and consists of these classes, each of which it has.
fn made_of(text: &Value, length: usize, classes: &[&str]) -> Result<()> {
    let text = text.as_str().context("a text")?;
    ensure!(
        text.len() == length,
        "expected {length} characters, found {}",
        text.len()
    );
    let alphabet = classes.concat();
    ensure!(
        text.chars().all(|letter| alphabet.contains(letter)),
        "something is not of {alphabet}"
    );
    for class in classes {
        ensure!(
            text.chars().any(|letter| class.contains(letter)),
            "nothing is of {class}"
        );
    }
    Ok(())
}

/// A condition's status, reason and message.
fn condition(rig: &Rig<'_>, type_: &str) -> Result<String> {
    let path = format!(
        "{{range .status.conditions[?(@.type==\"{type_}\")]}}{{.status}} {{.reason}}: {{.message}}{{end}}"
    );
    rig.ask(&format!("kubectl get {CREDENTIAL} -o 'jsonpath={path}'"))
}

/// Waits until the condition on its end begins so; nothing means that there is none.
fn ends(rig: &Rig<'_>, start: &str) -> Result<()> {
    let mut last = String::new();
    let found = wait::until(format_args!("Expiring is {start:?}…"), PATIENCE, None, || {
        last = condition(rig, "Expiring")?;
        Ok(last.starts_with(start) && last.is_empty() == start.is_empty())
    });
    found.with_context(|| format!("the last answer was {last:?}"))
}
