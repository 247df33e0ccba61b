//! Puts the parts together: which components, in which order, with whose identity; certificates; and the end of all.

mod addons;
mod address;
mod certificates;
mod config;
mod control_plane;
mod image_store;
mod node;
mod pid_file;
mod requirements;
mod server;
mod snapshots;
mod store_control;

pub use address::Cidr;
pub use config::{ApiServerConfig, ClusterConfig, NodeConfig, ServerConfig};
pub use image_store::image_store;
pub use images::{Image, Images};
pub use kubelet::{Housekeeping, Threshold};
pub use server::{Running, apiserver, server, tear_down};
pub use snapshots::SnapshotConfig;
pub use store::check as check_snapshot;
pub use store_control::{ControlError, StoreControl, StoreStatus};
