//! What a person sees of Knarr: the real executable and unmodified kubectl, through sockets, processes and containers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod agent;
mod api;
mod datastore;
mod kubectl;
mod node;
mod operations;
