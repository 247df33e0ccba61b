//! Signals as a descriptor, so that one loop waits for everything.

use std::{io, os::fd::OwnedFd};

use nix::sys::{
    signal::{SigSet, Signal},
    signalfd::{SfdFlags, SignalFd},
};

fn ours() -> SigSet {
    let mut set = SigSet::empty();
    set.add(Signal::SIGCHLD);
    // A shim ends when told by socket or killed; a stray TERM must not take a pod down.
    set.add(Signal::SIGTERM);
    set.add(Signal::SIGINT);
    set.add(Signal::SIGHUP);
    set.add(Signal::SIGPIPE);
    set
}

/// Blocks the signals and gives the descriptor that becomes readable with them.
pub(super) fn descriptor() -> io::Result<SignalFd> {
    let set = ours();
    set.thread_block()?;
    Ok(SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?)
}

/// For children: the signal mask of a program that knows nothing of ours.
pub(super) fn unblock() {
    // Cannot fail: the set is valid.
    ours().thread_unblock().unwrap_or_default();
}

pub(super) fn drain(signals: &SignalFd) {
    while let Ok(Some(_)) = signals.read_signal() {}
}

/// A pipe, both ends closed on exec.
pub(super) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?)
}
