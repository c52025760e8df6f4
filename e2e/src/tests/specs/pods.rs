//! Pods of all kinds: most could be, some are nonsense to the API server, and some are at odds with
//! Keystead.

use serde_json::{Map, Value, json};

use super::ACCOUNTS;

/// Numbers that look random and are the same for the same seed.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn roll(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ (number >> 31)
    }

    fn below(&mut self, count: usize) -> usize {
        let count = u64::try_from(count.max(1)).unwrap_or(1);
        usize::try_from(self.roll() % count).unwrap_or_default()
    }

    /// Whether one time in so many has come.
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }
}

/// Fields that are there one time in so many, and what they may be then.
type Table<'a> = &'a [(&'a str, usize, Value)];

/// Puts in what the dice say.
fn choose(dice: &mut Dice, fields: &mut Map<String, Value>, table: Table<'_>) {
    for (name, times, choices) in table {
        if let (true, Some(choices)) = (dice.once_in(*times), choices.as_array()) {
            fields.insert((*name).to_owned(), dice.of(choices));
        }
    }
}

/// A pod of one of the accounts.
pub(super) fn any(dice: &mut Dice) -> Value {
    // Half of them are such as the strictest namespaces take.
    let strict = dice.once_in(2);
    let mut spec = Map::new();
    spec.insert("serviceAccountName".to_owned(), json!(dice.of(&ACCOUNTS)));
    let volumes = volumes(dice, strict);
    let mut names: Vec<&str> = vec!["a", "b", "c", "d", "e", "web"];
    if dice.once_in(30) {
        names.insert(0, dice.of(&["keystead", "keystead-gate"]));
    }
    let mut made = |dice: &mut Dice| {
        let name = names.remove(dice.below(names.len().min(3)));
        container(dice, name, &volumes, strict)
    };
    let count = 1 + dice.below(3);
    let containers: Vec<Value> = (0..count).map(|_| made(dice)).collect();
    let count = dice.below(4).saturating_sub(1);
    let init: Vec<Value> = (0..count).map(|_| made(dice)).collect();
    let init: Vec<Value> = init.into_iter().map(|made| init_container(made, dice)).collect();
    spec.insert("containers".to_owned(), json!(containers));
    spec.insert("initContainers".to_owned(), json!(init));
    spec.insert("volumes".to_owned(), json!(volumes));
    whole(dice, &mut spec, strict);
    let mut metadata = json!({"name": "any", "labels": {"app": "any"}});
    if dice.once_in(6) {
        metadata["annotations"] = annotations(dice);
    }
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
}

fn annotations(dice: &mut Dice) -> Value {
    let (name, text) = dice.of(&[
        ("other.example/a", "b"),
        ("keystead.dev/containers", "a"),
        ("keystead.dev/mount-path", "/data/secrets"),
        ("keystead.dev/sidecar-port", "9200"),
        ("keystead.dev/sidecar-first", "false"),
        ("keystead.dev/sidecar-mode", "Exec"),
        ("keystead.dev/sidecar-mode", "Once"),
        ("keystead.dev/sidecar-cpu-limit", "1"),
        ("keystead.dev/refresh", "1m"),
        ("keystead.dev/injected", "copied"),
    ]);
    json!({name: text})
}

/// What a pod says as a whole.
fn whole(dice: &mut Dice, spec: &mut Map<String, Value>, strict: bool) {
    let gates = [json!([{"name": "example.com/later"}])];
    let conditions = [json!([{"conditionType": "example.com/fine"}])];
    let systems = json!([{"name": "linux"}, {"name": "linux"}, {"name": "windows"}]);
    let nodes = json!([{"kubernetes.io/os": "linux"}, {"kubernetes.io/os": "windows"}]);
    choose(
        dice,
        spec,
        &[
            ("restartPolicy", 2, json!(["Never", "OnFailure", "Always"])),
            ("terminationGracePeriodSeconds", 3, json!([0, 1, 600])),
            ("activeDeadlineSeconds", 8, json!([60])),
            ("shareProcessNamespace", 4, json!([true, false])),
            ("automountServiceAccountToken", 4, json!([false, true])),
            ("enableServiceLinks", 6, json!([false])),
            ("dnsPolicy", 6, json!(["Default", "ClusterFirst"])),
            ("hostname", 8, json!(["box"])),
            ("imagePullSecrets", 5, json!([[{"name": "own"}], []])),
            ("schedulingGates", 15, json!(gates)),
            ("readinessGates", 15, json!(conditions)),
            ("tolerations", 10, json!([[{"operator": "Exists"}]])),
            ("os", 8, systems),
            ("nodeSelector", 10, nodes),
            ("resources", 6, own_resources()),
        ],
    );
    let mut context = Map::new();
    if strict {
        context.insert("runAsNonRoot".to_owned(), json!(true));
        context.insert("seccompProfile".to_owned(), json!({"type": "RuntimeDefault"}));
    } else {
        let host = [("hostNetwork", 6, json!([true])), ("hostPID", 12, json!([true]))];
        choose(dice, spec, &host);
        choose(dice, spec, &[("hostUsers", 12, json!([false]))]);
        choose(dice, &mut context, &[("runAsNonRoot", 6, json!([true, false]))]);
    }
    choose(
        dice,
        &mut context,
        &[
            ("runAsUser", 3, json!([1000, 65532, 0])),
            ("runAsGroup", 5, json!([1000, 0])),
            ("fsGroup", 4, json!([2000, 0])),
            ("fsGroupChangePolicy", 10, json!(["OnRootMismatch"])),
            ("supplementalGroups", 8, json!([[4000]])),
            ("windowsOptions", 25, json!([{"runAsUserName": "ContainerUser"}])),
        ],
    );
    if !context.is_empty() || dice.once_in(4) {
        spec.insert("securityContext".to_owned(), json!(context));
    }
}

fn own_resources() -> Value {
    let large = json!({"cpu": "4", "memory": "4Gi"});
    // What one container may ask for, and nothing to spare.
    let tight = json!({"cpu": "100m", "memory": "64Mi"});
    json!([
        {},
        {"limits": large},
        {"requests": large, "limits": large},
        {"requests": {"cpu": "4"}},
        {"limits": {"memory": "4Gi"}},
        {"requests": tight},
        {"limits": {"cpu": "100m"}},
    ])
}

fn volumes(dice: &mut Dice, strict: bool) -> Vec<Value> {
    let token = json!({"serviceAccountToken": {"path": "token", "audience": "other"}});
    let mut kinds = vec![
        json!({"emptyDir": {}}),
        json!({"emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}),
        json!({"configMap": {"name": "settings", "optional": true}}),
        json!({"secret": {"secretName": "own"}}),
        json!({"projected": {"sources": [token]}}),
        json!({"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}}),
        json!({"persistentVolumeClaim": {"claimName": "data"}}),
    ];
    if !strict {
        kinds.push(json!({"hostPath": {"path": "/tmp"}}));
    }
    let count = dice.below(4);
    let mut volumes: Vec<Value> = (0..count)
        .map(|number| {
            let mut volume = dice.of(&kinds);
            volume["name"] = json!(format!("v{number}"));
            volume
        })
        .collect();
    if dice.once_in(30) {
        let name = dice.of(&["keystead", "keystead-private", "keystead-token"]);
        volumes.push(json!({"name": name, "emptyDir": {}}));
    }
    volumes
}

fn init_container(mut container: Value, dice: &mut Dice) -> Value {
    let fields = container.as_object_mut();
    if let Some(fields) = fields {
        if dice.once_in(3) {
            fields.insert("restartPolicy".to_owned(), json!("Always"));
        } else {
            for name in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
                fields.remove(name);
            }
        }
    }
    container
}

fn container(dice: &mut Dice, name: &str, volumes: &[Value], strict: bool) -> Value {
    let mut fields = Map::new();
    fields.insert("name".to_owned(), json!(name));
    fields.insert("image".to_owned(), json!("example.com/any:1"));
    let check = json!({"exec": {"command": ["true"]}});
    let http = json!({"httpGet": {"path": "/", "port": 8080}});
    let checks = json!([check, http, {"tcpSocket": {"port": 9102}}, {"grpc": {"port": 9000}}]);
    let settings = json!([[{"configMapRef": {"name": "settings", "optional": true}}]]);
    let (variables, port, mounts) = (env(dice, volumes), port(dice, strict), mounts(dice, volumes));
    choose(
        dice,
        &mut fields,
        &[
            (
                "command",
                2,
                json!([["/bin/any", "$(MAIL)", "$$(A)"], ["any"], []]),
            ),
            ("args", 3, json!([["-v", "$(A)"]])),
            ("workingDir", 10, json!(["/keystead", "/tmp"])),
            ("env", 2, json!([variables])),
            ("envFrom", 8, settings),
            ("ports", 3, json!([[port]])),
            ("resources", 2, resources()),
            ("livenessProbe", 6, checks.clone()),
            ("readinessProbe", 6, checks.clone()),
            ("startupProbe", 10, checks),
            ("lifecycle", 8, json!([{"preStop": check}, {"postStart": http}])),
            ("imagePullPolicy", 6, json!(["Never", "Always"])),
            ("terminationMessagePolicy", 10, json!(["FallbackToLogsOnError"])),
            ("stdin", 12, json!([true])),
            ("volumeMounts", 1, json!([mounts])),
        ],
    );
    if let Some(claim) = volumes.iter().find(|volume| is_claim(volume)) {
        let place = dice.of(&["/dev/block", "/keystead", "/keystead/disk"]);
        let device = json!([[{"name": claim["name"], "devicePath": place}]]);
        choose(dice, &mut fields, &[("volumeDevices", 10, device)]);
    }
    fields.insert("securityContext".to_owned(), json!(security(dice, strict)));
    json!(fields)
}

fn is_claim(volume: &Value) -> bool {
    volume.get("persistentVolumeClaim").is_some()
}

fn security(dice: &mut Dice, strict: bool) -> Map<String, Value> {
    let mut context = Map::new();
    let users = ("runAsUser", if strict { 8 } else { 4 }, json!([1000, 1001, 0]));
    choose(
        dice,
        &mut context,
        &[users, ("readOnlyRootFilesystem", 3, json!([true]))],
    );
    if strict {
        context.insert("allowPrivilegeEscalation".to_owned(), json!(false));
        context.insert("capabilities".to_owned(), json!({"drop": ["ALL"]}));
    } else {
        let more = json!([{"add": ["NET_ADMIN"]}]);
        choose(
            dice,
            &mut context,
            &[("privileged", 10, json!([true])), ("capabilities", 8, more)],
        );
    }
    context
}

fn env(dice: &mut Dice, volumes: &[Value]) -> Vec<Value> {
    let secret = json!({"secretKeyRef": {"name": "own", "key": "k", "optional": true}});
    let mut usual = vec![
        json!({"name": "URL", "value": "https://$(MAIL)@x/$$(A)"}),
        json!({"name": "EMPTY"}),
        json!({"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}),
        json!({"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}),
        json!({"name": "S", "valueFrom": secret}),
    ];
    let file = |volume: &Value| json!({"fileKeyRef": {"volumeName": volume, "path": "env", "key": "F"}});
    let empty = volumes.iter().find(|volume| volume.get("emptyDir").is_some());
    usual.extend(empty.map(|volume| json!({"name": "F", "valueFrom": file(&volume["name"])})));
    let mut env: Vec<Value> = (0..=dice.below(3)).map(|_| dice.of(&usual)).collect();
    if dice.once_in(15) {
        env.push(dice.of(&[
            json!({"name": "MAIL", "value": "own"}),
            json!({"name": "KEYSTEAD_READY", "value": ""}),
            json!({"name": "F", "valueFrom": file(&json!("keystead-private"))}),
        ]));
    }
    env
}

fn port(dice: &mut Dice, strict: bool) -> Value {
    let mut port = json!({"containerPort": dice.of(&[80, 8080, 8080, 9102, 9200])});
    if dice.once_in(3) {
        port["name"] = json!(dice.of(&["http", "keystead"]));
    }
    if dice.once_in(6) {
        port["protocol"] = json!("UDP");
    }
    if !strict && dice.once_in(10) {
        port["hostPort"] = port["containerPort"].clone();
    }
    port
}

fn resources() -> Value {
    let small = json!({"cpu": "100m", "memory": "64Mi"});
    let guaranteed = json!({"limits": {"cpu": "0.1", "memory": "64Mi"}, "requests": {"cpu": "100m"}});
    json!([
        {},
        {"limits": {"cpu": "0"}},
        // Guaranteed pods are rare enough.
        {"limits": small, "requests": small},
        {"limits": small, "requests": small},
        {"limits": small},
        guaranteed,
        {"requests": small},
        {"limits": {"memory": "64Mi"}},
        {"requests": {"cpu": "1m"}, "limits": {"cpu": "2"}},
        {"requests": {"ephemeral-storage": "1Mi"}},
    ])
}

fn mounts(dice: &mut Dice, volumes: &[Value]) -> Vec<Value> {
    let usual = ["/data", "/etc/app", "/var/lib/x", "/keystead-private", "/"];
    let odd = ["/keystead", "/keystead/", "keystead", "/keystead/more"];
    let mut mounts: Vec<Value> = Vec::new();
    for volume in volumes.iter().filter(|volume| !is_claim(volume)) {
        if dice.once_in(2) {
            continue;
        }
        let place = if dice.once_in(25) {
            dice.of(&odd)
        } else {
            usual[mounts.len() % usual.len()]
        };
        let mut mount = json!({"name": volume["name"], "mountPath": place});
        if dice.once_in(3) {
            mount["readOnly"] = json!(true);
        }
        if dice.once_in(6) {
            mount["subPath"] = json!("sub");
        }
        mounts.push(mount);
    }
    if dice.once_in(60) {
        mounts.push(json!({"name": "keystead-token", "mountPath": "/stolen"}));
    }
    mounts
}
