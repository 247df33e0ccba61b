//! What can go wrong with a pod's network.

use std::{io, path::PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{text:?} is not an IPv4 range such as 10.42.0.0/24, with room for pods (prefix 8 to 29)")]
    BadRange { text: String },
    #[error("no address is free in {range}: {used} are in use")]
    Exhausted { range: String, used: usize },
    #[error("host port {port}/{protocol} is in use by pod sandbox {sandbox}")]
    PortTaken { port: u16, protocol: &'static str, sandbox: String },
    #[error("cannot {action} {path}: {source}", path = path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot read reservation {path}: {source}", path = path.display())]
    BadReservation { path: PathBuf, source: serde_json::Error },
    #[error(transparent)]
    Kernel(#[from] netlink::Error),
    #[error(transparent)]
    Rules(#[from] netlink::nft::NftError),
    #[error("a network task died")]
    TaskDied,
}

pub type Result<T> = std::result::Result<T, Error>;
