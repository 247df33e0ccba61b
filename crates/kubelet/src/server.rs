//! The kubelet's HTTPS server: logs, exec, attach and port forwarding for the API server. Who has no certificate of
//! the kubelets' client authority is served nothing.

mod log_file;
mod log_request;
mod logs;
mod stats;
mod streams;

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use api::core::v1::{Pod, PodStatus};
use bytes::Bytes;
use controller_runtime::Key;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use streaming::PeerStream;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_rustls::TlsAcceptor;

use crate::{agent::Agent, config::ServerConfig, error::Error, pod::signal::Signal};

/// Connections at once.
const MAX_CONNECTIONS: usize = 1024;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Body = UnsyncBoxBody<Bytes, BoxError>;

/// What a request is answered with when it cannot be served. The text is for the user.
pub(crate) struct Refusal(StatusCode, String);

impl Refusal {
    fn bad_request(text: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, text.into())
    }

    fn not_found(text: impl Into<String>) -> Self {
        Self(StatusCode::NOT_FOUND, text.into())
    }

    fn internal(error: impl std::fmt::Display) -> Self {
        Self(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}

/// A socket that listens, before anything is served on it.
pub(crate) struct Bound {
    listener: TcpListener,
    tls: TlsAcceptor,
    pub(crate) address: SocketAddr,
}

pub(crate) async fn bind(config: &ServerConfig) -> Result<Bound, Error> {
    let tls = pki::server_config(config.certificate.clone(), &config.client_ca_pem).map_err(Error::Certificate)?;
    let failed = |source| Error::Listen { address: config.address, source };
    let listener = TcpListener::bind(config.address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok(Bound { listener, tls: TlsAcceptor::from(Arc::new(tls)), address })
}

/// Serves until the agent's tasks are stopped.
pub(crate) fn start(agent: Arc<Agent>, bound: Bound) {
    let tasks = agent.tasks.clone();
    tasks.spawn("kubelet-server", accept(agent, bound.listener, bound.tls));
}

async fn accept(agent: Arc<Agent>, listener: TcpListener, tls: TlsAcceptor) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((socket, _)) => {
                let (serving, tls) = (agent.clone(), tls.clone());
                agent.tasks.spawn("kubelet-connection", async move {
                    serve(serving, socket, tls).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accepting a connection to the kubelet");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

async fn serve(agent: Arc<Agent>, socket: TcpStream, tls: TlsAcceptor) {
    let Ok(socket) = PeerStream::new(socket) else { return };
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(socket)).await else { return };
    // The handshake has verified it against the authority; having one is what counts.
    let known = stream.get_ref().1.peer_certificates().is_some_and(|chain| !chain.is_empty());
    let service = service_fn(move |request| {
        let agent = agent.clone();
        async move { Ok::<_, Infallible>(answer(&agent, known, request).await) }
    });
    // Agreed on in the handshake. Looking at the first bytes instead would wait for them without end.
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let http = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    let mut http = if is_http2 { http.http2_only() } else { http.http1_only() };
    http.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    if let Err(error) = http.serve_connection_with_upgrades(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a connection to the kubelet ended");
    }
}

async fn answer(agent: &Arc<Agent>, known: bool, request: Request<Incoming>) -> Response<Body> {
    if !known {
        return text(StatusCode::UNAUTHORIZED, "Unauthorized".to_owned());
    }
    let path = request.uri().path().to_owned();
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let result = match segments.as_slice() {
        ["healthz"] => Ok(text(StatusCode::OK, "ok".to_owned())),
        ["pods"] => Ok(pods(agent)),
        ["metrics"] => stats::metrics(agent).await,
        ["stats", "summary"] => stats::summary(agent).await,
        ["containerLogs", namespace, pod, container] => {
            let query = request.uri().query().unwrap_or_default();
            logs::serve(agent, namespace, pod, container, query).await
        }
        ["exec", namespace, pod, container] => streams::exec(agent, namespace, pod, container, request).await,
        ["attach", namespace, pod, container] => streams::attach(agent, namespace, pod, container, request).await,
        ["portForward", namespace, pod] => streams::port_forward(agent, namespace, pod, request).await,
        _ => Err(Refusal::not_found("404 page not found")),
    };
    result.unwrap_or_else(|Refusal(status, message)| text(status, message))
}

fn text(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(boxed(Full::from(text)));
    *response.status_mut() = status;
    response
}

fn boxed<B>(body: B) -> Body
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    body.map_err(Into::into).boxed_unsync()
}

/// The pods bound to this node, as a list.
fn pods(agent: &Agent) -> Response<Body> {
    let items: Vec<Bytes> = agent.pods.entries().iter().map(|entry| entry.bytes.clone()).collect();
    let mut list = br#"{"kind":"PodList","apiVersion":"v1","metadata":{},"items":["#.to_vec();
    list.extend_from_slice(&items.join(&b","[..]));
    list.extend_from_slice(b"]}");
    let mut response = Response::new(boxed(Full::from(list)));
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}

/// The pod of that name on this node.
fn find_pod(agent: &Agent, namespace: &str, name: &str) -> Result<Pod, Refusal> {
    match agent.pods.fetch(&Key::new(namespace, name)) {
        Ok(Some(pod)) => {
            let signal = agent.table.get(pod.metadata.uid.as_deref().unwrap_or_default());
            Ok(newest(pod, signal.as_deref()))
        }
        Ok(None) => Err(Refusal::not_found(format!("pod {name:?} not found"))),
        Err(error) => Err(Refusal::internal(error)),
    }
}

/// With the status that this kubelet last decided on: who has read in the API that a container runs asks for its log at
/// once, and our copy of the API's pods may be behind.
fn newest(mut pod: Pod, signal: Option<&Signal>) -> Pod {
    if let Some(status) = signal.and_then(Signal::decided) {
        pod.status = Some(PodStatus::clone(&status));
    }
    pod
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use serde_json::{Value, json};

    use super::{log_request::container_id, *};

    fn pod(state: Value) -> Pod {
        let container = json!({"name": "c", "ready": false, "image": "i", "imageID": "", "restartCount": 0,
            "containerID": "knarr://new", "state": state});
        let pod = json!({"metadata": {"name": "p"}, "status": {"containerStatuses": [container]}});
        serde_json::from_value(pod).unwrap()
    }

    #[test]
    fn a_log_is_there_as_soon_as_the_api_shows_that_its_container_runs() {
        let shown = pod(json!({"waiting": {"reason": "ContainerCreating"}}));
        let signal = Signal::new(Arc::new(shown.clone()), None);
        let log = |signal| container_id(&newest(shown.clone(), signal), "c", false).ok();
        assert_eq!((log(None), log(Some(&signal))), (None, None));
        signal.decide(Arc::new(pod(json!({"running": {}})).status.unwrap()));
        assert_eq!(log(Some(&signal)).as_deref(), Some("new"));
    }
}
