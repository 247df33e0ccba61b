//! The built-in container runtime: `cri` in process, and one small shim process per pod that outlives the daemon.
//!
//! The daemon decides and remembers; a shim holds a pod's namespaces, its containers' output and their exit codes.
//! libcontainer runs only in short-lived children of a shim, which has one thread.
#![allow(unsafe_code, reason = "fork, setns and descriptor passing are system calls")]

mod capabilities;
mod cgroup;
mod config;
mod container;
mod devices;
mod disk;
mod error;
mod events;
mod exec;
mod image_service;
mod mounts;
mod naming;
mod network;
mod packet;
mod protocol;
mod resources;
mod runtime;
mod runtime_service;
mod sandbox;
mod seccomp;
pub mod shim;
mod shim_client;
mod spec;
mod stats;
mod status;
mod streaming_server;
mod teardown;
mod user;
mod writable_layer;

pub use config::Config;
pub use error::{Error, Result};
pub use runtime::Runtime;
pub use teardown::teardown_all;
