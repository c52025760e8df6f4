//! `cargo e2e bench …`: how fast and how small our programs are, on real servers. Numbers are no
//! criterion of passing; an object that does not become Ready is.

mod load;
mod observe;
mod operator;
mod report;

pub use operator::bench;
