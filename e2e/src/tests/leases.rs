//! Users of a real PostgreSQL that come and go, and passwords that change.

mod certificates;
mod logins;
mod lost;

use super::Test;

pub(super) fn tests() -> Vec<Test> {
    vec![
        Test::on_databases(
            "leases: a sidecar that is killed twenty times keeps its one user, which ends with it",
            lost::killed,
        ),
        Test::on_databases(
            "leases: a lease that was revoked and a user that was dropped are noticed within 30 s and replaced",
            lost::noticed,
        ),
        Test::on_databases(
            "leases: through ten rotations no login of a dynamic user fails, and those of a static one within a second work again",
            logins::undisturbed,
        ),
        Test::on_databases(
            "leases: a TLS server reloads its certificate at two thirds of its life, and no connection fails",
            certificates::reloaded,
        ),
        Test::on_databases(
            "leases: nor with the server paused for 20 s and started again",
            logins::disturbed,
        ),
    ]
}
