//! What a pod gets, for people.

use super::report::{Lack, Report, Shown};
use super::settings::Setting;
use crate::output;
use keystead_crds::names::INJECTED_ANNOTATION;

impl Report {
    /// A few lines of who it is, then tables.
    pub(crate) fn text(&self) -> String {
        let parts = [
            self.head(),
            self.values(),
            self.missing(),
            self.on_change(),
            self.defaults(),
        ];
        let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.join("\n")
    }

    fn head(&self) -> String {
        let Self {
            namespace,
            service_account,
            ..
        } = self;
        let who = match (&self.pod, &self.node) {
            (None, _) => format!("Service account {namespace}/{service_account}"),
            (Some(pod), None) => format!("Pod {namespace}/{pod}, service account {service_account}"),
            (Some(pod), Some(node)) => {
                format!("Pod {namespace}/{pod}, service account {service_account}, node {node}")
            }
        };
        let lacks = match (&self.pod, self.lacks_node) {
            (_, false) => "",
            (None, true) => " (no pod is named, so no node's)",
            (Some(_), true) => " (it has no node yet, so no node's)",
        };
        let note = if self.injected == Some(false) {
            format!(
                "This pod has no sidecar of Keystead's (no annotation {INJECTED_ANNOTATION}): one that had would get this.\n"
            )
        } else {
            String::new()
        };
        format!(
            "{who}\nprovider  {}\nbindings  {}\nscopes    {}{lacks}\n{note}",
            self.provider,
            self.bindings.join(", "),
            self.scopes.join(", "),
        )
    }

    fn values(&self) -> String {
        if self.values.is_empty() {
            return String::new();
        }
        let mut rows =
            vec![["SECRET", "KEY", "VALUE", "FROM", "VERSION", "WHY", "GOES TO"].map(str::to_owned)];
        rows.extend(self.values.iter().map(|value| {
            let version = value.version.map(|version| version.to_string());
            [
                value.secret.clone(),
                value.key.clone(),
                value.value.clone(),
                value.from.clone(),
                version.unwrap_or_else(|| "-".into()),
                value.why.clone(),
                value.goes_to(),
            ]
        }));
        output::table(&rows)
    }

    fn missing(&self) -> String {
        let line = |Lack {
                        secret,
                        problem,
                        optional,
                        ..
                    }: &Lack| {
            let may = if *optional {
                "optional, left out"
            } else {
                "the pod waits for it"
            };
            format!("missing  {secret}: {problem} ({may})\n")
        };
        self.missing.iter().map(line).collect()
    }

    fn on_change(&self) -> String {
        if self.on_change.is_empty() {
            return String::new();
        }
        let mut rows = vec![["FILE", "WHEN IT CHANGES"].map(str::to_owned)];
        rows.extend(
            self.on_change
                .iter()
                .map(|told| [told.file.clone(), told.tells.clone()]),
        );
        output::table(&rows)
    }

    fn defaults(&self) -> String {
        let mut rows = vec![["SETTING", "VALUE", "FROM"].map(str::to_owned)];
        rows.extend(
            self.defaults
                .all()
                .map(|(name, Setting { value, from })| [name.to_owned(), value.clone(), from.clone()]),
        );
        output::table(&rows)
    }
}

impl Shown {
    fn goes_to(&self) -> String {
        let env = self.env.iter().map(|name| format!("${name}"));
        let places: Vec<String> = self.files.iter().cloned().chain(env).collect();
        if places.is_empty() {
            "-".into()
        } else {
            places.join(", ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::settings::{Defaults, Told};

    fn value(key: &str, version: Option<u64>, why: &str, files: &[&str], env: &[&str]) -> Shown {
        let texts = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect();
        Shown {
            secret: "web/crm".into(),
            key: key.into(),
            value: "••••51c0".into(),
            from: "company acme".into(),
            version,
            why: why.into(),
            not_in: Vec::new(),
            overrides: Vec::new(),
            files: texts(files),
            env: texts(env),
        }
    }

    #[test]
    fn people_read_who_and_tables() {
        let setting = |value: &str| Setting {
            value: value.into(),
            from: "built in".into(),
        };
        let report = Report {
            namespace: "shop".into(),
            pod: Some("web-1".into()),
            injected: Some(false),
            service_account: "web".into(),
            node: None,
            provider: "p".into(),
            bindings: vec!["web".into()],
            scopes: vec!["company acme".into(), "global".into()],
            lacks_node: true,
            values: vec![
                value("a", Some(3), "overrides global", &["/keystead/crm.env"], &["CRM"]),
                value("b", None, "no other has it", &[], &[]),
            ],
            missing: vec![Lack {
                secret: "web/crm".into(),
                key: Some("c".into()),
                searched: Vec::new(),
                problem: "no value for crm/c in global".into(),
                optional: true,
            }],
            on_change: vec![Told {
                file: "/keystead/crm.env".into(),
                tells: "SIGHUP to container web".into(),
            }],
            defaults: Defaults {
                mode: setting("Init"),
                place: setting("first"),
                containers: setting("all"),
                mount_path: setting("/keystead"),
                refresh_interval: setting("60s"),
                sidecar_cpu: setting("10m"),
                sidecar_memory: setting("16Mi"),
            },
        };
        let wanted = "\
Pod shop/web-1, service account web
provider  p
bindings  web
scopes    company acme, global (it has no node yet, so no node's)
This pod has no sidecar of Keystead's (no annotation keystead.dev/injected): one that had would get this.

SECRET   KEY  VALUE     FROM          VERSION  WHY               GOES TO
web/crm  a    ••••51c0  company acme  3        overrides global  /keystead/crm.env, $CRM
web/crm  b    ••••51c0  company acme  -        no other has it   -

missing  web/crm: no value for crm/c in global (optional, left out)

FILE               WHEN IT CHANGES
/keystead/crm.env  SIGHUP to container web

SETTING           VALUE      FROM
mode              Init       built in
place             first      built in
containers        all        built in
mount path        /keystead  built in
refresh interval  60s        built in
sidecar cpu       10m        built in
sidecar memory    16Mi       built in
";
        assert_eq!(report.text(), wanted);
    }
}
