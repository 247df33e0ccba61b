//! Random clients, faults, and checkers of what the clients saw. See the README.

pub mod backend;
pub mod clock;
pub mod etcd_bugs;
pub mod history;
pub mod host;
pub mod linearizability;
pub mod register;
pub mod scenario;
pub mod traffic;
pub mod verdict;
pub mod watch_checks;

pub use verdict::Verdict;

/// What the keys begin with whose writes are acknowledged before they are synced.
pub const RELAXED: &str = "r/";
