//! Why a volume could not be made. The text ends up in a `FailedMount` event, in upstream's words where it has them.

use std::{io, path::PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("volume type {kind} is not supported by this node")]
    Unsupported { kind: &'static str },
    #[error("volume has no source this node knows")]
    Unknown,
    #[error("{kind} \"{name}\" not found")]
    NotFound { kind: &'static str, name: String },
    #[error("{kind} \"{name}\" has not been read yet")]
    NotGathered { kind: &'static str, name: String },
    #[error("references non-existent {kind} key: {key}")]
    MissingKey { kind: &'static str, key: String },
    #[error("no token was issued for service account \"{service_account}\"")]
    NoToken { service_account: String },
    #[error("hostPath type check failed: {path} is not a {wanted}", path = path.display())]
    HostPathType { path: PathBuf, wanted: &'static str },
    #[error("invalid path {path:?}: must be relative and must not contain '..'")]
    BadPath { path: String },
    #[error("invalid mode {mode} of {path:?}")]
    BadMode { path: String, mode: i32 },
    #[error("subPath {sub_path:?} leaves its volume")]
    Escapes { sub_path: String },
    #[error("unsupported fieldPath: {0}")]
    FieldPath(String),
    #[error("unsupported container resource: {0}")]
    ResourceName(String),
    #[error("container {0} not found")]
    ContainerName(String),
    #[error("invalid quantity {0:?}")]
    Quantity(String),
    #[error("{doing} {path}: {source}", path = path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
}

impl Error {
    pub(crate) fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source }
    }

    pub(crate) fn errno(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(nix::errno::Errno) -> Self {
        let path = path.into();
        move |errno| Self::Io { doing, path, source: errno.into() }
    }
}
