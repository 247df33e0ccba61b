//! What happens in a streaming session: a command run, a container attached to, ports forwarded.

use std::{
    fs::File,
    io,
    os::fd::AsRawFd as _,
    sync::{Arc, Weak},
    time::Duration,
};

use cri::v1::{AttachRequest, ExecRequest};
use netlink::Namespace;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use streaming::{Channels, Outcome, TerminalSize};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, Interest, unix::AsyncFd},
    net::{TcpStream, unix::pipe},
    sync::mpsc,
    time::timeout,
};

use crate::{
    exec,
    protocol::Call,
    runtime::{Inner, Runtime},
    streaming_server::{Connection, Sessions},
};

const BUFFER_BYTES: usize = 32 * 1024;
const ENDED: &str = "the container runtime is shutting down";
/// After a command's end its output is still read, unless a child keeps it open for longer.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// Does what streaming sessions ask; holds no runtime alive.
pub(crate) struct LocalSessions {
    runtime: Weak<Inner>,
}

impl LocalSessions {
    pub(crate) fn new(runtime: &Runtime) -> Self {
        Self { runtime: Arc::downgrade(&runtime.inner) }
    }

    fn runtime(&self) -> Option<Runtime> {
        self.runtime.upgrade().map(|inner| Runtime { inner })
    }
}

#[async_trait::async_trait]
impl Sessions for LocalSessions {
    async fn exec(&self, request: &ExecRequest, channels: Channels) -> Outcome {
        let Some(runtime) = self.runtime() else { return Outcome::Failed(ENDED.into()) };
        let (container, command) = (&request.container_id, &request.cmd);
        let ran = if request.tty {
            exec_on_terminal(&runtime, container, command, channels).await
        } else {
            exec_on_pipes(&runtime, container, command, channels).await
        };
        ran.map_or_else(|error| Outcome::Failed(error.message().to_owned()), Outcome::Exited)
    }

    async fn attach(&self, request: &AttachRequest, channels: Channels) -> Outcome {
        let Some(runtime) = self.runtime() else { return Outcome::Failed(ENDED.into()) };
        match attach_to(&runtime, request, channels).await {
            Ok(()) => Outcome::Exited(0),
            Err(error) => Outcome::Failed(error.message().to_owned()),
        }
    }

    async fn dial(&self, sandbox: &str, port: u16) -> io::Result<Box<dyn Connection>> {
        let gone = || io::Error::other("the pod's sandbox is not running");
        let shim = self.runtime().and_then(|r| r.find_sandbox(sandbox)).and_then(|s| s.shim()).ok_or_else(gone)?;
        let namespace = Namespace::of_process(shim.pid()).map_err(io::Error::other)?;
        // A socket belongs to the namespace where it is made, so only making it needs to be inside.
        let connect = move || namespace.run(|| std::net::TcpStream::connect(("127.0.0.1", port)));
        let connected = tokio::task::spawn_blocking(connect).await.map_err(io::Error::other)?;
        let stream = connected.map_err(io::Error::other)??;
        stream.set_nonblocking(true)?;
        Ok(Box::new(TcpStream::from_std(stream)?))
    }
}

async fn pump(mut from: impl AsyncRead + Unpin, to: Option<impl AsyncWrite + Unpin>) {
    let mut buffer = vec![0u8; BUFFER_BYTES];
    let Some(mut to) = to else { return };
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        if to.write_all(&buffer[..n]).await.is_err() || to.flush().await.is_err() {
            break;
        }
    }
    // The peer may be gone already.
    to.shutdown().await.unwrap_or_default();
}

async fn exec_on_pipes(runtime: &Runtime, container: &str, command: &[String], channels: Channels) -> cri::Result<i32> {
    let (theirs, ours) = exec::streams(channels.stdin.is_some())
        .map_err(|error| cri::CriError::internal(format!("cannot make pipes: {error}")))?;
    let mut running = runtime.exec(container, command, Some(theirs)).await?;
    let output = async {
        tokio::join!(drain(ours.stdout, channels.stdout), drain(ours.stderr, channels.stderr));
    };
    let input = async {
        if let Some(stdin) = channels.stdin {
            pump(stdin, ours.stdin).await;
        }
        std::future::pending::<()>().await;
    };
    finish(&mut running, output, input).await
}

/// Reads to the end, whether or not anybody wants it, so that the command never waits for a reader.
async fn drain(from: impl AsyncRead + Unpin, to: Option<impl AsyncWrite + Unpin>) {
    match to {
        Some(to) => pump(from, Some(to)).await,
        None => pump(from, Some(tokio::io::sink())).await,
    }
}

/// Waits for the command's end while its streams run, then for the rest of its output.
async fn finish(
    running: &mut exec::Running,
    output: impl Future<Output = ()>,
    input: impl Future<Output = ()>,
) -> cri::Result<i32> {
    tokio::pin!(output, input);
    let mut read = false;
    let code = loop {
        tokio::select! {
            code = running.wait() => break code?,
            () = &mut output, if !read => read = true,
            () = &mut input => {}
        }
    };
    if !read && timeout(DRAIN_TIMEOUT, output).await.is_err() {
        tracing::debug!("a command ended but something keeps its output open");
    }
    Ok(code)
}

/// The master of a terminal, for async reads and writes.
struct Terminal(AsyncFd<File>);

impl Terminal {
    fn new(file: File) -> io::Result<Self> {
        let flags = OFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GETFL)?);
        fcntl(&file, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        // SAFETY: a File keeps its one descriptor open until it is dropped.
        Ok(Self(unsafe { AsyncFd::register(file) }?))
    }

    async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        use std::io::Read as _;
        self.0.async_io(Interest::READABLE, |mut file| file.read(buffer)).await
    }

    async fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        use std::io::Write as _;
        while !bytes.is_empty() {
            let n = self.0.async_io(Interest::WRITABLE, |mut file| file.write(bytes)).await?;
            bytes = &bytes[n..];
        }
        Ok(())
    }

    fn resize(&self, size: TerminalSize) {
        let window = libc::winsize { ws_row: size.height, ws_col: size.width, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: the request reads `window`, which lives through the call. A size not taken harms nobody.
        unsafe { libc::ioctl(self.0.get_ref().as_raw_fd(), libc::TIOCSWINSZ, &raw const window) };
    }
}

async fn exec_on_terminal(
    runtime: &Runtime,
    container: &str,
    command: &[String],
    channels: Channels,
) -> cri::Result<i32> {
    let mut running = runtime.exec(container, command, None).await?;
    let failed = |error: io::Error| cri::CriError::internal(format!("cannot use the terminal: {error}"));
    let master = running.terminal.take().ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
    let terminal = Terminal::new(master).map_err(failed)?;
    let Channels { stdin, mut stdout, resize, .. } = channels;
    let output = async {
        let mut buffer = vec![0u8; BUFFER_BYTES];
        // A terminal nobody uses any more reads as an error.
        while let Ok(n @ 1..) = terminal.read(&mut buffer).await {
            if let Some(to) = &mut stdout
                && (to.write_all(&buffer[..n]).await.is_err() || to.flush().await.is_err())
            {
                break;
            }
        }
    };
    let typed = async {
        let mut buffer = vec![0u8; BUFFER_BYTES];
        if let Some(mut stdin) = stdin {
            while let Ok(n @ 1..) = stdin.read(&mut buffer).await {
                if terminal.write(&buffer[..n]).await.is_err() {
                    break;
                }
            }
        }
        std::future::pending::<()>().await;
    };
    let sizes = each_size(resize, |size| terminal.resize(size));
    let input = async {
        tokio::join!(typed, sizes);
    };
    finish(&mut running, output, input).await
}

async fn each_size(resize: Option<mpsc::Receiver<TerminalSize>>, mut set: impl FnMut(TerminalSize)) {
    if let Some(mut resize) = resize {
        while let Some(size) = resize.recv().await {
            set(size);
        }
    }
    std::future::pending::<()>().await;
}

async fn attach_to(runtime: &Runtime, request: &AttachRequest, channels: Channels) -> cri::Result<()> {
    let failed = |error: io::Error| cri::CriError::internal(format!("cannot make pipes: {error}"));
    let (container, shim) = runtime.running(&request.container_id)?;
    let (theirs, ours) = exec::streams(request.stdin).map_err(failed)?;
    let raw: Vec<i32> = [&theirs[1], &theirs[2], &theirs[0]].map(|fd| fd.as_raw_fd()).to_vec();
    let call = Call::Attach { container: container.record.id.clone(), stdin: request.stdin };
    shim.call_with(call, &raw).await?;
    drop(theirs);
    let exec::Streams { stdin, stdout, stderr } = ours;
    let output = async {
        tokio::join!(drain(stdout, channels.stdout), drain(stderr, channels.stderr));
    };
    let typed = async {
        if let (Some(from), Some(to)) = (channels.stdin, stdin) {
            pump(from, Some::<pipe::Sender>(to)).await;
        }
        std::future::pending::<()>().await;
    };
    let (sizes, size) = mpsc::channel(1);
    let forward = each_size(channels.resize, move |new| {
        // A newer size will come if this one finds no room.
        sizes.try_send(new).unwrap_or_default();
    });
    let resize = async {
        let mut size = size;
        while let Some(TerminalSize { width, height }) = size.recv().await {
            let call = Call::Resize { container: container.record.id.clone(), width, height };
            if let Err(error) = shim.call(call).await {
                tracing::debug!(%error, "cannot resize a terminal");
            }
        }
    };
    tokio::select! {
        () = output => {}
        () = typed => {}
        () = forward => {}
        () = async { resize.await; std::future::pending::<()>().await } => {}
    }
    Ok(())
}
