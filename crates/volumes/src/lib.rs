//! Volumes of pods made real on the node: one file per type.
//!
//! What a volume needs from the API ([`needs`]) is gathered by the caller; [`set_up`] writes it and may be called again
//! at any time (a refresh is the same call); [`tear_down`] works from what is on disk alone.

mod atomic_writer;
mod config_map;
mod downward_api;
mod empty_dir;
mod error;
mod gathered;
mod host_path;
mod mounts;
mod ownership;
mod payload;
mod projected;
mod secret;
mod set_up;
mod sub_path;
mod tear_down;
mod usage;

pub mod field_ref;

pub use error::Error;
pub use gathered::{Gathered, Need, NodeFacts, Token, needs, volume_needs};
pub use set_up::{Context, Mounted, set_up};
pub use sub_path::{SubPath, bind_sub_path};
pub use tear_down::tear_down;
pub use usage::{Space, disk_usage, local_path};
