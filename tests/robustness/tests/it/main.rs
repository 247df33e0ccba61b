//! A minute or two of every scenario. `ROBUSTNESS_SEED` repeats one.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod api_server;
mod etcd;
mod judge;
mod store;
