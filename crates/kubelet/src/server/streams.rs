//! Exec, attach and port forwarding: the runtime says where, the connection is passed on there.

use std::sync::Arc;

use bytes::Bytes;
use cri::v1::{AttachRequest, ExecRequest, PortForwardRequest};
use form_urlencoded::parse;
use http::{Request, Response, Uri, header};
use hyper::body::Incoming;
use tokio::net::TcpStream;

use super::{Body, Refusal, boxed, find_pod};
use crate::{
    agent::Agent,
    pod::observed::{ContainerSeen, Observed, State},
};

pub(super) async fn exec(
    agent: &Arc<Agent>,
    namespace: &str,
    pod: &str,
    container: &str,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let container_id = running(agent, namespace, pod, container).await?.id;
    let query = request.uri().query().unwrap_or_default().to_owned();
    let cmd = parse(query.as_bytes()).filter(|(key, _)| key == "command").map(|(_, value)| value.into_owned());
    let [stdin, stdout, stderr, tty] = wanted(&query);
    let asked = ExecRequest { container_id, cmd: cmd.collect(), tty, stdin, stdout, stderr };
    let url = agent.runtime.service.exec(asked).await.map_err(Refusal::internal)?.url;
    pass_on(agent, request, &url).await
}

pub(super) async fn attach(
    agent: &Arc<Agent>,
    namespace: &str,
    pod: &str,
    container: &str,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let container_id = running(agent, namespace, pod, container).await?.id;
    let [stdin, stdout, stderr, tty] = wanted(request.uri().query().unwrap_or_default());
    let asked = AttachRequest { container_id, stdin, tty, stdout, stderr };
    let url = agent.runtime.service.attach(asked).await.map_err(Refusal::internal)?.url;
    pass_on(agent, request, &url).await
}

pub(super) async fn port_forward(
    agent: &Arc<Agent>,
    namespace: &str,
    pod: &str,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let observed = observe(agent, namespace, pod).await?;
    let sandbox = observed.ready_sandbox().ok_or_else(|| Refusal::not_found(format!("pod {pod:?} is not running")))?;
    let asked = PortForwardRequest { pod_sandbox_id: sandbox.id.clone(), port: Vec::new() };
    let url = agent.runtime.service.port_forward(asked).await.map_err(Refusal::internal)?.url;
    pass_on(agent, request, &url).await
}

/// Which of stdin, stdout, stderr and a terminal the query asks for.
fn wanted(query: &str) -> [bool; 4] {
    ["input", "output", "error", "tty"]
        .map(|name| parse(query.as_bytes()).any(|(key, value)| key == name && (value == "1" || value == "true")))
}

async fn observe(agent: &Agent, namespace: &str, name: &str) -> Result<Observed, Refusal> {
    let pod = find_pod(agent, namespace, name)?;
    let uid = pod.metadata.uid.unwrap_or_default();
    agent.runtime.observe(&uid).await.map_err(Refusal::internal)
}

async fn running(agent: &Agent, namespace: &str, pod: &str, container: &str) -> Result<ContainerSeen, Refusal> {
    let observed = observe(agent, namespace, pod).await?;
    let seen = observed.current(container).filter(|c| c.state == State::Running);
    seen.cloned().ok_or_else(|| Refusal::not_found(format!("container not found ({container:?})")))
}

/// The runtime's URL is on loopback and opens once.
async fn pass_on(agent: &Arc<Agent>, mut request: Request<Incoming>, url: &str) -> Result<Response<Body>, Refusal> {
    let url: Uri = url.parse().map_err(Refusal::internal)?;
    let authority = url.authority().ok_or_else(|| Refusal::internal("the runtime's URL names no server"))?.clone();
    let path = url.path_and_query().cloned().ok_or_else(|| Refusal::internal("the runtime's URL has no path"))?;
    let backend = TcpStream::connect(authority.as_str()).await.map_err(Refusal::internal)?;
    *request.uri_mut() = Uri::from(path);
    let host = authority.as_str().parse().map_err(Refusal::internal)?;
    request.headers_mut().insert(header::HOST, host);
    let proxied = streaming::proxy_upgrade(request, backend).await.map_err(Refusal::internal)?;
    agent.tasks.spawn("kubelet-stream", proxied.work);
    Ok(proxied.response.map(boxed::<http_body_util::Either<Incoming, http_body_util::Empty<Bytes>>>))
}
