//! Where exec, attach and port forwarding happen: a server on loopback whose URLs CRI hands out, each with a token
//! that opens it once.

mod tokens;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use cri::v1::{AttachRequest, ExecRequest, PortForwardRequest};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use streaming::{AcceptError, Channels, Dialer, Outcome, PortForward, RemoteCommand, RemoteCommandOptions};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::Semaphore,
};
use tokio_util::task::TaskTracker;

use self::tokens::Tokens;

/// Sessions at once.
const MAX_SESSIONS: usize = 1024;
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection into a pod.
pub(crate) trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// Who does what the sessions ask.
#[async_trait::async_trait]
pub(crate) trait Sessions: Send + Sync + 'static {
    /// Runs the command in the container, on these channels, to its end.
    async fn exec(&self, request: &ExecRequest, channels: Channels) -> Outcome;

    /// Joins the channels with the container's own until either ends.
    async fn attach(&self, request: &AttachRequest, channels: Channels) -> Outcome;

    /// Connects to a port within the sandbox. The error's text reaches the user.
    async fn dial(&self, sandbox: &str, port: u16) -> io::Result<Box<dyn Connection>>;
}

/// What a token opens.
#[derive(Clone, Debug)]
enum Session {
    Exec(ExecRequest),
    Attach(AttachRequest),
    PortForward(PortForwardRequest),
}

impl Session {
    fn path(&self) -> &'static str {
        match self {
            Self::Exec(_) => "exec",
            Self::Attach(_) => "attach",
            Self::PortForward(_) => "portforward",
        }
    }
}

/// Hands out URLs. Cheap to clone.
#[derive(Clone)]
pub(crate) struct StreamingServer {
    address: SocketAddr,
    tokens: Arc<Tokens<Session>>,
}

impl std::fmt::Debug for StreamingServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Tokens open sessions and are not to be printed.
        f.debug_struct("StreamingServer").field("address", &self.address).finish_non_exhaustive()
    }
}

impl StreamingServer {
    /// Listens on a free port of the loopback address; serves as long as the tracker's tasks run.
    pub(crate) async fn start(sessions: Arc<dyn Sessions>, tasks: &TaskTracker) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let server = Self { address: listener.local_addr()?, tokens: Arc::default() };
        let serving = Serving { tokens: server.tokens.clone(), sessions, tasks: tasks.clone() };
        tasks.spawn(serving.run(listener));
        Ok(server)
    }

    pub(crate) fn exec(&self, request: ExecRequest) -> String {
        self.url(Session::Exec(request))
    }

    pub(crate) fn attach(&self, request: AttachRequest) -> String {
        self.url(Session::Attach(request))
    }

    pub(crate) fn port_forward(&self, request: PortForwardRequest) -> String {
        self.url(Session::PortForward(request))
    }

    fn url(&self, session: Session) -> String {
        let path = session.path();
        format!("http://{}/{path}/{}", self.address, self.tokens.issue(session))
    }
}

#[derive(Clone)]
struct Serving {
    tokens: Arc<Tokens<Session>>,
    sessions: Arc<dyn Sessions>,
    tasks: TaskTracker,
}

type Answer = Response<BoxBody<Bytes, std::convert::Infallible>>;

impl Serving {
    async fn run(self, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(MAX_SESSIONS));
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            let socket = match listener.accept().await {
                Ok((socket, _)) => socket,
                Err(error) => {
                    tracing::warn!(%error, "accepting a streaming session");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let serving = self.clone();
            // The place is free again when connection and session have both ended.
            let place = Arc::new(place);
            let held = place.clone();
            let service = service_fn(move |request| {
                let (serving, held) = (serving.clone(), held.clone());
                async move { Ok::<_, std::convert::Infallible>(serving.answer(request, held)) }
            });
            self.tasks.spawn(async move {
                let mut http = hyper::server::conn::http1::Builder::new();
                http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
                let connection = http.serve_connection(TokioIo::new(socket), service).with_upgrades();
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "streaming connection ended");
                }
                drop(place);
            });
        }
    }

    fn answer(&self, mut request: Request<Incoming>, place: impl Send + 'static) -> Answer {
        let mut segments = request.uri().path().trim_start_matches('/').split('/');
        let (path, token) = (segments.next().unwrap_or_default(), segments.next().unwrap_or_default());
        let Some(session) = self.tokens.redeem(token).filter(|s| s.path() == path) else {
            return text(StatusCode::NOT_FOUND, "the streaming URL is unknown, used or older than a minute".to_owned());
        };
        let accepted = match session {
            Session::Exec(exec) => self.exec(&mut request, exec, place),
            Session::Attach(attach) => self.attach(&mut request, attach, place),
            Session::PortForward(forward) => self.forward(&mut request, forward, place),
        };
        accepted.unwrap_or_else(|error| text(StatusCode::BAD_REQUEST, error.to_string()))
    }

    fn exec(
        &self,
        request: &mut Request<Incoming>,
        exec: ExecRequest,
        place: impl Send + 'static,
    ) -> Result<Answer, AcceptError> {
        let options =
            RemoteCommandOptions { stdin: exec.stdin, stdout: exec.stdout, stderr: exec.stderr, tty: exec.tty };
        let (response, command) = RemoteCommand::accept(request, options)?;
        let sessions = self.sessions.clone();
        self.tasks.spawn(async move {
            log_end(command.run(async |channels| sessions.exec(&exec, channels).await).await);
            drop(place);
        });
        Ok(response.map(BodyExt::boxed))
    }

    fn attach(
        &self,
        request: &mut Request<Incoming>,
        attach: AttachRequest,
        place: impl Send + 'static,
    ) -> Result<Answer, AcceptError> {
        let options =
            RemoteCommandOptions { stdin: attach.stdin, stdout: attach.stdout, stderr: attach.stderr, tty: attach.tty };
        let (response, command) = RemoteCommand::accept(request, options)?;
        let sessions = self.sessions.clone();
        self.tasks.spawn(async move {
            log_end(command.run(async |channels| sessions.attach(&attach, channels).await).await);
            drop(place);
        });
        Ok(response.map(BodyExt::boxed))
    }

    fn forward(
        &self,
        request: &mut Request<Incoming>,
        forward: PortForwardRequest,
        place: impl Send + 'static,
    ) -> Result<Answer, AcceptError> {
        let (response, session) = PortForward::accept(request)?;
        let pod = Pod { sessions: self.sessions.clone(), sandbox: forward.pod_sandbox_id };
        self.tasks.spawn(async move {
            log_end(session.run(&pod).await);
            drop(place);
        });
        Ok(response.map(BodyExt::boxed))
    }
}

fn log_end(result: Result<(), streaming::SessionError>) {
    if let Err(error) = result {
        tracing::debug!(%error, "streaming session ended");
    }
}

fn text(status: StatusCode, text: String) -> Answer {
    let mut response = Response::new(Full::from(text).boxed());
    *response.status_mut() = status;
    response
}

struct Pod {
    sessions: Arc<dyn Sessions>,
    sandbox: String,
}

impl Dialer for Pod {
    type Connection = Box<dyn Connection>;

    async fn dial(&self, port: u16) -> io::Result<Self::Connection> {
        self.sessions.dial(&self.sandbox, port).await
    }
}

#[cfg(test)]
mod tests;
