//! Why the runtime cannot start or be taken down. Calls of the CRI answer `cri::CriError`.

use std::{io, path::PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot {action} {path}: {source}", path = path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("the state folder {path} is too long: sockets in it need a path of at most {limit} bytes", path = path.display())]
    LongPath { path: PathBuf, limit: usize },
    #[error("another runtime uses {path}; stop it first", path = path.display())]
    InUse { path: PathBuf },
    #[error("cannot read the cgroup mounts: {0}")]
    Cgroups(#[source] io::Error),
    #[error("no cgroup controllers are mounted; mount cgroup v2 at /sys/fs/cgroup")]
    NoCgroups,
    #[error("cannot start the shim launcher {program}: {source}", program = program.display())]
    Zygote { program: PathBuf, source: io::Error },
    #[error(transparent)]
    Images(#[from] images::Error),
    #[error(transparent)]
    Network(#[from] cni::Error),
    #[error("cannot listen for exec, attach and port-forward on loopback: {0}")]
    Streaming(#[source] io::Error),
    #[error("cannot read the last run's state: {0}")]
    Recover(#[source] cri::CriError),
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

/// An internal error of a CRI call: what was being done, and why it failed.
pub(crate) fn internal<E: std::fmt::Display>(what: impl std::fmt::Display) -> impl FnOnce(E) -> cri::CriError {
    move |error| cri::CriError::internal(format!("{what}: {error}"))
}
