//! The pipeline against a real store in a folder of its own.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "a test waits for the tasks it spawns")]

mod every_kind;
mod expiry;
mod fixture;
mod reads;
mod services;
mod subresources;
mod watches;
mod writes;
