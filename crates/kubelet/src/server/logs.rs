//! `containerLogs`: a log from its file, followed by what the kernel and the runtime tell of it.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, RawFd},
    path::PathBuf,
    sync::Arc,
};

use api::jiff::Timestamp;
use bytes::Bytes;
use cri::v1::{ContainerState, ContainerStatusRequest, GetEventsRequest};
use futures::{Stream, StreamExt};
use http::Response;
use http_body::Frame;
use http_body_util::StreamBody;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::{io::unix::AsyncFd, sync::mpsc};

use super::{
    Body, BoxError, Refusal, boxed, find_pod,
    log_file::LogFile,
    log_request::{LogOptions, container_id},
};
use crate::agent::Agent;

/// Chunks that may wait for a slow reader; then reading waits.
const QUEUE: usize = 8;

pub(super) async fn serve(
    agent: &Arc<Agent>,
    namespace: &str,
    pod: &str,
    container: &str,
    query: &str,
) -> Result<Response<Body>, Refusal> {
    let options = LogOptions::read(query, Timestamp::now())?;
    let pod = find_pod(agent, namespace, pod)?;
    let id = container_id(&pod, container, options.previous)?;
    let status = agent.runtime.service.container_status(status_request(&id)).await;
    let status = status.map_err(Refusal::internal)?.status.unwrap_or_default();
    let path = PathBuf::from(status.log_path);
    let log = LogFile::open(&path, &options).map_err(Refusal::internal)?;
    let (sender, receiver) = mpsc::channel(QUEUE);
    let reading = Reading { agent: agent.clone(), id, path, options, log };
    agent.tasks.spawn("container-log", async move {
        if let Err(error) = reading.run(&sender).await {
            // The reader sees its answer cut.
            sender.send(Err(error.into())).await.ok();
        }
    });
    Ok(Response::new(boxed(StreamBody::new(frames(receiver)))))
}

fn status_request(id: &str) -> ContainerStatusRequest {
    ContainerStatusRequest { container_id: id.to_owned(), verbose: false }
}

fn frames(receiver: mpsc::Receiver<Result<Bytes, BoxError>>) -> impl Stream<Item = Result<Frame<Bytes>, BoxError>> {
    futures::stream::unfold(receiver, async |mut receiver| {
        let next = receiver.recv().await?;
        Some((next.map(Frame::data), receiver))
    })
}

struct Reading {
    agent: Arc<Agent>,
    id: String,
    path: PathBuf,
    options: LogOptions,
    log: LogFile,
}

impl Reading {
    async fn run(mut self, to: &mpsc::Sender<Result<Bytes, BoxError>>) -> io::Result<()> {
        if !self.options.follow {
            self.drain(to).await?;
            return Ok(());
        }
        // Both listen before the first look, so that nothing falls between.
        let folder = Folder::watch(&self.path)?;
        let mut events = self.agent.runtime.service.get_container_events(GetEventsRequest {}).await.map_err(other)?;
        loop {
            // Whether it still ran before what is read next: all it wrote is then in the file.
            let ran = self.runs().await?;
            if !self.drain(to).await? || !ran {
                return Ok(());
            }
            tokio::select! {
                () = to.closed() => return Ok(()),
                changed = folder.changed() => changed?,
                event = events.next() => if event.is_none() {
                    return Err(io::Error::other("the runtime's events ended"));
                }
            }
        }
    }

    async fn runs(&self) -> io::Result<bool> {
        let status = self.agent.runtime.service.container_status(status_request(&self.id)).await;
        match status {
            Ok(answer) => {
                let state = answer.status.map(|s| s.state);
                Ok(state == Some(ContainerState::ContainerRunning as i32))
            }
            Err(cri::CriError::NotFound { .. }) => Ok(false),
            Err(error) => Err(other(error)),
        }
    }

    /// Sends all there is; false when the reader has gone or has all it may have.
    async fn drain(&mut self, to: &mpsc::Sender<Result<Bytes, BoxError>>) -> io::Result<bool> {
        loop {
            let chunk = match tokio::task::block_in_place(|| self.log.read(&self.options))? {
                None => return Ok(false),
                Some(chunk) if chunk.is_empty() => return Ok(true),
                Some(chunk) => chunk,
            };
            if to.send(Ok(chunk.into())).await.is_err() {
                return Ok(false);
            }
        }
    }
}

fn other(error: cri::CriError) -> io::Error {
    io::Error::other(error)
}

/// The folder of a log: the file in it is written, or replaced.
struct Folder(AsyncFd<Watcher>);

/// What tokio asks of a descriptor and nix's type does not have.
struct Watcher(Inotify);

impl AsRawFd for Watcher {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Folder {
    fn watch(file: &std::path::Path) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let folder = file.parent().unwrap_or(file);
        let changes = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
        inotify.add_watch(folder, changes)?;
        #[allow(deprecated, reason = "the watcher owns its descriptor; what replaces this is unsafe to call")]
        Ok(Self(AsyncFd::new(Watcher(inotify))?))
    }

    async fn changed(&self) -> io::Result<()> {
        let mut ready = self.0.readable().await?;
        // What exactly happened does not matter: the file is read either way.
        match self.0.get_ref().0.read_events() {
            Ok(_) | Err(nix::errno::Errno::EAGAIN) => {}
            Err(error) => return Err(error.into()),
        }
        ready.clear_ready();
        Ok(())
    }
}
