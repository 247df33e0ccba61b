//! The server: one `tower::Service` for sockets and for callers in this process, and the chain every request passes:
//! request info, authentication, impersonation, flow control, authorization, routing.

use std::{
    convert::Infallible,
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use apimachinery::{Status, UserInfo};
use arc_swap::ArcSwap;
use auth::{Authorizer, BootstrapTokens, Chain, Decision, Graph, Rbac, ServiceAccountTokens};
use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use tokio::time::Instant;

use crate::{
    authentication::Refusal,
    config::Config,
    discovery::Catalog,
    flow::Flow,
    health::Health,
    live::Live,
    metrics::Metrics,
    query::Query,
    request_info::RequestInfo,
    respond::{self, Body, BoxError, Looks},
};

/// Requests that do not stream are answered within this time, or refused.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// The API server. Cheap to clone.
#[derive(Clone)]
pub struct ApiServer {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) live: Live,
    pub(crate) chain: Chain,
    pub(crate) rbac: Arc<Rbac>,
    pub(crate) graph: Arc<Graph>,
    pub(crate) tokens: ServiceAccountTokens,
    pub(crate) bootstrap_tokens: BootstrapTokens,
    pub(crate) catalog: ArcSwap<Catalog>,
    pub(crate) openapi: crate::openapi::Documents,
    pub(crate) flow: Flow,
    pub(crate) feeds: crate::feeds::Feeds,
    pub(crate) health: Health,
    pub(crate) metrics: Metrics,
    pub(crate) peers: Option<crate::peers::Peers>,
    /// Feeds and streams, ended with the server.
    pub(crate) tasks: crate::tasks::Tasks,
}

/// A request after authentication.
pub(crate) struct Cx {
    pub(crate) request: Request<Body>,
    pub(crate) info: RequestInfo,
    pub(crate) query: Query,
    pub(crate) user: UserInfo,
}

impl Cx {
    pub(crate) fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.request.headers().get(name).and_then(|value| value.to_str().ok())
    }

    /// All `Accept` headers as one.
    pub(crate) fn accept(&self) -> Option<String> {
        let values: Vec<&str> =
            self.request.headers().get_all(header::ACCEPT).iter().filter_map(|v| v.to_str().ok()).collect();
        (!values.is_empty()).then(|| values.join(","))
    }

    pub(crate) fn looks(&self, accepted: crate::negotiation::Accepted) -> Looks {
        Looks::new(self.request.headers(), self.query.first("pretty"), accepted)
    }
}

impl ApiServer {
    /// Serves one request. Never fails: what goes wrong is an answer.
    pub async fn serve<B>(self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let request = request.map(|body| body.map_err(Into::into).boxed_unsync());
        let begun = Instant::now();
        let query = request.uri().query().unwrap_or_default();
        let info = RequestInfo::new(request.method(), request.uri().path(), query);
        let method = request.method().clone();
        let audit_id = audit_id(&request);
        let dry_run = query.contains("dryRun=");
        let answer = AssertUnwindSafe(self.bounded(request, info.clone())).catch_unwind().await;
        let mut response = answer.unwrap_or_else(|_| {
            tracing::error!(path = info.path, verb = info.verb, "a request panicked");
            respond::text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "This request caused apiserver to panic. Look in the logs for details.",
            )
        });
        let headers = response.headers_mut();
        if !headers.contains_key(header::CACHE_CONTROL) {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
        }
        headers.insert("audit-id", audit_id);
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            self.inner.metrics.observe(&info, &method, dry_run, response.status(), begun.elapsed());
        }
        response
    }

    /// Bounds what is not meant to last.
    async fn bounded(&self, request: Request<Body>, info: RequestInfo) -> Response<Body> {
        let lasting = is_long_running(&info);
        let work = self.authenticated(request, info);
        if lasting {
            return work.await;
        }
        match tokio::time::timeout(REQUEST_TIMEOUT, work).await {
            Ok(response) => response,
            Err(_) => respond::status(&Status::timeout("request did not complete within the allotted timeout", 0)),
        }
    }

    async fn authenticated(&self, mut request: Request<Body>, info: RequestInfo) -> Response<Body> {
        let query = Query::parse(request.uri().query().unwrap_or_default());
        let user = match self.user_of(&mut request, info.path.clone()).await {
            Ok(user) => user,
            Err(Refusal::Unauthorized) => return respond::status(&Status::unauthorized()),
            Err(Refusal::Forbidden(status)) => return respond::status(&status),
            Err(Refusal::Malformed(text)) => {
                return respond::text(StatusCode::INTERNAL_SERVER_ERROR, text);
            }
        };
        let cx = Cx { request, info, query, user };
        let exempt = is_long_running(&cx.info) || cx.user.in_group("system:masters");
        let _permit = match exempt {
            true => None,
            false => match self.inner.flow.enter(&cx.user.username).await {
                Some(permit) => Some(permit),
                None => return too_many(),
            },
        };
        self.authorized(cx).await
    }

    /// Asks the authorizers. What was granted a moment ago counts: nobody is refused because a feed has yet to hear
    /// of it.
    pub(crate) async fn decide(&self, attributes: &auth::Attributes) -> Decision {
        let decision = self.inner.chain.authorize(attributes);
        if matches!(decision, Decision::NoOpinion(_)) && self.inner.feeds.catch_up().await {
            return self.inner.chain.authorize(attributes);
        }
        decision
    }

    async fn authorized(&self, cx: Cx) -> Response<Body> {
        let attributes = cx.info.attributes(&cx.user, cx.request.uri().query().unwrap_or_default());
        match self.decide(&attributes).await {
            Decision::Allow(_) => self.route(cx).await,
            Decision::Deny(reason) | Decision::NoOpinion(reason) => respond::status(&attributes.forbidden(&reason)),
        }
    }

    /// Boxed, so that the chain's futures stay small for all but the route taken.
    fn route(&self, cx: Cx) -> BoxFuture<'_, Response<Body>> {
        if cx.info.is_resource { self.serve_resource(cx).boxed() } else { self.serve_path(cx).boxed() }
    }
}

/// Streams: they are neither timed nor counted.
fn is_long_running(info: &RequestInfo) -> bool {
    info.is_resource
        && (info.verb == "watch"
            || matches!(info.subresource.as_str(), "attach" | "exec" | "proxy" | "log" | "portforward"))
}

fn too_many() -> Response<Body> {
    let mut response = respond::text(StatusCode::TOO_MANY_REQUESTS, "Too many requests, please try again later.\n");
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// The longest id a client may bring along.
const MAX_AUDIT_ID_BYTES: usize = 64;

fn audit_id(request: &Request<Body>) -> HeaderValue {
    request
        .headers()
        .get("audit-id")
        .filter(|id| !id.is_empty() && id.len() <= MAX_AUDIT_ID_BYTES)
        .cloned()
        .unwrap_or_else(|| {
            HeaderValue::from_str(&crate::ids::uuid()).expect("hexadecimal digits and dashes are a header value")
        })
}

impl<B> tower::Service<Request<B>> for ApiServer
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let server = self.clone();
        Box::pin(async move { Ok(server.serve(request).await) })
    }
}
