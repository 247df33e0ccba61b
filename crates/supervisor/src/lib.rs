//! Puts the parts together: which components, in which order, with whose identity; certificates; and the end of all.

mod addons;
mod address;
mod agent;
mod certificates;
mod config;
mod control_plane;
mod datastore;
mod dns_endpoints;
mod durable_file;
mod image_store;
mod join_token;
mod migrate;
mod node;
mod node_certificates;
mod node_routes;
mod open_files;
mod pid_file;
mod requirements;
mod s3;
mod server;
mod snapshots;
mod store_control;

pub use address::Cidr;
pub use agent::{agent, tear_down_agent};
pub use config::{AgentConfig, ApiServerConfig, ClusterConfig, NodeConfig, ServerConfig};
pub use datastore::{DEFAULT_PREFIX, DatastoreConfig};
pub use image_store::image_store;
pub use images::{Image, Images};
pub use join_token::{JoinToken, ListedToken, create_token, delete_token, list_tokens};
pub use kubelet::{Housekeeping, Threshold};
pub use migrate::{Direction, Migration, Moved};
pub use registry::StorageMediaType;
pub use s3::{S3, S3Config, S3Error, S3Place, StoredSnapshot};
pub use server::{Running, apiserver, server, tear_down};
pub use snapshots::{
    SnapshotConfig, names as snapshot_names, prune as prune_snapshots, prune_s3 as prune_s3_snapshots,
};
pub use store::{EtcdLogin, EtcdPassword, check as check_snapshot, is_snapshot};
pub use store_control::{ControlError, StoreControl, StoreStatus};
