//! What can go wrong between us and the kernel's network.

use std::{io, path::PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot {action} over netlink: {source}")]
    Netlink { action: &'static str, source: io::Error },
    #[error("cannot {action} {name}: {source}")]
    Link { action: &'static str, name: String, source: io::Error },
    #[error("link {name} does not exist")]
    NoSuchLink { name: String },
    #[error("interface name {name:?} is not valid: 1 to 15 characters without '/' or space")]
    BadName { name: String },
    #[error("cannot open network namespace {path}: {source}", path = path.display())]
    OpenNamespace { path: PathBuf, source: io::Error },
    #[error("cannot {action} a network namespace: {source}")]
    Namespace { action: &'static str, source: io::Error },
}

pub type Result<T> = std::result::Result<T, Error>;
