//! Keystead's test bed (a real cluster and a real OpenBao server on one machine) and its image
//! builder, behind `cargo e2e …`.

pub mod archive;
pub mod args;
pub mod bed;
pub mod bench;
pub mod demo;
mod documents;
pub mod exec;
pub mod image;
pub mod interrupt;
pub mod programs;
pub mod release;
mod rig;
pub mod stage;
pub mod story;
pub mod tests;
pub mod tools;
pub mod ui;
pub mod wait;
