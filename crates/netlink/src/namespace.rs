//! Network namespaces: held by descriptor, entered only by threads made for it.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::Path,
};

use nix::sched::{CloneFlags, setns, unshare};

use crate::{Error, Result};

/// A network namespace that lives at least as long as this.
#[derive(Debug)]
pub struct Namespace {
    fd: OwnedFd,
}

impl Namespace {
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|source| Error::OpenNamespace { path: path.to_owned(), source })?;
        Ok(Self { fd: file.into() })
    }

    pub fn of_process(pid: i32) -> Result<Self> {
        Self::open(Path::new(&format!("/proc/{pid}/ns/net")))
    }

    pub fn current() -> Result<Self> {
        Self::open(Path::new("/proc/thread-self/ns/net"))
    }

    /// A new namespace, gone when the last descriptor and process in it are.
    pub fn create() -> Result<Self> {
        let made = std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    unshare(CloneFlags::CLONE_NEWNET)
                        .map_err(|e| Error::Namespace { action: "create", source: e.into() })?;
                    Self::current()
                })
                .join()
        });
        made.unwrap_or_else(|_| Err(thread_failed()))
    }

    /// Runs `work` inside, on a thread of its own, so that no other code ever finds itself in the wrong namespace.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let fd = self.fd.as_fd();
        let done = std::thread::scope(|scope| {
            scope
                .spawn(move || {
                    setns(fd, CloneFlags::CLONE_NEWNET)
                        .map_err(|e| Error::Namespace { action: "enter", source: e.into() })?;
                    Ok(work())
                })
                .join()
        });
        done.unwrap_or_else(|_| Err(thread_failed()))
    }
}

fn thread_failed() -> Error {
    Error::Namespace { action: "work in", source: io::Error::other("the thread panicked") }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Namespace {
    fn as_raw_fd(&self) -> i32 {
        self.fd.as_raw_fd()
    }
}
