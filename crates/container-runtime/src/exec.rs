//! Commands in containers: run to the end, or prepared for a streaming client.

mod session;

use std::{
    collections::HashMap,
    fs::File,
    io,
    os::fd::{AsRawFd as _, OwnedFd},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use cri::{CriError, v1};
use images::ImageConfig;
use tokio::{io::AsyncReadExt as _, net::unix::pipe, sync::oneshot, time::timeout};

pub(crate) use session::LocalSessions;

use crate::{container::Container, disk, error::internal, naming, protocol::Call, runtime::Runtime, shim_client::Shim};

/// As upstream bounds the output of probes and hooks.
const OUTPUT_BYTES: u64 = 16 << 20;
/// A child of the command may keep its output open; the command's end counts.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

type Result<T> = std::result::Result<T, CriError>;

/// Commands whose end somebody waits for.
#[derive(Debug, Default)]
pub(crate) struct Execs {
    waiting: Mutex<HashMap<String, oneshot::Sender<i32>>>,
}

impl Execs {
    fn wait_for(&self, exec: &str) -> oneshot::Receiver<i32> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(exec.to_owned(), sender);
        receiver
    }

    fn forget(&self, exec: &str) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(exec);
    }

    pub(crate) fn ended(&self, exec: &str, code: i32) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(exec);
        if let Some(waiting) = waiting
            && waiting.send(code).is_err()
        {
            tracing::debug!(exec, "nobody waits for the command any more");
        }
    }
}

/// A command that runs. Dropped before its end is known, it is killed.
pub(crate) struct Running {
    runtime: Runtime,
    shim: Shim,
    exec: String,
    process: PathBuf,
    code: oneshot::Receiver<i32>,
    /// The master of its terminal.
    pub(crate) terminal: Option<File>,
    done: bool,
}

impl Running {
    /// Waits for the end.
    pub(crate) async fn wait(&mut self) -> Result<i32> {
        let gone = self.shim.clone();
        let code = tokio::select! {
            code = &mut self.code => code.map_err(|_| ()),
            () = gone.ended() => Err(()),
        };
        self.done = true;
        code.map_err(|()| CriError::unavailable("the pod ended before the command"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = disk::remove_file(&self.process) {
            tracing::warn!(%error, "cannot remove the file of a command");
        }
        if self.done {
            return;
        }
        self.runtime.inner.execs.forget(&self.exec);
        let (shim, exec) = (self.shim.clone(), self.exec.clone());
        let tasks = self.runtime.inner.tasks.clone();
        tasks.spawn(async move {
            if let Err(error) = shim.call(Call::KillExec { exec }).await {
                tracing::debug!(%error, "cannot kill a command whose caller went away");
            }
        });
    }
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?)
}

/// Our ends of a command's standard streams.
pub(crate) struct Streams {
    pub(crate) stdin: Option<pipe::Sender>,
    pub(crate) stdout: pipe::Receiver,
    pub(crate) stderr: pipe::Receiver,
}

/// Pipes: the command's ends and ours.
pub(crate) fn streams(stdin: bool) -> io::Result<([OwnedFd; 3], Streams)> {
    let (stdout, stdout_theirs) = pipe()?;
    let (stderr, stderr_theirs) = pipe()?;
    let (stdin_theirs, stdin) = if stdin {
        let (theirs, ours) = pipe()?;
        (theirs, Some(pipe::Sender::from_owned_fd(ours)?))
    } else {
        (File::open("/dev/null")?.into(), None)
    };
    let ours = Streams {
        stdin,
        stdout: pipe::Receiver::from_owned_fd(stdout)?,
        stderr: pipe::Receiver::from_owned_fd(stderr)?,
    };
    Ok(([stdin_theirs, stdout_theirs, stderr_theirs], ours))
}

impl Runtime {
    fn running(&self, id: &str) -> Result<(Arc<Container>, Shim)> {
        let container = self.container(id)?;
        let state = container.state().cri();
        if state != v1::ContainerState::ContainerRunning {
            return Err(CriError::failed_precondition(format!("container is in {} state", state.as_str_name())));
        }
        let shim = self.find_sandbox(&container.record.sandbox).and_then(|s| s.shim());
        let shim = shim.ok_or_else(|| CriError::unavailable("the pod's shim is gone"))?;
        Ok((container, shim))
    }

    /// Starts a command, on a terminal or on the given streams.
    pub(crate) async fn exec(&self, id: &str, command: &[String], fds: Option<[OwnedFd; 3]>) -> Result<Running> {
        let (container, shim) = self.running(id)?;
        if command.is_empty() {
            return Err(CriError::invalid_argument("no command specified"));
        }
        let exec = naming::new_id();
        let runtime = self.clone();
        let (command, tty, name) = (command.to_vec(), fds.is_none(), exec.clone());
        let process = self.blocking(move || runtime.write_command(&container, &command, tty, &name)).await??;
        let mut running = Running {
            code: self.inner.execs.wait_for(&exec),
            runtime: self.clone(),
            shim: shim.clone(),
            exec: exec.clone(),
            process: process.clone(),
            terminal: None,
            done: true,
        };
        let container = self.container(id)?.record.id.clone();
        let call = Call::Exec { container, exec: exec.clone(), process, tty };
        let raw: Vec<i32> = fds.iter().flatten().map(|fd| fd.as_raw_fd()).collect();
        match shim.call_with(call, &raw).await {
            Ok((_, rights)) => {
                running.terminal = rights.into_iter().next().map(File::from);
                running.done = false;
                Ok(running)
            }
            Err(error) => {
                self.inner.execs.forget(&exec);
                Err(CriError::unknown(format!(
                    "failed to exec in container: failed to start exec \"{exec}\": OCI runtime exec failed: {}: unknown",
                    error.message()
                )))
            }
        }
    }

    fn write_command(&self, container: &Container, command: &[String], tty: bool, exec: &str) -> Result<PathBuf> {
        let record = &container.record;
        let folder = self.inner.layout.container(&record.id);
        let image: Option<ImageConfig> =
            disk::read(&folder.join("image.json")).map_err(internal("cannot read the container's image"))?;
        let sandbox = self
            .find_sandbox(&record.sandbox)
            .ok_or_else(|| CriError::not_found(format!("sandbox \"{}\" is not known", record.sandbox)))?;
        let rootfs = self.inner.layout.rootfs(&record.id);
        let image = image.unwrap_or_default();
        let process = self.parts(record, &sandbox, &image, &rootfs)?.command(command, tty)?;
        // Not on the disk: who looks into a container often does so because the disk is full, and probes must not fail
        // for it.
        let path = self.inner.layout.libcontainer().join(&record.id).join(format!("exec-{exec}.json"));
        disk::write(&path, &process).map_err(internal("cannot write the command"))?;
        Ok(path)
    }

    pub(crate) async fn exec_sync(&self, request: v1::ExecSyncRequest) -> Result<v1::ExecSyncResponse> {
        let (theirs, ours) = streams(false).map_err(internal("cannot make pipes"))?;
        let mut running = self.exec(&request.container_id, &request.cmd, Some(theirs)).await?;
        let limit = match request.timeout {
            seconds @ 1.. => Duration::from_secs(seconds.unsigned_abs()),
            _ => Duration::MAX,
        };
        let work = async {
            let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
            let (mut out, mut err) = (ours.stdout.take(OUTPUT_BYTES), ours.stderr.take(OUTPUT_BYTES));
            let code = {
                let read = async {
                    let both = tokio::join!(out.read_to_end(&mut stdout), err.read_to_end(&mut stderr));
                    both.0.and(both.1)
                };
                tokio::pin!(read);
                tokio::select! {
                    code = running.wait() => {
                        // What was written before the end is in the pipes already.
                        if let Ok(Err(error)) = timeout(DRAIN_TIMEOUT, read).await {
                            return Err(CriError::internal(format!("cannot read a command's output: {error}")));
                        }
                        code?
                    }
                    done = &mut read => {
                        done.map_err(internal("cannot read a command's output"))?;
                        running.wait().await?
                    }
                }
            };
            Ok(v1::ExecSyncResponse { stdout, stderr, exit_code: code })
        };
        match timeout(limit, work).await {
            Ok(done) => done,
            Err(_) => Err(CriError::deadline_exceeded(format!(
                "failed to exec in container: timeout {}s exceeded: context deadline exceeded",
                request.timeout
            ))),
        }
    }
}
