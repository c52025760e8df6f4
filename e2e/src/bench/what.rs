//! What is measured of the operator, and what must be reached.

use clap::ValueEnum as _;

use super::report::{Bound, Limit, Measure};
use crate::args::{BENCH_OBJECTS, Row};

/// What is measured in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// From the start of the process until every object is Ready.
    Ready,
    /// CPU that the process has used by then.
    Cpu,
    /// The most memory it had until then.
    Peak,
    /// From a second start until it has nothing to do.
    Settled,
    /// CPU used by then.
    SettledCpu,
    /// From a second start until every object was read in Vault, each in its turn.
    LookedAt,
    /// CPU used by then.
    LookCpu,
    /// Memory by then.
    LookPeak,
    /// Writes to Vault after a second start, by its audit file.
    VaultWrites,
    /// Writes to the API server, by its metrics.
    ClusterWrites,
    /// Logins, and what else concerns the operator's own token only.
    OwnToken,
    /// CPU of an operator that has nothing to do.
    Rest,
    /// Memory without Secrets of others.
    PeakWithout,
    /// Memory with them.
    PeakWith,
}

/// What must be reached, and who else was measured.
struct Wanted {
    row: Row,
    what: What,
    at_most: f64,
    peer: &'static str,
}

const BOUNDS: &[Wanted] = &[
    bound(
        Row::Credentials,
        What::Ready,
        3.0,
        "External Secrets' PushSecret 19.7",
    ),
    bound(
        Row::Credentials,
        What::Cpu,
        0.6,
        "External Secrets' PushSecret 5.9",
    ),
    bound(
        Row::Credentials,
        What::Peak,
        18.0,
        "External Secrets' PushSecret 176",
    ),
    bound(Row::Bindings, What::Ready, 3.0, "vault-config-operator 18.2"),
    bound(Row::Bindings, What::Cpu, 0.6, "vault-config-operator 4.9"),
    bound(Row::Bindings, What::Peak, 18.0, "vault-config-operator 155"),
    bound(Row::Sync, What::Ready, 4.0, "Vault Secrets Operator 12.9"),
    bound(Row::Sync, What::VaultWrites, 0.0, ""),
    bound(Row::Sync, What::ClusterWrites, 0.0, ""),
    bound(Row::Many, What::Peak, 40.0, ""),
    bound(Row::Many, What::Rest, 0.5, ""),
    bound(Row::Credentials, What::Settled, 0.5, ""),
    bound(Row::Credentials, What::VaultWrites, 0.0, ""),
    bound(Row::Credentials, What::ClusterWrites, 0.0, ""),
    bound(Row::Bindings, What::Settled, 0.5, ""),
    bound(Row::Bindings, What::VaultWrites, 0.0, ""),
    bound(Row::Bindings, What::ClusterWrites, 0.0, ""),
];

const fn bound(row: Row, what: What, at_most: f64, peer: &'static str) -> Wanted {
    Wanted {
        row,
        what,
        at_most,
        peer,
    }
}

/// What people call a row.
pub(super) fn name(row: Row) -> String {
    row.to_possible_value()
        .map_or_else(String::new, |value| value.get_name().to_owned())
}

impl What {
    const fn title(self) -> &'static str {
        match self {
            Self::Ready => "start until all are Ready",
            Self::Settled => "second start until nothing is to do",
            Self::LookedAt => "second start until all were looked at, in their turn",
            Self::Cpu => "CPU until all are Ready",
            Self::SettledCpu => "CPU until nothing is to do",
            Self::LookCpu => "CPU until all were looked at",
            Self::Peak => "peak memory until all are Ready",
            Self::LookPeak => "peak memory until all were looked at",
            Self::VaultWrites => "writes to Vault after a second start",
            Self::ClusterWrites => "writes to the API server after a second start",
            Self::OwnToken => "requests about the operator's own token",
            Self::Rest => "CPU at rest",
            Self::PeakWithout => "peak memory without Secrets of others",
            Self::PeakWith => "peak memory with five times as many, 100 KiB each",
        }
    }

    /// In what people read it.
    const fn unit(self) -> &'static str {
        match self {
            Self::Ready | Self::Settled | Self::LookedAt | Self::Cpu | Self::SettledCpu | Self::LookCpu => {
                "s"
            }
            Self::Peak | Self::LookPeak | Self::PeakWithout | Self::PeakWith => "MB",
            Self::VaultWrites | Self::ClusterWrites | Self::OwnToken => "",
            Self::Rest => "% of a core",
        }
    }
}

/// The measure of a row of so many objects; the bounds speak of [`BENCH_OBJECTS`].
pub(super) fn measure(row: Row, what: What, objects: usize) -> Measure {
    let same = |bound: &&Wanted| bound.row == row && bound.what == what && objects == BENCH_OBJECTS;
    Measure {
        row: name(row),
        title: what.title().to_owned(),
        unit: what.unit(),
        bound: BOUNDS.iter().find(same).map(|bound| Bound {
            limit: Limit::AtMost(bound.at_most),
            peer: bound.peer,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_numbers_of_objects_are_not_judged() {
        assert!(measure(Row::Many, What::Rest, BENCH_OBJECTS).bound.is_some());
        assert!(measure(Row::Many, What::Rest, 7).bound.is_none());
        assert!(measure(Row::Many, What::OwnToken, BENCH_OBJECTS).bound.is_none());
    }
}
