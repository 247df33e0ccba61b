//! The images of the node whose data are in a folder, for the command line. The store is safe to use beside a
//! running daemon.

use images::{Images, Registries};

use crate::NodeConfig;

/// Opens the store in which the node's runtime keeps its images.
pub fn image_store(node: &NodeConfig) -> images::Result<Images> {
    Images::open(&node.data_dir.join("runtime").join("images"), Registries::default())
}
