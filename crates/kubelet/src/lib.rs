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
mod eviction;
mod housekeeping;
mod http_get;
mod image_gc;
mod images;
mod kubelet;
mod log_rotation;
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
pub use eviction::{Signal, Threshold, ThresholdError};
pub use housekeeping::{Housekeeping, HousekeepingError, ImageGcPolicy};
pub use kubelet::{Handle, Kubelet};
pub use pods::NotNamespaced;
pub use teardown::tear_down;
