//! The streaming endpoint: on loopback, one address per session, good once and not for long.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use cri::CriError;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty, Full, combinators::BoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use streaming::RemoteCommandOptions;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::Instant,
};

use crate::{exec::session, naming, runtime::Runtime};

/// As containerd: time enough for the kubelet to come back with the client.
const TOKEN_LIFETIME: Duration = Duration::from_secs(60);
const TOKENS: usize = 1000;
const SESSIONS: usize = 1024;

/// What a token stands for.
#[derive(Debug, Clone)]
pub(crate) enum Session {
    Exec { container: String, command: Vec<String>, options: RemoteCommandOptions },
    Attach { container: String, options: RemoteCommandOptions },
    PortForward { sandbox: String },
}

#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    listener: Mutex<Option<std::net::TcpListener>>,
    tokens: Mutex<HashMap<String, (Instant, Session)>>,
}

impl Server {
    /// Takes a port on loopback; serves once [`Server::serve`] is called.
    pub(crate) fn bind() -> io::Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            address: listener.local_addr()?,
            listener: Mutex::new(Some(listener)),
            tokens: Mutex::default(),
        })
    }

    /// The address of a new session.
    pub(crate) fn prepare(&self, session: Session) -> Result<String, CriError> {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.retain(|_, (made, _)| made.elapsed() < TOKEN_LIFETIME);
        if tokens.len() >= TOKENS {
            return Err(CriError::resource_exhausted("maximum number of in-flight requests exceeded"));
        }
        let kind = match session {
            Session::Exec { .. } => "exec",
            Session::Attach { .. } => "attach",
            Session::PortForward { .. } => "portforward",
        };
        let token = naming::new_id();
        let url = format!("http://{}/{kind}/{token}", self.address);
        tokens.insert(token, (Instant::now(), session));
        Ok(url)
    }

    fn redeem(&self, token: &str) -> Option<Session> {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let (made, session) = tokens.remove(token)?;
        (made.elapsed() < TOKEN_LIFETIME).then_some(session)
    }

    /// Serves until the runtime ends.
    pub(crate) fn serve(&self, runtime: &Runtime) -> io::Result<()> {
        let Some(listener) = self.listener.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return Ok(());
        };
        let listener = TcpListener::from_std(listener)?;
        let end = runtime.inner.end.clone();
        let runtime = Arc::downgrade(&runtime.inner);
        let room = Arc::new(Semaphore::new(SESSIONS));
        tokio::spawn(async move {
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    () = end.cancelled() => return,
                };
                let Ok((stream, _)) = accepted else { continue };
                let Some(inner) = runtime.upgrade() else { return };
                let Ok(permit) = room.clone().try_acquire_owned() else { continue };
                let runtime = Runtime { inner };
                tokio::spawn(async move {
                    connection(stream, runtime).await;
                    drop(permit);
                });
            }
        });
        Ok(())
    }
}

async fn connection(stream: TcpStream, runtime: Runtime) {
    let service = service_fn(move |request| answer(request, runtime.clone()));
    let served = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a streaming connection broke");
    }
}

type Body = BoxBody<Bytes, std::convert::Infallible>;

fn refuse(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Full::from(text).boxed());
    *response.status_mut() = status;
    response
}

fn upgrade(response: Response<Empty<Bytes>>) -> Response<Body> {
    response.map(BodyExt::boxed)
}

async fn answer(
    mut request: Request<Incoming>,
    runtime: Runtime,
) -> Result<Response<Body>, std::convert::Infallible> {
    let path = request.uri().path().to_owned();
    let token = path.rsplit('/').next().unwrap_or_default();
    let Some(found) = runtime.inner.server.redeem(token) else {
        return Ok(refuse(StatusCode::NOT_FOUND, "404 page not found\n".into()));
    };
    let accepted = match found {
        Session::Exec { container, command, options } => {
            streaming::RemoteCommand::accept(&mut request, options).map(|(response, remote)| {
                tokio::spawn(session::exec(runtime, container, command, options, remote));
                response
            })
        }
        Session::Attach { container, options } => {
            streaming::RemoteCommand::accept(&mut request, options).map(|(response, remote)| {
                tokio::spawn(session::attach(runtime, container, options, remote));
                response
            })
        }
        Session::PortForward { sandbox } => {
            streaming::PortForward::accept(&mut request).map(|(response, forward)| {
                tokio::spawn(session::port_forward(runtime, sandbox, forward));
                response
            })
        }
    };
    Ok(accepted.map_or_else(|error| refuse(StatusCode::BAD_REQUEST, error.to_string()), upgrade))
}
