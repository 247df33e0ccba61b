//! The controllers against an API server in this process.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cluster;
mod garbage;
mod meter;
mod namespaces;
mod nodes;
mod slices;
mod workloads;
