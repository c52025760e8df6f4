//! The table of what is refused, and with which words.

use serde_json::{Value, json};

use super::{databases, keys, rotation};

/// A good manifest, what makes it bad (a JSON pointer and what to put there; null takes the field
/// away), and what the refusal must say: the field, and what would be right.
pub(super) type Row = (fn() -> Value, &'static str, Value, &'static str, &'static str);

const SEGMENT: &str = "must be one path segment";

/// What the bad manifests are made of.
pub(super) fn good() -> [Value; 10] {
    let [connection, dynamic, fixed] = databases::good();
    [
        provider(),
        global(),
        company(),
        credential(),
        binding(),
        connection,
        dynamic,
        fixed,
        keys::good(),
        rotation::good(),
    ]
}

/// The whole table.
pub(super) fn rows() -> Vec<Row> {
    [
        provider_rows(),
        scope_rows(),
        credential_rows(),
        binding_rows(),
        databases::rows(),
        keys::rows(),
        rotation::rows(),
    ]
    .concat()
}

// === what is good ===

pub(super) fn provider() -> Value {
    json!({
        "apiVersion": "keystead.dev/v1alpha1", "kind": "SecretProvider", "metadata": {"name": "good"},
        "spec": {
            "environment": "production",
            "class": "nobody",
            "vault": {
                "address": "https://vault.vault.svc:8200",
                "auth": {"kubernetes": {"role": "operator"}},
                "mounts": {},
                "pathPrefix": "keystead",
            },
            "workloadAuth": {"method": "Jwt", "mount": "jwt"},
        },
    })
}

fn global() -> Value {
    json!({
        "apiVersion": "keystead.dev/v1alpha1", "kind": "SecretScope", "metadata": {"name": "good-global"},
        "spec": {"providerRef": {"name": "nobody"}, "level": "Global", "writers": {"namespaceSelector": {}}},
    })
}

fn company() -> Value {
    json!({
        "apiVersion": "keystead.dev/v1alpha1", "kind": "SecretScope", "metadata": {"name": "good-company"},
        "spec": {
            "providerRef": {"name": "nobody"}, "level": "Company", "id": "acme-1.example",
            "members": {"namespaceSelector": {}}, "writers": {"namespaceSelector": {}},
        },
    })
}

pub(super) fn credential() -> Value {
    json!({
        "apiVersion": "keystead.dev/v1alpha1", "kind": "Credential",
        "metadata": {"name": "good", "namespace": "default"},
        "spec": {
            "scopeRef": {"name": "nobody"}, "service": "hubspot",
            "keys": [{"name": "api_key", "from": {"value": "x"}}],
        },
    })
}

fn binding() -> Value {
    json!({
        "apiVersion": "keystead.dev/v1alpha1", "kind": "SecretBinding",
        "metadata": {"name": "good", "namespace": "default"},
        "spec": {
            "providerRef": {"name": "nobody"}, "serviceAccounts": ["web"],
            "secrets": [{"name": "hubspot", "service": "hubspot"}],
            "files": [
                {"path": "a/b.txt", "format": "Raw", "secret": "hubspot", "key": "api_key"},
                {"path": "c.env", "format": "Dotenv", "secret": "hubspot", "onChange": {"none": {}}},
                {"path": "d.conf", "format": "Template", "template": "{{ secret('hubspot').api_key }}"},
                {"path": "e.conf", "format": "Template", "templateFrom": {"configMapKeyRef": {"name": "conf", "key": "e"}}},
            ],
            "env": [{"name": "API_KEY", "secret": "hubspot", "key": "api_key"}],
            "onChange": {"signal": {"name": "SIGHUP", "container": "web"}},
            "refreshInterval": "30s",
        },
    })
}

// === what is bad, one row a line ===

#[rustfmt::skip]
fn provider_rows() -> Vec<Row> {
    let address = "address must be http(s)://host[:port]";
    let mount = "must be a Vault path";
    let ttl = "tokenTtl must be between 10s and 24h";
    let both_cas = json!({
        "address": "https://v", "auth": {"kubernetes": {"role": "r"}}, "caBundle": "x",
        "caSecretRef": {"name": "a", "namespace": "b", "key": "c"},
    });
    let mut rows: Vec<Row> = vec![
        (provider, "/metadata/name", json!("a.b"), "metadata.name", "must be a DNS label"),
        (provider, "/spec/environment", json!("staging"), "spec.environment", "\"production\""),
        (provider, "/spec/vault", both_cas, "spec.vault", "caBundle and caSecretRef exclude each other"),
        (provider, "/spec/vault/auth/kubernetes/mount", json!("a*"), "kubernetes.mount", mount),
        (provider, "/spec/vault/mounts/kv", json!("kv/"), "spec.vault.mounts.kv", mount),
        (provider, "/spec/vault/mounts/kv", json!("kv/../sys"), "spec.vault.mounts.kv", mount),
        (provider, "/spec/workloadAuth/mount", json!("{{x}}"), "spec.workloadAuth.mount", mount),
        (provider, "/spec/workloadAuth/method", json!("Token"), "spec.workloadAuth.method", "\"Jwt\""),
    ];
    let two = json!({"kubernetes": {"role": "r"}, "jwt": {"role": "r"}});
    rows.push((provider, "/spec/vault/auth", two, "spec.vault.auth", "auth needs exactly one of"));
    rows.push((provider, "/spec/vault/auth", json!({}), "spec.vault.auth", "auth needs exactly one of"));
    let plain = json!({
        "address": "http://v", "auth": {"kubernetes": {"role": "r"}}, "tlsServerName": "v.example",
    });
    rows.push((provider, "/spec/vault", plain, "spec.vault", "need an address that begins with https://"));
    rows.push((provider, "/spec/vault/tlsServerName", json!("-v"), "tlsServerName", "must be a host name"));
    for bad in ["/a", "a/", "a//b", "a*"] {
        let namespace = "must be a Vault namespace";
        rows.push((provider, "/spec/vault/namespace", json!(bad), "spec.vault.namespace", namespace));
    }
    for bad in ["proxy:3128", "http://me@proxy:3128", "socks5://proxy"] {
        let proxy = "proxy must be http(s)://host[:port]";
        rows.push((provider, "/spec/vault/proxy", json!(bad), "spec.vault.proxy", proxy));
    }
    for (bad, right) in [("a*", mount), ("a/../b", mount), ("sys/x", "below a secret engine"), ("auth", "below a secret engine")] {
        let allowed = json!([{"prefix": bad, "namespaces": {}}]);
        rows.push((provider, "/spec/allowedPaths", allowed, "prefix", right));
    }
    for bad in ["http://a.example/", "https://a.example", "https://me@a.example/"] {
        let webhooks = json!([{"prefix": bad, "namespaces": {}}]);
        rows.push((provider, "/spec/rotationWebhooks", webhooks, "prefix", "prefix must be https://host[:port]/"));
    }
    for bad in ["a/b", "A", ".."] {
        let ca = json!({"name": "a", "namespace": bad, "key": "c"});
        let namespace = "must be the name of a namespace";
        rows.push((provider, "/spec/vault/caSecretRef", ca, "caSecretRef.namespace", namespace));
    }
    for bad in ["a/b", "A", "a+"] {
        rows.push((provider, "/spec/vault/pathPrefix", json!(bad), "spec.vault.pathPrefix", SEGMENT));
    }
    for bad in ["https://v/path", "https://v?x=1", "https://me@v", "vault.svc:8200", "ftp://vault"] {
        rows.push((provider, "/spec/vault/address", json!(bad), "spec.vault.address", address));
    }
    for bad in ["9s", "25h", "0s"] {
        rows.push((provider, "/spec/workloadAuth/tokenTtl", json!(bad), "spec.workloadAuth.tokenTtl", ttl));
    }
    rows
}

#[rustfmt::skip]
fn scope_rows() -> Vec<Row> {
    let needed = "spec.members.namespaceSelector says which namespaces belong to a Company";
    let selector = "spec.members.namespaceSelector belongs to a Company";
    let members = "spec.members belongs to Company and User";
    let id = "a Global scope has none, the others need one";
    let all = json!({"namespaceSelector": {}});
    let users = json!({"users": ["mia"], "groups": ["staff"]});
    let mut rows: Vec<Row> = vec![
        (global, "/spec/id", json!("acme"), "spec.id", id),
        (company, "/spec/id", Value::Null, "spec.id", id),
        (global, "/spec/level", json!("Node"), "spec.id", id),
        (company, "/spec/members", Value::Null, "spec.members", needed),
        (company, "/spec/members", users.clone(), "spec.members", needed),
        (global, "/spec/members", all, "spec.members", selector),
        (company, "/spec/level", json!("Node"), "spec.members", selector),
        (company, "/spec/level", json!("User"), "spec.members", selector),
        (global, "/spec/members", users, "spec.members", members),
        (company, "/spec/level", json!("Team"), "spec.level", "\"Company\""),
        (company, "/spec/members/users", json!(["mia", "mia"]), "spec.members.users[1]", "Duplicate value"),
        (company, "/spec/members/groups", json!([""]), "spec.members.groups[0]", "at least 1"),
    ];
    for bad in ["a/b", "a+", "+", "a*", "{{x}}", "Acme", ".a", "a.", "..", "a b"] {
        rows.push((company, "/spec/id", json!(bad), "spec.id", "id must be one path segment"));
    }
    // Only a User may be called so.
    for bad in ["a_b", "mia@example.org"] {
        let id = "spec.id must be one path segment: lower-case letters, digits, '-' and '.', starting";
        rows.push((company, "/spec/id", json!(bad), "spec.id", id));
    }
    rows
}

#[rustfmt::skip]
fn credential_rows() -> Vec<Row> {
    let from = "from needs exactly one of secretKeyRef, generate, sealed, value, vault and webhook";
    let name = "name must be letters, digits";
    let key = json!({"name": "a", "from": {"value": "x"}});
    let both = json!({"value": "x", "secretKeyRef": {"name": "a", "key": "b"}});
    let mut rows: Vec<Row> = vec![
        (credential, "/spec/keys/0/from", both, "spec.keys[0].from", from),
        (credential, "/spec/keys/0/from", json!({"vault": {}, "generate": {}}), "spec.keys[0].from", from),
        (credential, "/spec/keys/0/from", json!({}), "spec.keys[0].from", from),
        (credential, "/spec/keys", json!([]), "spec.keys", "at least 1"),
        (credential, "/spec/keys", json!([key, key]), "spec.keys[1]", "Duplicate value"),
        (credential, "/spec/type", json!("Password"), "spec.type", "\"ApiKey\""),
        (credential, "/spec/deletionPolicy", json!("Keep"), "spec.deletionPolicy", "\"Retain\""),
        (credential, "/spec/adoption", json!("Take"), "spec.adoption", "\"Adopt\""),
        (credential, "/spec/expiresAt", json!("tomorrow"), "spec.expiresAt", "date-time"),
        (credential, "/spec/tags", json!(["a", "a"]), "spec.tags[1]", "Duplicate value"),
    ];
    for bad in ["Hubspot", "a/b", "a+", "{{x}}", "-a", "a.b"] {
        rows.push((credential, "/spec/service", json!(bad), "spec.service", SEGMENT));
    }
    for bad in ["A", "../a", "a/b"] {
        let from = json!({"secretKeyRef": {"name": bad, "key": "k"}});
        rows.push((credential, "/spec/keys/0/from", from, "secretKeyRef.name", "must be the name of a Secret"));
    }
    for bad in ["a b", "a/b", "-a", "a,b"] {
        rows.push((credential, "/spec/keys/0/name", json!(bad), "spec.keys[0].name", name));
    }
    rows.extend(generate_rows());
    rows
}

#[rustfmt::skip]
fn generate_rows() -> Vec<Row> {
    let characters = "alphabet must be printable ASCII characters without the blank";
    let nothing = "generate needs an alphabet or classes to draw from";
    let lacks = "alphabet needs a character of each of classes";
    [
        (json!({"length": 7}), "generate.length", "greater than or equal to 8"),
        (json!({"length": 4097}), "generate.length", "less than or equal to 4096"),
        (json!({"classes": ["Lower", "Lower"]}), "generate.classes[1]", "Duplicate value"),
        (json!({"classes": ["Emoji"]}), "generate.classes[0]", "\"Lower\""),
        (json!({"classes": []}), "generate", nothing),
        (json!({"alphabet": "ABCDEF012"}), "generate.alphabet", "at least 10"),
        (json!({"alphabet": "ABCDEFabcdef 0123"}), "generate.alphabet", characters),
        (json!({"alphabet": "ÄÖÜäöüABCabc0123"}), "generate.alphabet", characters),
        (json!({"alphabet": "0123456789abcdef"}), "generate", lacks),
        (json!({"alphabet": "0123456789#$&", "classes": ["Digit", "Symbol"]}), "generate", lacks),
    ]
    .into_iter()
    .map(|(generate, field, right)| (credential as _, "/spec/keys/0/from", json!({"generate": generate}), field, right))
    .collect()
}

#[rustfmt::skip]
fn binding_rows() -> Vec<Row> {
    let unknown = "must be the name of an entry of spec.secrets";
    let kind = "a Raw file holds one key and needs 'key'";
    let no_secret = "a file needs 'secret', but for a Template";
    let text = "a Template file needs one of 'template' and 'templateFrom'";
    let from = |name: &str, key: &str| json!({"configMapKeyRef": {"name": name, "key": key}});
    let twice = "Duplicate value";
    let interval = "refreshInterval must be between 1s and 24h";
    let one = "a secret needs exactly one of service, path and databaseRole";
    let hubspot = json!({"name": "hubspot", "service": "hubspot"});
    let file = json!({"path": "a", "format": "Dotenv", "secret": "hubspot"});
    let variable = json!({"name": "A", "secret": "hubspot", "key": "k"});
    let mut rows: Vec<Row> = vec![
        (binding, "/spec/files/0/secret", json!("other"), "spec.files", unknown),
        (binding, "/spec/env/0/secret", json!("other"), "spec.env", unknown),
        (binding, "/spec/files/0/key", Value::Null, "spec.files[0]", kind),
        (binding, "/spec/files/1/key", json!("k"), "spec.files[1]", kind),
        (binding, "/spec/files/0/format", json!("Json"), "spec.files[0]", kind),
        (binding, "/spec/files/2/secret", json!("hubspot"), "spec.files[2]", no_secret),
        (binding, "/spec/files/1/secret", Value::Null, "spec.files[1]", no_secret),
        (binding, "/spec/files/2/template", Value::Null, "spec.files[2]", text),
        (binding, "/spec/files/1/template", json!("x"), "spec.files[1]", text),
        (binding, "/spec/files/1/templateFrom", from("a", "b"), "spec.files[1]", text),
        (binding, "/spec/files/2/templateFrom", from("a", "b"), "spec.files[2]", text),
        (binding, "/spec/files/3/templateFrom", from("A", "b"), "configMapKeyRef.name", "must be the name of a ConfigMap"),
        (binding, "/spec/files/3/templateFrom", from("a", "b/c"), "configMapKeyRef.key", "must be a key of a ConfigMap"),
        (binding, "/spec/files/2/key", json!("k"), "spec.files[2]", kind),
        (binding, "/spec/files/0/format", json!("Toml"), "spec.files[0].format", "\"Raw\""),
        (binding, "/spec/secrets/0/service", json!("Hubspot"), "spec.secrets[0].service", SEGMENT),
        (binding, "/spec/secrets/0/service", Value::Null, "spec.secrets[0]", one),
        (binding, "/spec/secrets/0/path", json!("secret/data/a"), "spec.secrets[0]", one),
        (binding, "/spec/secrets", json!([hubspot, {"name": "db", "databaseRole": "a", "optional": true}]), "spec.secrets[1]", "optional is not for a databaseRole"),
        (binding, "/spec/secrets/0/method", json!("Post"), "spec.secrets[0]", "method is for a path"),
        (binding, "/spec/secrets/0/parameters", json!({"ttl": "24h"}), "spec.secrets[0]", "parameters need method: Post"),
        (binding, "/spec/secrets/0/overlap", json!("2h"), "spec.secrets[0].overlap", "overlap must be between 0s and 1h"),
        (binding, "/spec/secrets", json!([hubspot, hubspot]), "spec.secrets[1]", twice),
        (binding, "/spec/files", json!([file, file]), "spec.files[1]", twice),
        (binding, "/spec/env", json!([variable, variable]), "spec.env[1]", twice),
        (binding, "/spec/serviceAccounts", json!(["web", "web"]), "spec.serviceAccounts[1]", twice),
        (binding, "/spec/serviceAccounts", json!([]), "spec.serviceAccounts", "at least 1"),
        (binding, "/spec/containers", json!(["A b"]), "spec.containers", "containers must be names of containers"),
        (binding, "/spec/mountPath", json!("a"), "spec.mountPath", "mountPath must be absolute"),
        (binding, "/spec/sidecar", json!({"resources": {"limits": {"cpu": "0"}}}), "limits.cpu", "above zero, such as 100m"),
        (binding, "/spec/sidecar", json!({"resources": {"limits": {"memory": "1Mi"}}}), "limits.memory", "of at least 8Mi, such as 64Mi"),
        (binding, "/spec/sidecar", json!({"filesSize": "4Ki"}), "spec.sidecar.filesSize", "filesSize must be a quantity of at least 64Ki"),
        (provider, "/spec/defaults", json!({"sidecar": {"filesSize": "much"}}), "spec.defaults.sidecar.filesSize", "filesSize must be a quantity"),
        (binding, "/spec/sidecar", json!({"mode": "Sometimes"}), "spec.sidecar.mode", "\"Init\", \"Sidecar\", \"Exec\""),
        (binding, "/spec/sidecar", json!({"restartOnChange": true}), "spec.sidecar", "restartOnChange needs mode: Exec"),
        (binding, "/spec/sidecar", json!({"mode": "Init", "restartOnChange": true}), "spec.sidecar", "restartOnChange needs mode: Exec"),
    ];
    rows.extend(on_change_rows());
    for bad in ["/usr", "/etc", "/etc/hosts", "/proc/x", "/sys", "/dev/null", "/dev/shm"] {
        rows.push((binding, "/spec/mountPath", json!(bad), "spec.mountPath", "mountPath must be a directory of its own"));
    }
    for bad in ["../a", "/a", ".a", "a/../b", "a/.b", "a//b", "a/", "a b"] {
        rows.push((binding, "/spec/files/0/path", json!(bad), "spec.files[0].path", "path must be relative"));
    }
    for bad in [json!("0600"), json!("0o440"), json!("rw"), json!("440 "), json!(440), json!(0o644), json!(-1), json!(true)] {
        let right = if bad.is_boolean() { "must be of type integer,string" } else { "mode must be one of 0400, 0440" };
        rows.push((binding, "/spec/files/0/mode", bad, "spec.files[0].mode", right));
    }
    for bad in ["KEYSTEAD_X", "A-B", "1A", "A=B"] {
        rows.push((binding, "/spec/env/0/name", json!(bad), "spec.env[0].name", "name must be letters, digits"));
    }
    for bad in ["Web", "a/b", "a*", "{{x}}", "-a", "../web"] {
        let accounts = "must be names of service accounts";
        rows.push((binding, "/spec/serviceAccounts", json!([bad]), "spec.serviceAccounts", accounts));
    }
    for bad in ["0s", "25h", "500ms"] {
        rows.push((binding, "/spec/refreshInterval", json!(bad), "spec.refreshInterval", interval));
    }
    for bad in ["/a", "a/", "a//b", "a/../b", "secret/data/*", "secret/data/+/a", "secret/data/{{x}}", "a b"] {
        let secrets = json!([{"name": "hubspot", "path": bad}]);
        rows.push((binding, "/spec/secrets", secrets, "spec.secrets[0].path", "path must be a Vault path"));
    }
    for bad in ["Web", "a/b", "-a", "a_b"] {
        let secret = "secretName must be the name of a Secret";
        rows.push((binding, "/spec/sync", json!({"secretName": bad}), "spec.sync.secretName", secret));
    }
    for (field, bad, right) in [
        ("cpu", "0", "cpu must be a quantity above zero"),
        ("cpu", "-10m", "cpu must be a quantity above zero"),
        ("cpu", "much", "cpu must be a quantity above zero"),
        ("memory", "4Mi", "memory must be a quantity of at least 8Mi"),
        ("memory", "16MB", "memory must be a quantity of at least 8Mi"),
    ] {
        let sidecar = json!({"resources": {field: bad}});
        rows.push((binding, "/spec/sidecar", sidecar, "spec.sidecar.resources", right));
    }
    rows
}

#[rustfmt::skip]
fn on_change_rows() -> Vec<Row> {
    let one = "onChange needs exactly one of signal, http and none";
    let call = |path: &str| json!({"port": 80, "path": path});
    let path = "path must begin with '/'";
    let mut rows: Vec<Row> = vec![
        (binding, "/spec/files", Value::Null, "spec.onChange", "spec.files has none"),
        (binding, "/spec/sidecar", json!({"mode": "Init"}), "spec.sidecar.mode Init", "leaves nobody who could tell"),
        (binding, "/spec/onChange", json!({}), "spec.onChange", one),
        (binding, "/spec/onChange/http", call("/"), "spec.onChange", one),
        (binding, "/spec/files/1/onChange/http", call("/"), "spec.files[1].onChange", one),
        (binding, "/spec/onChange/signal/name", json!("SIGKILL"), "spec.onChange.signal.name", "\"SIGHUP\""),
        (binding, "/spec/onChange/signal/name", json!("HUP"), "spec.onChange.signal.name", "\"SIGHUP\""),
        (binding, "/spec/onChange/signal/container", json!("a/b"), "signal.container", "must be the name of a container"),
        (binding, "/spec/onChange/signal/container", json!("keystead"), "signal.container", "not Keystead's own"),
        (binding, "/spec/onChange", json!({"http": {"port": 0}}), "http.port", "greater than or equal to 1"),
        (binding, "/spec/onChange", json!({"http": {"port": 65536}}), "http.port", "less than or equal to 65535"),
        (binding, "/spec/onChange", json!({"http": {"path": "/"}}), "http.port", "Required value"),
    ];
    for bad in ["reload", "http://example.org/", "/a b", "/a#b", "/a\r\nHost: b", "/é"] {
        rows.push((binding, "/spec/onChange", json!({"http": call(bad)}), "http.path", path));
    }
    rows
}
