//! The zygote: forks a shim per request, and ends with the daemon.

use std::{
    ffi::CString,
    fs,
    io::{self, Write as _},
    os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd},
    path::PathBuf,
};

use nix::{
    sched::{CloneFlags, unshare},
    sys::{
        signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction},
        socket::MsgFlags,
    },
    unistd::{ForkResult, fork, getpid, sethostname, setsid},
};

use crate::{
    packet,
    protocol::{Hello, Launch},
    shim::loop_::Shim,
};

/// Descriptor of the socket to the daemon.
const DAEMON: i32 = 0;

pub(super) fn run() -> i32 {
    let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::SA_NOCLDWAIT, SigSet::empty());
    // SAFETY: ignoring a signal runs no code of ours. Shims are reaped by the kernel, since nobody here waits for them.
    if unsafe { sigaction(Signal::SIGCHLD, &ignore) }.is_err() {
        return 1;
    }
    rename("knarr-zygote");
    // A signal for the daemon's process group is not for the pods.
    if setsid().is_err() && getpid() != nix::unistd::getpgrp() {
        return 1;
    }
    // SAFETY: the daemon gave us the socket as descriptor 0.
    let daemon = unsafe { OwnedFd::from_raw_fd(DAEMON) };
    loop {
        let (launch, mut descriptors) = match packet::receive::<Launch>(&daemon, MsgFlags::empty()) {
            Ok(Some(request)) => request,
            Ok(None) => return 0,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return 1,
        };
        let Some(control) = descriptors.pop() else { continue };
        // SAFETY: this process has one thread.
        match unsafe { fork() } {
            Ok(ForkResult::Child) => {
                drop(daemon);
                return shim(&launch, control);
            }
            Ok(ForkResult::Parent { .. }) => {}
            Err(error) => answer(&control, None, Some(format!("cannot fork a shim: {error}"))),
        }
    }
}

fn answer(control: &OwnedFd, init: Option<i32>, error: Option<String>) {
    let hello = Hello::new(init, error);
    // Whoever asked is gone if this fails; the caller ends then too.
    packet::send(control.as_raw_fd(), &hello, &[]).unwrap_or_default();
}

pub(super) fn rename(name: &str) {
    if let Ok(name) = CString::new(name) {
        // SAFETY: the name is nul-terminated. A name that is not set harms nobody.
        unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
    }
}

fn shim(launch: &Launch, control: OwnedFd) -> i32 {
    match prepare(launch) {
        Ok((listener, init)) => {
            answer(&control, init, None);
            Shim::new(listener, control, init).run()
        }
        Err(error) => {
            answer(&control, None, Some(error.to_string()));
            1
        }
    }
}

/// Descriptor 0 to 2 lead nowhere: nothing a container writes may reach the daemon's terminal by way of the shim.
fn detach() -> io::Result<()> {
    let null = fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    for fd in 0..=2 {
        // SAFETY: both descriptors are numbers; 0 to 2 are owned by nobody in this process.
        if unsafe { libc::dup2(null.as_raw_fd(), fd) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    if null.as_raw_fd() <= 2 {
        // It is one of them now, and stays.
        let _kept = null.into_raw_fd();
    }
    Ok(())
}

fn context(what: &str, error: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("{what}: {error}"))
}

fn prepare(launch: &Launch) -> io::Result<(OwnedFd, Option<i32>)> {
    detach()?;
    rename("knarr-shim");
    setsid().map_err(|e| context("setsid", e))?;
    for procs in &launch.cgroups {
        fs::OpenOptions::new()
            .write(true)
            .open(procs)
            .and_then(|mut file| file.write_all(b"0"))
            .map_err(|e| context(&format!("cannot enter {}", procs.display()), e))?;
    }
    // SAFETY: plain numbers. Orphans of helpers, that is the containers, become our children.
    if unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) } < 0 {
        return Err(io::Error::last_os_error());
    }
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: the default disposition runs no code of ours.
    unsafe { sigaction(Signal::SIGCHLD, &default) }.map_err(|e| context("sigaction", e))?;
    let listener = listen(&launch.socket)?;
    let mut flags = CloneFlags::empty();
    for (own, flag) in [
        (launch.own_network, CloneFlags::CLONE_NEWNET),
        (launch.own_ipc, CloneFlags::CLONE_NEWIPC),
        (launch.own_uts, CloneFlags::CLONE_NEWUTS),
    ] {
        if own {
            flags |= flag;
        }
    }
    unshare(flags).map_err(|e| context("cannot make the pod's namespaces", e))?;
    if launch.own_uts && !launch.hostname.is_empty() {
        sethostname(&launch.hostname).map_err(|e| context("cannot set the host name", e))?;
    }
    for (name, value) in &launch.sysctls {
        let path = PathBuf::from("/proc/sys").join(name.replace('.', "/"));
        fs::write(&path, value).map_err(|e| context(&format!("cannot set sysctl {name}"), e))?;
    }
    let init = if launch.shared_pid { Some(first_process()?) } else { None };
    Ok((listener, init))
}

fn listen(path: &std::path::Path) -> io::Result<OwnedFd> {
    use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)?;
    bind(listener.as_raw_fd(), &UnixAddr::new(path)?)?;
    listen(&listener, Backlog::new(8)?)?;
    Ok(listener)
}

/// Makes a process namespace whose first process only reaps. It is a fork of this process and costs a few pages.
fn first_process() -> io::Result<i32> {
    unshare(CloneFlags::CLONE_NEWPID).map_err(|e| context("cannot make a process namespace", e))?;
    // SAFETY: this process has one thread.
    match unsafe { fork() }.map_err(|e| context("cannot fork the first process", e))? {
        ForkResult::Parent { child } => {
            // Later children of this process belong to the host's process namespace again.
            let own = fs::File::open("/proc/self/ns/pid")?;
            nix::sched::setns(own, CloneFlags::CLONE_NEWPID).map_err(|e| context("setns", e))?;
            Ok(child.as_raw())
        }
        ForkResult::Child => {
            rename("knarr-pause");
            // SAFETY: plain numbers; the namespace ends with its shim.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::SA_NOCLDWAIT, SigSet::empty());
            // SAFETY: ignoring a signal runs no code of ours; the kernel then reaps orphans for us.
            if unsafe { sigaction(Signal::SIGCHLD, &ignore) }.is_err() {
                std::process::exit(1);
            }
            // SAFETY: close_range of everything; this process needs no descriptor.
            unsafe { libc::syscall(libc::SYS_close_range, 0, u32::MAX, 0) };
            loop {
                nix::unistd::pause();
            }
        }
    }
}
