//! Our own kinds: each refusal's sentence, and that nothing stands in the way of what mends it.

use anyhow::Result;

use super::super::manifest::{account, binding, credential, namespace, scope, value};
use super::super::rig::{self, Method, Rig};
use super::{Webhook, company};
use crate::stage::Stage;

pub(super) fn refused(stage: &Stage) -> Result<()> {
    rig::run(stage, "refuse", Method::Kubernetes, |rig| {
        let webhook = Webhook::new(rig)?;
        // In one piece: what stands first is not known to the webhook yet when the rest comes.
        let manifests = [
            namespace("shop", "company: @id@-acme"),
            namespace("secrets", "writes: @id@-acme"),
            namespace("rival", "company: @id@-globex"),
            account("shop", "web"),
            rig.provider(),
            company("acme", "acme", "company: acme", "writes: acme"),
            company("globex", "globex", "company: globex", "writes: globex"),
            credential("secrets", "hubspot", "acme", "hubspot", &value("api_key", "x")),
            with_variable("first", "TOKEN"),
        ];
        rig.apply(&manifests.concat())?;
        rig.ready(&[
            "secretscope/@id@-acme",
            "secretscope/@id@-globex",
            "credential/hubspot -n @id@-secrets",
            "secretbinding/first -n @id@-shop",
        ])?;
        scopes(&webhook)?;
        credentials(&webhook)?;
        bindings(&webhook)?;
        providers(&webhook, rig)
    })
}

fn scopes(webhook: &Webhook<'_>) -> Result<()> {
    webhook.refuses(
        &company("twin", "acme", "company: twin", "writes: twin"),
        "spec.id: SecretScope @id@-acme is the Company acme of SecretProvider @id@ already: use it, or another id",
    )?;
    webhook.refuses(
        &company("third", "third", "company: acme", "writes: third"),
        "spec.members selects namespace @id@-shop, which is a member of SecretScope @id@-acme already, and a namespace \
         belongs to one company: narrow the selector, or change the namespace's labels",
    )?;
    webhook.refuses(
        &company("third", "third", "company: third", "company: globex"),
        "spec.writers selects namespace @id@-rival, a member of SecretScope @id@-globex: it would declare values for \
         another company; select namespaces of this company, or of none",
    )?;
    webhook.rig.apply(
        &[
            namespace("late", "company: @id@-late"),
            company("wide", "wide", "company: wide", "company: late"),
        ]
        .concat(),
    )?;
    webhook.rig.ready(&["secretscope/@id@-wide"])?;
    webhook.refuses(
        &company("late", "late", "company: late", "writes: late"),
        "spec.members selects namespace @id@-late, which spec.writers of SecretScope @id@-wide selects, too: it would \
         declare values for another company; narrow the writers of @id@-wide first",
    )?;
    webhook.refuses(
        &scope("node", "level: Node, id: n1"),
        "spec.level: Node needs a provider with workloadAuth.method Jwt, and SecretProvider @id@ has Kubernetes",
    )?;
    webhook
        .rig
        .apply(&company("third", "third", "company: third", "writes: third"))?;
    webhook.rig.ready(&["secretscope/@id@-third"])
}

fn credentials(webhook: &Webhook<'_>) -> Result<()> {
    let one = value("api_key", "x");
    webhook.refuses(
        &credential("secrets", "second", "acme", "hubspot", &one),
        "spec.service: Credential @id@-secrets/hubspot declares hubspot at SecretScope @id@-acme already: change that \
         one, or delete it first",
    )?;
    webhook.refuses(
        &credential("shop", "stripe", "acme", "stripe", &one),
        "SecretScope @id@-acme does not let namespace @id@-shop declare values: its spec.writers selects other labels",
    )?;
    let keys = |count: usize| {
        let keys: Vec<String> = (0..count)
            .map(|number| value(&format!("k{number}"), &"x".repeat(60 << 10)))
            .collect();
        credential("secrets", "stripe", "acme", "stripe", &keys.join(", "))
    };
    webhook.refuses(
        &keys(18),
        "spec.keys: the values are 1080 KiB together, and Vault takes 1024 KiB at one path",
    )?;
    webhook.rig.apply(&keys(2))?;
    webhook.rig.ready(&["credential/stripe -n @id@-secrets"])
}

fn bindings(webhook: &Webhook<'_>) -> Result<()> {
    let rig = webhook.rig;
    webhook.refuses(
        &with_variable("second", "TOKEN"),
        "SecretBinding first gives the pods of service account web the variable TOKEN too",
    )?;
    for (text, wrong) in [
        ("{{ secret('hubspot'", "it can't be read: "),
        (
            "{{ secret('hubspot').api_key|upcase }}",
            "there is no filter upcase",
        ),
        ("{{ env('HOME') }}", "there is no variable or function env"),
        (
            "{{ secret('stripe').api_key }}",
            "must be the name of an entry of spec.secrets",
        ),
    ] {
        webhook.refuses(
            &with_template("second", text),
            "spec.files[conf].template: line 1: ",
        )?;
        webhook.refuses(&with_template("second", text), wrong)?;
    }
    rig.apply(&with_template(
        "templated",
        "{{ secret('hubspot').api_key|json }}",
    ))?;
    rig.apply(&with_variable("second", "OTHER"))?;
    rig.ready(&["secretbinding/second -n @id@-shop"])?;
    webhook.forbids(
        "kubectl patch secretbinding second -n @id@-shop --type=merge \
         -p '{\"spec\":{\"env\":[{\"name\":\"TOKEN\",\"secret\":\"hubspot\",\"key\":\"api_key\"}]}}'",
        "the variable TOKEN too",
    )?;
    rig.ask(
        "kubectl patch secretprovider @id@ --type=merge \
         -p '{\"spec\":{\"namespaces\":{\"matchLabels\":{\"company\":\"@id@-globex\"}}}}'",
    )?;
    let sentence =
        "SecretProvider @id@ does not admit namespace @id@-shop: its spec.namespaces selects other labels";
    rig.says(
        "secretbinding/first -n @id@-shop",
        "False",
        "NotPermitted",
        sentence,
    )?;
    webhook.refuses(&with_variable("third", "THIRD"), sentence)?;
    // What was wrong before stands in nobody's way.
    rig.ask(
        "kubectl patch secretbinding second -n @id@-shop --type=merge \
         -p '{\"spec\":{\"env\":[{\"name\":\"ELSE\",\"secret\":\"hubspot\",\"key\":\"api_key\"}]}}'",
    )
    .map(drop)
}

fn providers(webhook: &Webhook<'_>, rig: &Rig<'_>) -> Result<()> {
    let named = |name: &str| {
        rig.provider().replace(
            "metadata: {name: @id@}",
            &format!("metadata: {{name: @id@-{name}}}"),
        )
    };
    webhook.refuses(
        &named("second"),
        "spec.vault: SecretProvider @id@ has the same address, namespace, mounts.kv, pathPrefix and environment, and both \
         would write the same paths: use that one, or another pathPrefix",
    )?;
    let other = named("second").replace("pathPrefix: @id@", "pathPrefix: @id@-second");
    let bundle = other.replace(
        "caSecretRef: {name: vault-ca, namespace: vault, key: ca.crt}",
        "caBundle: nonsense",
    );
    webhook.refuses(
        &bundle,
        "spec.vault.caBundle holds no certificate: expected one or more PEM blocks 'BEGIN CERTIFICATE'",
    )?;
    let mount = other.replace(
        "auth: {kubernetes: {mount: @id@,",
        &format!("auth: {{jwt: {{mount: {},", rig.mount()),
    );
    webhook.refuses(
        &mount,
        "spec.vault.auth.jwt.mount: @id@-pods is spec.workloadAuth.mount too, and the operator keeps that mount's keys",
    )?;
    let paths = format!("{other}  allowedPaths: [{{prefix: kv/data/@id@/production, namespaces: {{}}}}]\n");
    webhook.refuses(
        &paths,
        "spec.allowedPaths[kv/data/@id@/production].prefix: kv/data/@id@ is where SecretProvider @id@ keeps its values",
    )?;
    rig.apply(&paths.replace("kv/data/@id@/production", "kv/data/@id@-elsewhere"))
}

pub(super) fn slipped_past(stage: &Stage) -> Result<()> {
    rig::run(stage, "slip", Method::Kubernetes, |rig| {
        // Nobody looks yet. Objects of one second are told apart by name, so `a` is older either way.
        let manifests = [
            namespace("shop", "company: @id@-acme"),
            namespace("secrets", "writes: @id@-acme"),
            rig.provider(),
            company("a", "acme", "company: acme", "writes: acme"),
            company("b", "acme", "company: acme", "writes: acme"),
            company("c", "other", "company: acme", "writes: other"),
            namespace("rival", "company: @id@-rival"),
            company("d", "rival", "company: rival", "writes: rival"),
            company("e", "wide", "company: wide", "company: rival"),
            credential("rival", "three", "e", "hubspot", &value("api_key", "z")),
            credential("secrets", "one", "a", "hubspot", &value("api_key", "x")),
            credential("secrets", "two", "a", "hubspot", &value("api_key", "y")),
            account("shop", "web"),
            binding("shop", "web", "web", &["hubspot"]),
        ];
        rig.apply(&manifests.concat())?;
        let webhook = Webhook::new(rig)?;
        let twin = "SecretScope @id@-a is older and has the same provider, level and id";
        rig.says("secretscope/@id@-b", "False", "Conflict", twin)?;
        rig.says(
            "credential/two -n @id@-secrets",
            "False",
            "Conflict",
            "Credential @id@-secrets/one is older",
        )?;
        rig.says(
            "credential/three -n @id@-rival",
            "False",
            "NotPermitted",
            "the namespace is a member of SecretScope @id@-d, and would declare them for another company",
        )?;
        rig.says(
            "secretbinding/web -n @id@-shop",
            "False",
            "Ambiguous",
            "SecretScopes @id@-a and @id@-c both select namespace @id@-shop",
        )?;

        // That their status was written says that it may be; so may the rest of them.
        rig.ask("kubectl label secretscope @id@-b x=y")?;
        rig.ask("kubectl patch secretscope @id@-b --type=merge -p '{\"metadata\":{\"finalizers\":[\"e2e.keystead.dev/x\"]}}'")?;
        let change = "kubectl patch secretscope @id@-b --type=merge \
                      -p '{\"spec\":{\"writers\":{\"namespaceSelector\":{\"matchLabels\":{\"writes\":\"@id@-b\"}}}}}'";
        rig.ask(change)?;
        webhook.forbids(
            "kubectl patch secretscope @id@-b --type=merge \
             -p '{\"spec\":{\"writers\":{\"namespaceSelector\":{\"matchExpressions\":[{\"key\":\"x\",\"operator\":\"Is\"}]}}}}'",
            "spec.writers.namespaceSelector: each of matchExpressions needs an operator",
        )?;
        rig.ask("kubectl delete secretscope @id@-b --wait=false")?;
        rig.ask("kubectl patch secretscope @id@-b --type=merge -p '{\"metadata\":{\"finalizers\":null}}'")?;
        rig.ask("kubectl wait --for=delete secretscope/@id@-b --timeout=30s")?;

        // And what mends the rest is taken.
        rig.ask("kubectl delete credential two -n @id@-secrets")?;
        rig.ask(
            "kubectl patch secretscope @id@-c --type=merge \
             -p '{\"spec\":{\"members\":{\"namespaceSelector\":{\"matchLabels\":{\"company\":\"@id@-other\"}}}}}'",
        )?;
        rig.ready(&["credential/one -n @id@-secrets", "secretbinding/web -n @id@-shop"])
    })
}

/// A binding that gives the pods of `web` a variable.
fn with_template(name: &str, text: &str) -> String {
    format!(
        "{}  files: [{{path: conf, format: Template, template: \"{text}\"}}]\n",
        binding("shop", name, "web", &["hubspot"])
    )
}

fn with_variable(name: &str, variable: &str) -> String {
    format!(
        "{}  env: [{{name: {variable}, secret: hubspot, key: api_key}}]\n",
        binding("shop", name, "web", &["hubspot"])
    )
}
