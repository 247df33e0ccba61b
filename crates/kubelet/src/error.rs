//! Why a kubelet could not start.

use std::{io, net::SocketAddr, path::PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("static pods are not supported: remove the path {}", .0.display())]
    StaticPods(PathBuf),
    #[error(transparent)]
    Housekeeping(crate::housekeeping::HousekeepingError),
    #[error(transparent)]
    Sysctls(crate::pods::NotNamespaced),
    #[error("no address of this node is known: give at least one node IP")]
    NoNodeAddress,
    #[error("{doing} {}: {source}", path.display())]
    Disk { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("the container runtime does not answer: {0}")]
    Runtime(#[source] cri::CriError),
    #[error("making the cgroups of pods: {0}")]
    Cgroups(#[source] crate::cgroups::CgroupError),
    #[error("listening on {address}: {source}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("the kubelet's serving certificate: {0}")]
    Certificate(#[source] pki::PkiError),
}
