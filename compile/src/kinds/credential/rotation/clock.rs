//! Schedules and windows, in their time zone.

use super::invalid;
use crate::Problem;
use cronexpr::Crontab;
use k8s_openapi::jiff::civil::{self, Time};
use k8s_openapi::jiff::tz::TimeZone;
use k8s_openapi::jiff::{Span, Timestamp, Zoned};
use keystead_crds::credential::{Rotation, RotationWindow, Weekday};
use std::time::Duration;

/// The longest time that rotations of one moment are spread over.
const SPREAD: Duration = Duration::from_mins(10);
/// How many days are looked at for a window: two weeks and the day before, for daylight saving may take one away.
const DAYS: i64 = 16;

/// When values may be replaced.
pub(super) struct Clock {
    zone: TimeZone,
    schedule: Option<Crontab>,
    window: Option<Window>,
}

struct Window {
    days: Vec<civil::Weekday>,
    from: Time,
    to: Time,
}

impl Clock {
    /// Says what is wrong with it.
    pub(super) fn new(rotation: &Rotation) -> Result<Self, Problem> {
        let name = rotation.time_zone.as_deref().unwrap_or("UTC");
        let zone = TimeZone::get(name).map_err(|_| {
            invalid(&format!(
                "timeZone: {name} is not in the IANA database: expected a name such as Europe/Berlin or UTC"
            ))
        })?;
        let schedule = rotation.schedule.as_ref().map(|text| {
            cronexpr::parse_crontab(&format!("{text} {name}")).map_err(|why| {
                let why = why.to_string();
                let why = why.lines().last().unwrap_or_default().trim();
                invalid(&format!(
                    "schedule: {text} is no schedule ({why}): expected minute, hour, day of the month, month and day of the week, such as 30 3 * * SUN"
                ))
            })
        });
        Ok(Self {
            zone,
            schedule: schedule.transpose()?,
            window: rotation.window.as_ref().map(Window::new).transpose()?,
        })
    }

    /// The next time after another by the schedule; none where there is none, or it never comes.
    pub(super) fn next(&self, after: Timestamp) -> Result<Option<Timestamp>, Problem> {
        let Some(schedule) = &self.schedule else {
            return Ok(None);
        };
        let after = cronexpr::MakeTimestamp(after);
        let next = schedule.find_next(after);
        next.map(|next| Some(next.timestamp()))
            .map_err(|_| invalid("schedule: it never comes: there is no such date in the next four years"))
    }

    /// The first moment in the window that is not before another: that one, or the beginning of the next
    /// window, later by a share of a part of it.
    pub(super) fn open(&self, at: Timestamp, share: f64) -> Option<Timestamp> {
        let Some(window) = &self.window else {
            return Some(at);
        };
        let local = at.to_zoned(self.zone.clone());
        let day = local.date().checked_sub(Span::new().days(1)).ok()?;
        (0..DAYS).find_map(|ahead| {
            let day = day.checked_add(Span::new().days(ahead)).ok()?;
            let (begin, end) = window.on(day, &self.zone)?;
            (at < end).then(|| {
                let part = Duration::try_from(end.duration_since(begin)).unwrap_or_default() / 2;
                let spread = begin
                    .checked_add(part.min(SPREAD).mul_f64(share))
                    .unwrap_or(begin);
                if at >= begin { at } else { spread }
            })
        })
    }
}

impl Window {
    fn new(window: &RotationWindow) -> Result<Self, Problem> {
        let time = |field: &str, text: &str| {
            let parsed: Result<Time, _> = format!("{text}:00").parse();
            parsed.map_err(|_| {
                invalid(&format!(
                    "window.{field}: {text} is no time of the day: expected one such as 02:00"
                ))
            })
        };
        Ok(Self {
            days: window.days.iter().map(|day| weekday(*day)).collect(),
            from: time("from", &window.from)?,
            to: time("to", &window.to)?,
        })
    }

    /// Its beginning and its end, if it begins on a day.
    fn on(&self, day: civil::Date, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
        if !self.days.is_empty() && !self.days.contains(&day.weekday()) {
            return None;
        }
        let next = if self.to > self.from {
            day
        } else {
            day.tomorrow().ok()?
        };
        let at =
            |day: civil::Date, time| -> Option<Zoned> { day.to_datetime(time).to_zoned(zone.clone()).ok() };
        let (begin, end) = (at(day, self.from)?.timestamp(), at(next, self.to)?.timestamp());
        // Of one that daylight saving takes away nothing is left.
        (begin < end).then_some((begin, end))
    }
}

const fn weekday(day: Weekday) -> civil::Weekday {
    match day {
        Weekday::Monday => civil::Weekday::Monday,
        Weekday::Tuesday => civil::Weekday::Tuesday,
        Weekday::Wednesday => civil::Weekday::Wednesday,
        Weekday::Thursday => civil::Weekday::Thursday,
        Weekday::Friday => civil::Weekday::Friday,
        Weekday::Saturday => civil::Weekday::Saturday,
        Weekday::Sunday => civil::Weekday::Sunday,
    }
}
