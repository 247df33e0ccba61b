//! Container images: their names, their layers unpacked once, where they come from, and when they go.
//!
//! Layers are unpacked once into a folder named by their chain id and serve as lower directories of overlay mounts.
//! Every folder appears by rename after its bytes are on the disk; the index is written after them and synced.
#![allow(unsafe_code, reason = "openat2 and xattrs are system calls without safe wrappers here")]

mod archive;
mod config;
mod error;
mod index;
mod layer;
mod pull;
mod reference;
mod root;
mod store;
mod unpack;

pub use config::ImageConfig;
pub use error::{Error, Result};
pub use index::Image;
pub use pull::{Credentials, Registries};
pub use reference::normalize;
pub use root::read_inside;
pub use store::{Images, Usage};
