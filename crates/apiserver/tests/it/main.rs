//! The API server over a real store: by sockets with real clients, and called directly.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cluster;
mod golden;
mod kubectl;
mod requests;
mod routes;
mod trouble;
