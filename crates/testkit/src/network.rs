//! A network namespace that threads of a test may enter.

use std::{fs::File, os::unix::fs::MetadataExt};

use nix::sched::{CloneFlags, setns};

/// The network of a node. It stays as long as somebody holds it.
pub struct Network(File);

impl Network {
    /// Of a process.
    pub(crate) fn of(pid: u32) -> Self {
        Self::find(pid).expect("the namespace is there")
    }

    /// None if the process is gone.
    pub(crate) fn find(pid: u32) -> Option<Self> {
        File::open(format!("/proc/{pid}/ns/net")).ok().map(Self)
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        let number = |network: &Self| network.0.metadata().expect("an open file can be looked at").ino();
        number(self) == number(other)
    }

    /// Runs this in a thread inside; threads that it starts are inside too.
    pub fn inside<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                setns(&self.0, CloneFlags::CLONE_NEWNET).expect("root may enter a namespace");
                act()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}
