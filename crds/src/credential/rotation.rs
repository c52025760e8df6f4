//! `Credential.spec.rotation`: when values are replaced, and by whom.

use crate::common::LocalSecretKeyReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use kube::core::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When the values of a Credential are replaced, and by whom.
///
/// Without `every` and `schedule` those of type Database are replaced every 24h, those of type ApiKey and
/// Storage every 168h.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.every) && has(self.schedule))").message("every and schedule exclude each other: keep one"))]
#[x_kube(validation = Rule::new("!has(self.timeZone) || has(self.schedule) || has(self.window)").message("timeZone is for schedule and window: there is none of them"))]
#[x_kube(validation = Rule::new("(self.method == 'Webhook') == has(self.webhook)").message("webhook says whom to ask where method is Webhook, and is left out otherwise"))]
pub struct Rotation {
    /// How old a value gets at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1m') && duration(self) <= duration('87600h')").message("every must be between 1m and 87600h"))]
    pub every: Option<Duration>,
    /// When values are replaced, as cron has it: minute, hour, day of the month, month, day of the week,
    /// such as `30 3 * * SUN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 9, max = 128))]
    #[x_kube(validation = Rule::new("self.matches('^[^ ]+( +[^ ]+){4}$')")
        .message("schedule must be the five fields of cron (minute, hour, day of the month, month, day of the week), e.g. 30 3 * * SUN"))]
    pub schedule: Option<String>,
    /// The time zone of `schedule` and `window`, such as `Europe/Berlin`; UTC where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z][-+_A-Za-z0-9]*(/[-+_A-Za-z0-9]+)*$')").message("timeZone must be a name of the IANA database, such as Europe/Berlin or UTC"))]
    pub time_zone: Option<String>,
    /// The only time in which values are replaced; what is due outside of it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<RotationWindow>,
    /// Where new values come from.
    #[serde(default)]
    pub method: RotationMethod,
    /// Whom to ask for new values, with the method `Webhook`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<RotationWebhook>,
    /// How long the value before is kept beside the new one, as the key `<key>_previous`; not at all
    /// where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('87600h')").message("keepPrevious must be between 1s and 87600h"))]
    pub keep_previous: Option<Duration>,
}

/// Where new values come from.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum RotationMethod {
    /// Keystead makes them: those of keys with `from.generate`.
    #[default]
    Generate,
    /// An endpoint of yours is asked: for those of keys with `from.webhook`.
    Webhook,
    /// People bring them: a condition, an event and a metric remind. What they bring counts as a rotation.
    None,
}

/// A time of the day on some days.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
pub struct RotationWindow {
    /// The days on which it begins; every day where it is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 7))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub days: Vec<Weekday>,
    /// When it begins, such as `02:00`.
    #[schemars(length(min = 5, max = 5))]
    #[x_kube(validation = Rule::new("self.matches('^([01][0-9]|2[0-3]):[0-5][0-9]$')").message("from must be a time of the day, such as 02:00"))]
    pub from: String,
    /// When it ends, such as `04:30`; on the next day where that is not after `from`.
    #[schemars(length(min = 5, max = 5))]
    #[x_kube(validation = Rule::new("self.matches('^([01][0-9]|2[0-3]):[0-5][0-9]$')").message("to must be a time of the day, such as 04:30"))]
    pub to: String,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the days of the week")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

/// An endpoint that makes new values.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RotationWebhook {
    /// Where it is. The provider must open it to the namespace (`rotationWebhooks`).
    #[schemars(length(min = 9, max = 512))]
    #[x_kube(validation = Rule::new("self.matches('^https://[A-Za-z0-9]([-.A-Za-z0-9]*[A-Za-z0-9])?(:[0-9]{1,5})?(/[-._~A-Za-z0-9]+)*/?$') && !self.contains('/.')")
        .message("url must be https://host[:port]/path of letters, digits, '-', '.', '_' and '~', without a query or a user"))]
    pub url: String,
    /// The key that requests are signed with (HMAC with SHA-256, as webhook-signature): a key of a Secret in
    /// the Credential's namespace, of at least 16 characters.
    pub signing_secret_ref: LocalSecretKeyReference,
    /// PEM certificates of the authorities that may have signed the endpoint's certificate; the system's
    /// where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65536))]
    pub ca_bundle: Option<String>,
}

/// What is known of a Credential's rotation.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct RotationStatus {
    /// When the values were replaced last; before the first time, since when they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Time>,
    /// How often they were.
    #[serde(default)]
    pub count: i64,
    /// When they are to be replaced next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Time>,
    /// The value of the annotation `keystead.dev/rotate` that was followed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub followed: Option<String>,
}
