//! A handle on an API server, with an identity: a direct call in one process, or HTTP over TLS.

use std::{path::Path, time::Duration};

use apimachinery::{Identity, UserInfo};
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, stream::BoxStream};
use http::{Request, Response, header};
use http_body_util::BodyExt;
use kube::{Api, Resource, client::Body, core::Status};
use serde::de::DeserializeOwned;
use tower::ServiceExt;

use crate::{
    Error, TimedOut, TooLong,
    kubeconfig::{self, Kubeconfig},
};

/// The longest answer read whole. Lists beyond it are asked for in pages.
pub const MAX_RESPONSE_BYTES: usize = 256 << 20;

/// How long a server may take to begin its answer, also to a watch.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A server that vanished without a word is noticed on an idle connection, a watch for example, by these...
const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_PROBES: u32 = 3;
/// ... and on one that waits for an answer by this. API servers read what they are sent.
const PEER_TIMEOUT: Duration = Duration::from_secs(30);

/// The frames of an answer as they come in; a frame is not a line.
pub type ByteStream = BoxStream<'static, Result<Bytes, Error>>;

/// Cheap to clone. Requests through it bear one identity and meet the API server's whole chain.
#[derive(Clone)]
pub struct Client {
    kube: kube::Client,
}

impl Client {
    /// Calls `service` directly, as `user`. The service authenticates by the [`Identity`] extension, which only
    /// code in this process can set. Needs a tokio runtime.
    pub fn in_process<S, B>(service: S, user: UserInfo) -> Self
    where
        S: tower::Service<Request<Body>, Response = Response<B>> + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<tower::BoxError>,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<tower::BoxError>,
    {
        let identity = Identity(user);
        let service = service.map_request(move |mut request: Request<Body>| {
            request.extensions_mut().insert(identity.clone());
            request
        });
        Self { kube: kube::Client::new(service, "default") }
    }

    /// Connects as the current context of the kubeconfig file says.
    pub async fn from_kubeconfig(path: impl AsRef<Path>) -> Result<Self, kubeconfig::Error> {
        let path = path.as_ref();
        let config = kubeconfig::read(path)?;
        Self::from_kubeconfig_value(config)
            .await
            .map_err(|source| kubeconfig::Error::Use { path: path.to_owned(), source: Box::new(source) })
    }

    pub async fn from_kubeconfig_value(config: Kubeconfig) -> Result<Self, Error> {
        let options = kube::config::KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(config, &options).await?;
        Ok(Self { kube: kube::Client::try_from(config)? })
    }

    /// Connects to `server`, an `https` URL, with this TLS configuration, whose certificate may change while the client
    /// lives.
    pub fn over_tls(server: &str, tls: rustls::ClientConfig) -> Result<Self, Error> {
        let uri = server.parse::<http::Uri>().map_err(|e| Error::HttpError(e.into()))?;
        let mut connector = hyper_util::client::legacy::connect::HttpConnector::new();
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_keepalive(Some(KEEPALIVE_IDLE));
        connector.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
        connector.set_keepalive_retries(Some(KEEPALIVE_PROBES));
        connector.set_tcp_user_timeout(Some(PEER_TIMEOUT));
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_only()
            .enable_http1()
            .wrap_connector(connector);
        let executor = hyper_util::rt::TokioExecutor::new();
        let http = hyper_util::client::legacy::Client::builder(executor).build::<_, Body>(connector);
        let base = kube::client::ConfigExt::base_uri_layer(&kube::Config::new(uri));
        let service = tower::Layer::layer(&base, http);
        Ok(Self { kube: kube::Client::new(service, "default") })
    }

    /// kube's own client, for what has no method here.
    pub fn kube(&self) -> kube::Client {
        self.kube.clone()
    }

    /// Cluster-scoped objects, or those of all namespaces.
    pub fn all<K: Resource<DynamicType = ()>>(&self) -> Api<K> {
        Api::all(self.kube())
    }

    /// Objects of one namespace.
    pub fn namespaced<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    {
        Api::namespaced(self.kube(), namespace)
    }

    /// Sends any request. An answer that says no is an answer, not an error; see [`Client::bytes`] otherwise.
    pub async fn send(&self, request: Request<Body>) -> Result<Response<Body>, Error> {
        let path = request.uri().path().to_owned();
        match tokio::time::timeout(FIRST_BYTE_TIMEOUT, self.kube.send(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::Service(Box::new(TimedOut { path, seconds: FIRST_BYTE_TIMEOUT.as_secs() }))),
        }
    }

    /// The whole body of the answer to a GET, at most [`MAX_RESPONSE_BYTES`].
    pub async fn get_bytes(&self, path_and_query: &str, accept: &str) -> Result<Bytes, Error> {
        self.bytes(get(path_and_query, accept)?).await
    }

    /// The whole body of the answer to any request. An answer of 400 and above is [`Error::Api`].
    pub async fn bytes(&self, request: Request<Body>) -> Result<Bytes, Error> {
        let path = request.uri().path().to_owned();
        let answer = refuse_failures(self.send(request).await?).await?;
        collect(answer.into_body(), &path).await
    }

    /// The answer to any request, decoded.
    pub async fn request<T: DeserializeOwned>(&self, request: Request<Body>) -> Result<T, Error> {
        let bytes = self.bytes(request).await?;
        serde_json::from_slice(&bytes).map_err(Error::SerdeError)
    }

    /// The answer to a GET as it comes in, for watches and logs. Dropping the stream ends the request.
    pub async fn stream(&self, path_and_query: &str, accept: &str) -> Result<ByteStream, Error> {
        let answer = refuse_failures(self.send(get(path_and_query, accept)?).await?).await?;
        Ok(data_frames(answer.into_body()).boxed())
    }
}

fn get(path_and_query: &str, accept: &str) -> Result<Request<Body>, Error> {
    // Compression would cost both ends more than loopback or a local network saves.
    Request::get(path_and_query)
        .header(header::ACCEPT, accept)
        .header(header::ACCEPT_ENCODING, "identity")
        .body(Body::empty())
        .map_err(Error::HttpError)
}

fn data_frames(body: Body) -> impl Stream<Item = Result<Bytes, Error>> + Send {
    body.into_data_stream()
}

async fn collect(body: Body, path: &str) -> Result<Bytes, Error> {
    let mut frames = body.into_data_stream();
    let Some(first) = frames.next().await.transpose()? else { return Ok(Bytes::new()) };
    let Some(second) = frames.next().await.transpose()? else { return Ok(first) };
    let mut whole = BytesMut::from(first);
    whole.extend_from_slice(&second);
    while let Some(frame) = frames.next().await.transpose()? {
        if whole.len() + frame.len() > MAX_RESPONSE_BYTES {
            let cause = TooLong { path: path.to_owned(), limit: MAX_RESPONSE_BYTES };
            return Err(Error::Service(Box::new(cause)));
        }
        whole.extend_from_slice(&frame);
    }
    Ok(whole.freeze())
}

/// The longest failure read; a `Status` is far shorter.
const MAX_FAILURE_BYTES: usize = 1 << 20;

async fn refuse_failures(answer: Response<Body>) -> Result<Response<Body>, Error> {
    let code = answer.status();
    if !(code.is_client_error() || code.is_server_error()) {
        return Ok(answer);
    }
    let body = http_body_util::Limited::new(answer.into_body(), MAX_FAILURE_BYTES);
    let bytes = body.collect().await.map_err(Error::Service)?.to_bytes();
    let status = serde_json::from_slice::<Status>(&bytes).unwrap_or_else(|_| Status {
        // Not every refusal comes from an API server; a proxy answers in plain text.
        code: code.as_u16(),
        message: String::from_utf8_lossy(&bytes).trim().to_owned(),
        reason: code.canonical_reason().unwrap_or_default().replace(' ', ""),
        ..Status::default()
    });
    Err(Error::Api(Box::new(Status { code: code.as_u16(), ..status })))
}
