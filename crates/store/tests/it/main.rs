//! The store through its face, on a real folder.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod backup;
mod basics;
mod crash;
mod damage;
mod etcd;
mod etcd_access;
mod etcd_cluster;
mod full_disk;
mod ground;
mod model;
mod sealed;
mod size;
mod watches;
