//! Least privilege, asked of the server itself: in random worlds by a plain model, and for leases.

mod leases;
mod model;
mod objects;
mod paths;
mod random;
mod server;
mod worlds;

use super::Test;

/// The tests.
pub(super) fn tests() -> Vec<Test> {
    vec![
        Test::on_servers(
            "policies: in hundreds of random worlds a token may do what a plain model says, and nothing else",
            random::worlds,
        ),
        Test::on_servers(
            "policies: a lease is renewed and ended by whom its path is granted, and by no other",
            leases::of_granted_paths,
        ),
    ]
}
