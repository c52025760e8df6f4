//! One line of what is replaced: pure.

use crate::output;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use keystead_crds::credential::RotationMethod;
use keystead_crds::{Credential, DatabaseRole, EncryptionKey};
use kube::ResourceExt;
use serde::Serialize;
use std::time::Duration;

/// One object whose values change.
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    name: String,
    /// Who replaces it, and how.
    method: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    rotated: Option<Time>,
    /// How often it was replaced; none where nobody counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    held_by: Option<String>,
}

impl Row {
    /// None of a Credential that is not replaced and never was.
    pub(super) fn of_credential(found: &Credential) -> Option<Self> {
        let status = found.status.as_ref();
        let known = status.and_then(|status| status.rotation.as_ref());
        let count = known.map_or(0, |known| known.count);
        let method = match &found.spec.rotation {
            None if count == 0 => return None,
            None => "on demand",
            Some(rotation) => match rotation.method {
                RotationMethod::Generate => "Generate",
                RotationMethod::Webhook => "Webhook",
                RotationMethod::None => "people",
            },
        };
        Some(Self {
            method: method.into(),
            rotated: known.and_then(|known| known.last.clone()),
            count: Some(count),
            due: known.and_then(|known| known.due.clone()),
            held_by: status.and_then(|status| status.held_by.clone()),
            ..Self::named("Credential", found)
        })
    }

    /// A dynamic role has nothing that is due: each of its users lives so long at most.
    pub(super) fn of_role(found: &DatabaseRole) -> Self {
        let status = found.status.as_ref();
        let method = match &found.spec.dynamic {
            Some(dynamic) => {
                let longest = output::span(dynamic.max_ttl.into());
                format!("Vault: a user each, for {longest} at most")
            }
            None => "Vault".to_owned(),
        };
        Self {
            method,
            rotated: status.and_then(|status| status.rotated_at.clone()),
            due: status.and_then(|status| status.due.clone()),
            held_by: status.and_then(|status| status.held_by.clone()),
            ..Self::named("DatabaseRole", found)
        }
    }

    /// None of a key that is not replaced and never was.
    pub(super) fn of_key(found: &EncryptionKey) -> Option<Self> {
        let status = found.status.as_ref();
        let rotation = found.spec.rotation.as_ref().filter(|rotation| rotation.enabled);
        let rotated = status.and_then(|status| status.rotated_at.clone());
        let count = status.and_then(|status| status.latest_version).unwrap_or(1) - 1;
        let due = rotation.zip(rotated.as_ref()).and_then(|(rotation, at)| {
            let every = SignedDuration::try_from(Duration::from(rotation.every)).ok()?;
            at.0.checked_add(every).ok().map(Time)
        });
        (rotation.is_some() || count > 0).then(|| Self {
            method: if rotation.is_some() { "Vault" } else { "on demand" }.into(),
            rotated,
            count: Some(count),
            due,
            ..Self::named("EncryptionKey", found)
        })
    }

    fn named(kind: &'static str, found: &impl ResourceExt) -> Self {
        Self {
            kind,
            namespace: found.namespace(),
            name: found.name_any(),
            ..Self::default()
        }
    }

    fn is_overdue(&self, now: Timestamp) -> bool {
        self.due.as_ref().is_some_and(|due| due.0 < now)
    }

    fn cells(&self, now: Timestamp) -> [String; 7] {
        let time = |time: &Time| time.0.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let late = if self.is_overdue(now) { " (overdue)" } else { "" };
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        [
            or_none(self.namespace.clone()),
            format!("{}/{}", self.kind.to_lowercase(), self.name),
            or_none(self.due.as_ref().map(|due| time(due) + late)),
            or_none(self.rotated.as_ref().map(time)),
            or_none(self.count.map(|count| count.to_string())),
            self.method.clone(),
            or_none(self.held_by.clone()),
        ]
    }
}

/// What is overdue first, then what is due next; last what nothing is due of.
pub(super) fn sort(rows: &mut [Row], now: Timestamp) {
    rows.sort_by_cached_key(|row| {
        let due = row.due.as_ref().map(|due| due.0);
        (
            !row.is_overdue(now),
            due.is_none(),
            due,
            row.namespace.clone(),
            row.kind,
            row.name.clone(),
        )
    });
}

/// What people read.
pub(super) fn table(rows: &[Row], now: Timestamp) -> String {
    if rows.is_empty() {
        return "Nothing here is replaced: no Credential has spec.rotation, and there is no DatabaseRole."
            .into();
    }
    let head = ["NAMESPACE", "NAME", "DUE", "ROTATED", "TIMES", "BY", "HELD BY"].map(str::to_owned);
    let rows = rows.iter().map(|row| row.cells(now));
    output::table(&[head].into_iter().chain(rows).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, from_value, json};

    const NOW: &str = "2026-11-22T12:00:00Z";

    fn credential(name: &str, rotation: &Value, status: &Value) -> Option<Row> {
        let mut spec = json!({"scopeRef": {"name": "acme"}, "service": name, "keys": []});
        if !rotation.is_null() {
            spec["rotation"] = rotation.clone();
        }
        let all = json!({
            "apiVersion": "keystead.dev/v1alpha1", "kind": "Credential",
            "metadata": {"namespace": "shop", "name": name}, "spec": spec, "status": status,
        });
        Row::of_credential(&from_value(all).unwrap())
    }

    fn role(spec: &Value, status: &Value) -> Row {
        let mut spec = spec.clone();
        spec["connectionRef"] = json!({"name": "orders"});
        let all = json!({
            "apiVersion": "keystead.dev/v1alpha1", "kind": "DatabaseRole",
            "metadata": {"namespace": "shop", "name": "db"}, "spec": spec, "status": status,
        });
        Row::of_role(&from_value(all).unwrap())
    }

    fn key(rotation: &Value, version: i64) -> Option<Row> {
        let all = json!({
            "apiVersion": "keystead.dev/v1alpha1", "kind": "EncryptionKey", "metadata": {"name": "k"},
            "spec": {"providerRef": {"name": "p"}, "type": "aes256-gcm96", "rotation": rotation},
            "status": {"latestVersion": version, "rotatedAt": "2026-11-22T11:00:00Z"},
        });
        Row::of_key(&from_value(all).unwrap())
    }

    #[test]
    fn what_is_overdue_comes_first_and_what_is_never_due_last() {
        let now: Timestamp = NOW.parse().unwrap();
        let due = |name: &str, due: &str| {
            let status = json!({"heldBy": "1: shop/web", "rotation": {"count": 2, "due": due}});
            credential(name, &json!({"every": "24h"}), &status).unwrap()
        };
        let dynamic = json!({"dynamic": {"preset": "readOnly", "maxTtl": "24h"}});
        let mut rows = vec![
            role(&dynamic, &json!({"heldBy": "2: shop/a, shop/b"})),
            due("next", "2026-11-23T12:00:00Z"),
            due("soon", "2026-11-22T13:00:00Z"),
            due("late", "2026-11-22T11:00:00Z"),
        ];
        sort(&mut rows, now);
        let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["late", "soon", "next", "db"]);
        let table = table(&rows, now);
        for part in [
            "shop       credential/late  2026-11-22T11:00:00Z (overdue)  -        2      Generate",
            "credential/soon  2026-11-22T13:00:00Z            -",
            "a user each, for 24h at most  2: shop/a, shop/b",
        ] {
            assert!(table.contains(part), "{part:?} in\n{table}");
        }
    }

    #[test]
    fn what_is_never_replaced_is_not_shown() {
        assert_eq!(credential("a", &Value::Null, &json!({})), None);
        assert_eq!(
            credential("a", &Value::Null, &json!({"rotation": {"count": 0}})),
            None
        );
        let asked = credential("a", &Value::Null, &json!({"rotation": {"count": 1}})).unwrap();
        assert_eq!((asked.method.as_str(), asked.count), ("on demand", Some(1)));
        assert_eq!(key(&Value::Null, 1), None);
        assert!(table(&[], Timestamp::UNIX_EPOCH).contains("Nothing here is replaced"));
    }

    #[test]
    fn a_key_is_due_when_its_version_is_as_old_as_it_may_be() {
        let due = |rotation: &Value| key(rotation, 3).and_then(|row| row.due);
        assert_eq!(
            due(&json!({"every": "24h"})),
            Some(Time("2026-11-23T11:00:00Z".parse().unwrap()))
        );
        assert_eq!(due(&json!({"every": "24h", "enabled": false})), None);
        assert_eq!(key(&Value::Null, 3).unwrap().count, Some(2));
    }
}
