//! A network namespace that threads of a test may enter.

use std::fs::File;

use nix::sched::{CloneFlags, setns};

/// The network of a node. It stays as long as somebody holds it.
pub struct Network(File);

impl Network {
    /// Of a process.
    pub(crate) fn of(pid: u32) -> Self {
        Self(File::open(format!("/proc/{pid}/ns/net")).expect("the namespace is there"))
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
