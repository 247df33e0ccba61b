//! The daemon's side of a shim: launching one, finding one again, and calling it.

use std::{
    collections::HashMap,
    io,
    os::fd::{AsRawFd, OwnedFd, RawFd},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use cri::CriError;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, socket};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::{oneshot, watch},
    time::timeout,
};

use tokio_util::task::TaskTracker;

use crate::{
    packet,
    protocol::{Call, FromShim, Hello, Launch, Request, VERSION},
};

/// A shim answers in milliseconds; starting a container has its own bound inside the shim, which is shorter.
const CALL_TIMEOUT: Duration = Duration::from_secs(90);
const HELLO_TIMEOUT: Duration = Duration::from_secs(20);

/// The process that forks shims; started when first needed and again if it dies.
#[derive(Debug)]
pub(crate) struct Zygote {
    command: (std::path::PathBuf, Vec<String>),
    running: Mutex<Option<(Child, OwnedFd)>>,
    tasks: TaskTracker,
}

impl Zygote {
    pub(crate) fn new(command: (std::path::PathBuf, Vec<String>), tasks: TaskTracker) -> io::Result<Self> {
        let running = Mutex::new(Some(start(&command)?));
        Ok(Self { command, running, tasks })
    }

    fn ask(&self, launch: &Launch, control: RawFd) -> io::Result<()> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, socket)) = running.as_ref()
            && packet::send(socket.as_raw_fd(), launch, &[control]).is_ok()
        {
            return Ok(());
        }
        if let Some((mut child, socket)) = running.take() {
            drop(socket);
            child.kill()?;
            child.wait()?;
        }
        let fresh = start(&self.command)?;
        packet::send(fresh.1.as_raw_fd(), launch, &[control])?;
        *running = Some(fresh);
        Ok(())
    }

    /// Launches a shim and waits until its sandbox stands.
    pub(crate) async fn launch(
        &self,
        launch: &Launch,
        told: impl Fn(Told) + Send + Sync + 'static,
    ) -> Result<Shim, CriError> {
        let failed = |error: io::Error| CriError::internal(format!("cannot launch the pod's shim: {error}"));
        let (ours, theirs) = packet::pair().map_err(failed)?;
        self.ask(launch, theirs.as_raw_fd()).map_err(failed)?;
        drop(theirs);
        Shim::adopt(ours, &self.tasks, told).await.map_err(failed)
    }
}

impl Drop for Zygote {
    fn drop(&mut self) {
        let running = self.running.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some((mut child, socket)) = running.take() {
            // It ends when its socket does.
            drop(socket);
            if let Err(error) = child.wait() {
                tracing::debug!(%error, "the shim launcher was reaped by somebody else");
            }
        }
    }
}

fn start(command: &(std::path::PathBuf, Vec<String>)) -> io::Result<(Child, OwnedFd)> {
    let (ours, theirs) = packet::pair()?;
    let child = Command::new(&command.0)
        .args(&command.1)
        .arg("zygote")
        .current_dir("/")
        .env_clear()
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Ok((child, ours))
}

/// What a shim says of itself.
pub(crate) enum Told {
    Message(FromShim),
    /// The shim is gone, and with it the sandbox.
    Gone,
}

type Answer = (Result<i32, String>, Vec<OwnedFd>);

/// A connection to a shim. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Shim {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    socket: AsyncFd<OwnedFd>,
    hello: Hello,
    number: AtomicU64,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Answer>>>,
    gone: watch::Sender<bool>,
}

async fn receive<T: serde::de::DeserializeOwned>(socket: &AsyncFd<OwnedFd>) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    socket.async_io(Interest::READABLE, |fd| packet::receive(fd, MsgFlags::MSG_DONTWAIT)).await
}

impl Shim {
    /// Finds the shim of an earlier daemon. None if it is gone.
    pub(crate) async fn find(
        path: &Path,
        tasks: &TaskTracker,
        told: impl Fn(Told) + Send + Sync + 'static,
    ) -> io::Result<Option<Self>> {
        let fd = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)?;
        match connect(fd.as_raw_fd(), &UnixAddr::new(path)?) {
            Ok(()) => Self::adopt(fd, tasks, told).await.map(Some),
            Err(nix::errno::Errno::ENOENT | nix::errno::Errno::ECONNREFUSED) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn adopt(fd: OwnedFd, tasks: &TaskTracker, told: impl Fn(Told) + Send + Sync + 'static) -> io::Result<Self> {
        nix::fcntl::fcntl(&fd, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK))?;
        // SAFETY: an OwnedFd keeps its one descriptor open until it is dropped.
        let socket = unsafe { AsyncFd::register(fd) }.map_err(io::Error::from)?;
        let hello = timeout(HELLO_TIMEOUT, receive::<Hello>(&socket))
            .await
            .map_err(|_| io::Error::other("the shim does not say hello"))??;
        let (hello, _) = hello.ok_or_else(|| io::Error::other("the shim ended at once"))?;
        if let Some(error) = hello.error {
            return Err(io::Error::other(error));
        }
        let inner = Inner {
            socket,
            hello,
            number: AtomicU64::new(1),
            waiting: Mutex::new(HashMap::new()),
            gone: watch::Sender::new(false),
        };
        let shim = Self { inner: Arc::new(inner) };
        let reader = shim.inner.clone();
        tasks.spawn(async move {
            loop {
                match receive::<FromShim>(&reader.socket).await {
                    Ok(Some((FromShim::Done { number, result }, descriptors))) => {
                        let waiting = reader.take(number);
                        if let Some(waiting) = waiting
                            && waiting.send((result, descriptors)).is_err()
                        {
                            tracing::debug!(number, "nobody waits for the shim's answer any more");
                        }
                    }
                    Ok(Some((message, _))) => told(Told::Message(message)),
                    Ok(None) | Err(_) => break,
                }
            }
            reader.waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
            reader.gone.send_replace(true);
            told(Told::Gone);
        });
        Ok(shim)
    }

    pub(crate) fn pid(&self) -> i32 {
        self.inner.hello.pid
    }

    /// First process of the shared process namespace.
    pub(crate) fn init(&self) -> Option<i32> {
        self.inner.hello.init
    }

    pub(crate) fn is_gone(&self) -> bool {
        *self.inner.gone.borrow()
    }

    /// Waits until the shim has ended.
    pub(crate) async fn ended(&self) {
        let mut gone = self.inner.gone.subscribe();
        // The sender lives as long as we do.
        drop(gone.wait_for(|gone| *gone).await);
    }

    pub(crate) async fn call(&self, call: Call) -> Result<i32, CriError> {
        self.call_with(call, &[]).await.map(|(value, _)| value)
    }

    /// Calls with descriptors; answers a number and descriptors.
    pub(crate) async fn call_with(&self, call: Call, fds: &[RawFd]) -> Result<(i32, Vec<OwnedFd>), CriError> {
        if matches!(call, Call::Start(_) | Call::Exec { .. }) && self.inner.hello.version != VERSION {
            let theirs = self.inner.hello.version;
            return Err(CriError::failed_precondition(format!(
                "the pod is held by another version of the runtime ({theirs}, not {VERSION}), which can start nothing \
                 more in it; delete the pod"
            )));
        }
        let unavailable = || CriError::unavailable("the pod's shim is gone");
        let number = self.inner.number.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        self.inner.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(number, sender);
        if self.is_gone() {
            self.inner.take(number);
            return Err(unavailable());
        }
        let request = Request { number, call };
        let sent =
            self.inner.socket.async_io(Interest::WRITABLE, |fd| packet::send(fd.as_raw_fd(), &request, fds)).await;
        if let Err(error) = sent {
            self.inner.take(number);
            return Err(CriError::unavailable(format!("cannot reach the pod's shim: {error}")));
        }
        match timeout(CALL_TIMEOUT, receiver).await {
            Ok(Ok((result, descriptors))) => result.map(|value| (value, descriptors)).map_err(CriError::unknown),
            Ok(Err(_)) => Err(unavailable()),
            Err(_) => {
                self.inner.take(number);
                Err(CriError::deadline_exceeded("the pod's shim does not answer"))
            }
        }
    }
}

impl Inner {
    fn take(&self, number: u64) -> Option<oneshot::Sender<Answer>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&number)
    }
}
