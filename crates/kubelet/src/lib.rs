//! The node's agent: pods bound to this node made real through a container runtime, and their state told to the API.
//!
//! It speaks the container runtime interface and nothing lower. All it must remember is in the runtime (labels and
//! annotations of sandboxes and containers), on disk or in the API: ending this process and starting it anew touches
//! no container.

mod agent;
mod backoff;
mod cgroups;
mod config;
mod error;
mod http_get;
mod images;
mod kubelet;
mod node;
mod pod;
mod pods;
mod probe;
mod references;
mod runtime;
mod server;
mod teardown;
mod tokens;

pub use cgroups::CgroupError;
pub use config::{KubeletConfig, ServerConfig};
pub use error::Error;
pub use kubelet::{Handle, Kubelet};
pub use teardown::tear_down;
