//! The pipeline against a real store in a folder of its own.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod expiry;
mod fixture;
mod reads;
mod services;
mod subresources;
mod watches;
mod writes;
