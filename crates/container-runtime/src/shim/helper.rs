//! Runs libcontainer in a short-lived child, so that what it allocates goes with the child. What it starts becomes the
//! shim's own child, since the shim is a subreaper.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    os::fd::{AsFd as _, OwnedFd},
    path::{Path, PathBuf},
};

use libcontainer::{
    container::{Container, ContainerStatus, builder::ContainerBuilder},
    syscall::syscall::SyscallType,
};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{Signal, kill},
        wait::waitpid,
    },
    unistd::{ForkResult, fork},
};

use crate::{
    protocol::Start,
    seccomp::Confinement,
    shim::{executor::Program, propagation, signals},
};

/// A start takes milliseconds; a machine under heavy load, seconds.
const TIMEOUT_MILLISECONDS: u16 = 60_000;
/// One write of a pipe: the answer comes whole, and its reader need not wait for the end of the stream, which the
/// container's waiting first process holds open.
const ANSWER_BYTES: usize = 4096;
const ERROR_CHARACTERS: usize = 900;

/// What a process gets as its standard streams.
pub(super) enum Stdio {
    Descriptors([OwnedFd; 3]),
    /// A socket over which the master of a new terminal comes.
    Terminal(PathBuf),
}

/// Runs `work` in a child and waits for what it answers: the id of the process it started.
fn in_child(work: impl FnOnce() -> Result<i32, String>) -> Result<i32, String> {
    let (read, write) = signals::pipe().map_err(|e| format!("pipe: {e}"))?;
    // SAFETY: this process has one thread.
    let child = match unsafe { fork() }.map_err(|e| format!("fork: {e}"))? {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            signals::unblock();
            drop(read);
            let work = std::panic::AssertUnwindSafe(work);
            let result = std::panic::catch_unwind(work).unwrap_or_else(|_| Err("libcontainer panicked".into()));
            let result = result.map_err(|error| error.chars().take(ERROR_CHARACTERS).collect::<String>());
            let bytes = serde_json::to_vec(&result).unwrap_or_default();
            // If the shim is gone nobody reads.
            File::from(write).write_all(&bytes).unwrap_or_default();
            // SAFETY: ends at once, without running the destructors of a forked copy.
            unsafe { libc::_exit(0) }
        }
    };
    drop(write);
    let mut wait = [PollFd::new(read.as_fd(), PollFlags::POLLIN)];
    let answered = loop {
        match poll(&mut wait, PollTimeout::from(TIMEOUT_MILLISECONDS)) {
            Err(nix::errno::Errno::EINTR) => {}
            other => break other,
        }
    };
    let mut bytes = vec![0; ANSWER_BYTES];
    if matches!(answered, Ok(1..)) {
        let length = File::from(read).read(&mut bytes).map_err(|e| format!("read: {e}"))?;
        bytes.truncate(length);
    } else {
        bytes.clear();
        // It may have ended by itself; then there is nobody to kill.
        kill(child, Signal::SIGKILL).unwrap_or_default();
    }
    waitpid(child, None).map_err(|e| format!("wait: {e}"))?;
    if bytes.is_empty() {
        return Err("starting a process did not finish in time".into());
    }
    serde_json::from_slice(&bytes).map_err(|_| "starting a process ended early".to_owned())?
}

/// An error with its causes, each once.
fn explain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    // What the container's own last step says stands for itself.
    match text.rsplit_once("error in executing process : ") {
        Some((_, why)) => format!("unable to start container process: {why}"),
        None => text,
    }
}

fn with_stdio(builder: ContainerBuilder, stdio: Stdio) -> ContainerBuilder {
    match stdio {
        Stdio::Descriptors([stdin, stdout, stderr]) => {
            builder.with_stdin(stdin).with_stdout(stdout).with_stderr(stderr)
        }
        Stdio::Terminal(socket) => builder.with_console_socket(Some(socket)),
    }
}

/// Makes the container; its first process waits for [`release`]. Answers that process.
pub(super) fn create(start: &Start, stdio: Stdio) -> Result<i32, String> {
    in_child(|| {
        propagation::enter(&start.propagating)?;
        let state = &start.state;
        fs::create_dir_all(state).map_err(|e| format!("cannot create {}: {e}", state.display()))?;
        let builder = with_stdio(ContainerBuilder::new(start.container.clone(), SyscallType::default()), stdio)
            .with_executor(program(start)?)
            .with_root_path(state)
            .map_err(|e| explain(&e))?;
        let builder = builder.as_init(&start.bundle).with_systemd(false).with_detach(true);
        let container = builder.build().map_err(|e| explain(&e))?;
        container.pid().map(|pid| pid.as_raw()).ok_or_else(|| "the container has no process".into())
    })
}

fn program(start: &Start) -> Result<Program, String> {
    let confinement = start.filter.as_deref().map(Confinement::read).transpose();
    Ok(Program { confinement: confinement.map_err(|e| format!("cannot read the container's seccomp filter: {e}"))? })
}

/// Lets the first process of a container go on to the image's program.
pub(super) fn release(id: &str, state: &Path) -> Result<(), String> {
    use std::os::{fd::AsRawFd as _, unix::net::UnixStream};
    let folder = File::open(state.join(id)).map_err(|e| format!("cannot open the container's folder: {e}"))?;
    // The path of the socket may be longer than an address can hold; this one never is.
    let path = format!("/proc/self/fd/{}/notify.sock", folder.as_raw_fd());
    let mut stream = UnixStream::connect(path).map_err(|e| format!("cannot reach the container: {e}"))?;
    stream.write_all(b"start container").map_err(|e| format!("cannot release the container: {e}"))
}

/// Runs one more process in a container. Answers it.
pub(super) fn exec(start: &Start, process: &Path, stdio: Stdio) -> Result<i32, String> {
    in_child(|| {
        let mut container = Container::load(start.state.join(&start.container)).map_err(|e| explain(&e))?;
        if container.status() != ContainerStatus::Running {
            container.set_status(ContainerStatus::Running).save().map_err(|e| explain(&e))?;
        }
        let builder = with_stdio(ContainerBuilder::new(start.container.clone(), SyscallType::default()), stdio)
            .with_executor(program(start)?)
            .with_root_path(&start.state)
            .map_err(|e| explain(&e))?;
        let pid = builder.as_tenant().with_detach(true).with_process(Some(process)).build().map_err(|e| explain(&e))?;
        Ok(pid.as_raw())
    })
}
