//! Requests passed on to kubelets and pods.

use std::{net::IpAddr, sync::Arc, time::Duration};

use apimachinery::{Object, Status};
use futures::{FutureExt, future::BoxFuture};
use http::{HeaderValue, Response, StatusCode, Uri, header};
use http_body_util::BodyExt;
use kinds::Subresource;
use registry::{ListOptions, View};
use rustls::pki_types::ServerName;
use serde_json::Value;
use streaming::PeerStream;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::{
    log_options,
    target::{self, Kubelet, Proxied},
};
use crate::{
    query::Query,
    resources::Call,
    respond::{self, Body},
    server::{ApiServer, Cx},
};

const DIAL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a backend may take to begin its answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Any stream to a backend.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl ApiServer {
    pub(super) async fn pod_log(&self, call: Call) -> Result<Response<Body>, Status> {
        let pod = self.named("pods", &call.cx.info.namespace, &call.cx.info.name).await?;
        let options = log_options::read(&call.cx.query, pod.name())?;
        let container = target::container(&pod, call.cx.query.first("container").unwrap_or_default())?;
        let Some(node) = pod.get_str(&["spec", "nodeName"]).filter(|n| !n.is_empty()) else {
            // A pod that runs nowhere has no log yet.
            let mut response = Response::new(respond::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            return Ok(response);
        };
        let (path, node) = (format!("/containerLogs/{}/{}/{container}", pod.namespace(), pod.name()), node.to_owned());
        let path = if options.is_empty() { path } else { format!("{path}?{options}") };
        let mut response = self.to_kubelet(call.cx, &node, &path).await?;
        if response.status() == StatusCode::OK {
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        }
        Ok(response)
    }

    pub(super) async fn pod_stream(&self, call: Call) -> Result<Response<Body>, Status> {
        let pod = self.named("pods", &call.cx.info.namespace, &call.cx.info.name).await?;
        let node = pod.get_str(&["spec", "nodeName"]).unwrap_or_default().to_owned();
        let unassigned = || Status::bad_request(format!("pod {} does not have a host assigned", pod.name()));
        let kind = match call.entry.subresource {
            Some(Subresource::Exec) => "exec",
            Some(Subresource::Attach) => "attach",
            _ => "portForward",
        };
        let (namespace, name) = (pod.namespace(), pod.name());
        let path = if kind == "portForward" {
            format!("/portForward/{namespace}/{name}")
        } else {
            let container = target::container(&pod, call.cx.query.first("container").unwrap_or_default())?;
            format!("/{kind}/{namespace}/{name}/{container}")
        };
        if node.is_empty() {
            return Err(unassigned());
        }
        let query = kubelet_query(kind, &call.cx.query);
        let path = if query.is_empty() { path } else { format!("{path}?{query}") };
        self.to_kubelet(call.cx, &node, &path).await
    }

    pub(super) async fn node_proxy(&self, call: Call) -> Result<Response<Body>, Status> {
        let proxied = Proxied::parse(&call.cx.info.name);
        let name = proxied.map_or_else(|| call.cx.info.name.clone(), |p| p.name);
        self.named("nodes", "", &name).await?;
        let path = proxied_path(&call.cx);
        self.to_kubelet(call.cx, &name, &path).await
    }

    pub(super) async fn pod_proxy(&self, call: Call) -> Result<Response<Body>, Status> {
        let proxied = proxied(&call.cx, "pod")?;
        let pod = self.named("pods", &call.cx.info.namespace, &proxied.name).await?;
        let (address, port) = target::pod_address(&pod, &proxied.port)?;
        self.to_address(call.cx, address, port, proxied.tls).await
    }

    pub(super) async fn service_proxy(&self, call: Call) -> Result<Response<Body>, Status> {
        let proxied = proxied(&call.cx, "service")?;
        let namespace = call.cx.info.namespace.clone();
        let service = self.named("services", &namespace, &proxied.name).await?;
        let slices = self.slices(&namespace, &proxied.name).await?;
        let (address, port) = target::service_address(&service, &slices, &proxied.port)?;
        self.to_address(call.cx, address, port, proxied.tls).await
    }

    async fn slices(&self, namespace: &str, service: &str) -> Result<Vec<Object>, Status> {
        let live = &self.inner.live;
        let resource = live.resource("discovery.k8s.io", "v1", "endpointslices")?;
        let options =
            ListOptions { label_selector: format!("kubernetes.io/service-name={service}"), ..ListOptions::default() };
        let listed = live.registry.list(&resource, &live.context(namespace, ""), &options, View::Object).await?;
        let list: Value = serde_json::from_slice(&listed.chunks.concat()).map_err(Status::internal)?;
        let items = list["items"].as_array().cloned().unwrap_or_default();
        Ok(items.into_iter().filter_map(|item| Object::from_value(item).ok()).collect())
    }

    async fn to_kubelet(&self, cx: Cx, node: &str, path: &str) -> Result<Response<Body>, Status> {
        let node = self.named("nodes", "", node).await?;
        let kubelet = Kubelet::of(&node)?;
        let tcp = dial(&kubelet.host, kubelet.port).await?;
        let stream = tls(tcp, &kubelet.host, Arc::clone(&self.inner.config.kubelet_tls)).await?;
        self.pass_on(cx, Box::new(stream), &format!("{}:{}", kubelet.host, kubelet.port), path).await
    }

    async fn to_address(&self, cx: Cx, address: IpAddr, port: u16, tls_wanted: bool) -> Result<Response<Body>, Status> {
        let path = proxied_path(&cx);
        let host = address.to_string();
        let tcp = dial(&host, port).await?;
        if tls_wanted {
            return Err(Status::bad_request("proxying to HTTPS backends is not built yet; use http"));
        }
        let authority = std::net::SocketAddr::new(address, port).to_string();
        self.pass_on(cx, Box::new(tcp), &authority, &path).await
    }

    async fn pass_on(
        &self,
        cx: Cx,
        stream: Box<dyn Stream>,
        authority: &str,
        path: &str,
    ) -> Result<Response<Body>, Status> {
        let mut request = cx.request;
        *request.uri_mut() = path.parse::<Uri>().map_err(|e| Status::bad_request(e.to_string()))?;
        let host = HeaderValue::from_str(authority).map_err(Status::internal)?;
        request.headers_mut().insert(header::HOST, host);
        request.headers_mut().remove(header::COOKIE);
        let proxied = tokio::time::timeout(ANSWER_TIMEOUT, upgraded(request, stream))
            .await
            .map_err(|_| Status::timeout("the backend did not answer", 0))?
            .map_err(|error| Status::internal(stdx_chain(&error)))?;
        self.inner.tasks.spawn("proxied connection", proxied.work);
        let (mut parts, body) = proxied.response.into_parts();
        parts.headers.remove(header::TRANSFER_ENCODING);
        let body = body.map_err(|error| -> respond::BoxError { error }).boxed_unsync();
        Ok(Response::from_parts(parts, body))
    }
}

/// The parameters of a stream as the kubelet spells them.
fn kubelet_query(kind: &str, asked: &Query) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (key, value) in asked.iter() {
        match (kind, key) {
            ("exec" | "attach", "stdin" | "stdout" | "stderr" | "tty") => {
                let flag = asked.flag(key).unwrap_or_default();
                let key = match key {
                    "stdin" => "input",
                    "stdout" => "output",
                    "stderr" => "error",
                    other => other,
                };
                if flag {
                    query.append_pair(key, "1");
                }
            }
            ("exec", "command") => {
                query.append_pair("command", value);
            }
            ("portForward", "ports") => {
                query.append_pair("port", value);
            }
            _ => {}
        }
    }
    query.finish()
}

/// Boxed here, where nothing is borrowed: the compiler cannot see through the generic future otherwise.
fn upgraded(
    request: http::Request<Body>,
    stream: Box<dyn Stream>,
) -> BoxFuture<'static, Result<streaming::ProxiedResponse, streaming::ProxyError>> {
    streaming::proxy_upgrade(request, stream).boxed()
}

/// An error with its causes, each of which says a part.
fn stdx_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let more = source.to_string();
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = source.source();
    }
    text
}

fn proxied(cx: &Cx, what: &str) -> Result<Proxied, Status> {
    Proxied::parse(&cx.info.name).ok_or_else(|| {
        Status::bad_request(format!("invalid {what} request {}", apimachinery::field::quote(&cx.info.name)))
    })
}

/// The path behind `proxy`, with the query that came.
fn proxied_path(cx: &Cx) -> String {
    let path = format!("/{}", cx.info.rest.as_deref().unwrap_or_default());
    match cx.request.uri().query() {
        Some(query) if !query.is_empty() => format!("{path}?{query}"),
        _ => path,
    }
}

async fn dial(host: &str, port: u16) -> Result<PeerStream, Status> {
    let failed = |why: String| Status::service_unavailable(format!("error trying to reach service: {why}"));
    match tokio::time::timeout(DIAL_TIMEOUT, TcpStream::connect((host, port))).await {
        Ok(Ok(stream)) => PeerStream::new(stream).map_err(Status::internal),
        Ok(Err(error)) => Err(failed(format!("dial tcp {host}:{port}: {error}"))),
        Err(_) => Err(failed(format!("dial tcp {host}:{port}: i/o timeout"))),
    }
}

async fn tls(
    tcp: PeerStream,
    host: &str,
    config: Arc<rustls::ClientConfig>,
) -> Result<tokio_rustls::client::TlsStream<PeerStream>, Status> {
    let name = ServerName::try_from(host.to_owned()).map_err(Status::internal)?;
    let connector = tokio_rustls::TlsConnector::from(config);
    match tokio::time::timeout(DIAL_TIMEOUT, connector.connect(name, tcp)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(Status::internal(format!("error dialing backend: {error}"))),
        Err(_) => Err(Status::internal("error dialing backend: TLS handshake timeout")),
    }
}
