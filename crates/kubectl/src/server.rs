//! Requests to the API server, on behalf of a verb: warnings are printed, refusals become failures.

use std::{cell::OnceCell, io::Write};

use client::{Body, ByteStream, Client, kube::core::Status};
use futures::{StreamExt, TryStreamExt};
use http::{Method, Request, Response, header};
use http_body_util::BodyExt;
use serde_json::Value;

use crate::{
    connection,
    discovery::Discovery,
    failure::{Failure, Result},
    flags::Flags,
};

/// The longest refusal read; a `Status` is far shorter.
const MAX_REFUSAL_BYTES: usize = 1 << 20;
pub(crate) const JSON: &str = "application/json";
pub(crate) const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,\
    application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";

/// A server, and what the flags say of it.
pub(crate) struct Server {
    pub(crate) client: Client,
    pub(crate) host: String,
    pub(crate) namespace: String,
    pub(crate) explicit_namespace: bool,
    discovery: OnceCell<Discovery>,
}

impl Server {
    pub(crate) async fn connect(flags: &Flags) -> Result<Self> {
        let connection::Connection { client, host, namespace, explicit_namespace } = connection::connect(flags).await?;
        Ok(Self { client, host, namespace, explicit_namespace, discovery: OnceCell::new() })
    }

    /// What the server serves; asked once.
    pub(crate) async fn discovery(&self) -> Result<&Discovery> {
        if let Some(known) = self.discovery.get() {
            return Ok(known);
        }
        let found = Discovery::ask(self).await?;
        Ok(self.discovery.get_or_init(|| found))
    }

    pub(crate) async fn get(&self, path: &str, accept: &str) -> Result<Value> {
        self.call(Method::GET, path, accept, None).await
    }

    /// Any request; `body` with its media type.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        accept: &str,
        body: Option<(&str, &Value)>,
    ) -> Result<Value> {
        let bytes = self.bytes(method, path, accept, body).await?;
        serde_json::from_slice(&bytes)
            .map_err(|e| Failure::Request { reason: format!("the server's answer to {path} is no JSON: {e}") })
    }

    pub(crate) async fn bytes(
        &self,
        method: Method,
        path: &str,
        accept: &str,
        body: Option<(&str, &Value)>,
    ) -> Result<Vec<u8>> {
        let answer = self.send(method, path, accept, body).await?;
        let whole = http_body_util::Limited::new(answer.into_body(), client::MAX_RESPONSE_BYTES);
        let bytes = whole.collect().await.map_err(|e| Failure::Unreachable { cause: e.to_string() })?;
        Ok(bytes.to_bytes().into())
    }

    /// The answer as it comes in, for logs and watches.
    pub(crate) async fn stream(&self, path: &str, accept: &str) -> Result<ByteStream> {
        let answer = self.send(Method::GET, path, accept, None).await?;
        Ok(answer.into_body().into_data_stream().map_err(Into::into).boxed())
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        accept: &str,
        body: Option<(&str, &Value)>,
    ) -> Result<Response<Body>> {
        let mut request = Request::builder().method(method).uri(path).header(header::ACCEPT, accept);
        if let Some((media, _)) = body {
            request = request.header(header::CONTENT_TYPE, media);
        }
        let bytes = body.map(|(_, value)| value.to_string().into_bytes()).unwrap_or_default();
        let request = request
            .body(Body::from(bytes))
            .map_err(|e| Failure::Request { reason: format!("{path:?} is no path: {e}") })?;
        let answer = self.client.send(request).await.map_err(|e| Failure::from_client(e, &self.host))?;
        print_warnings(&answer);
        let code = answer.status();
        if !(code.is_client_error() || code.is_server_error()) {
            return Ok(answer);
        }
        let refusal = http_body_util::Limited::new(answer.into_body(), MAX_REFUSAL_BYTES);
        let bytes = refusal.collect().await.map(|b| b.to_bytes()).unwrap_or_default();
        let status = serde_json::from_slice::<Status>(&bytes).unwrap_or_else(|_| Status {
            message: match code.as_u16() {
                404 => "the server could not find the requested resource".to_owned(),
                _ => String::from_utf8_lossy(&bytes).trim().to_owned(),
            },
            reason: code.canonical_reason().unwrap_or_default().replace(' ', ""),
            ..Status::default()
        });
        Err(Failure::Server { status: Box::new(Status { code: code.as_u16(), ..status }), during: None })
    }
}

/// `299 - "text"` is what a server warns with.
fn print_warnings(answer: &Response<Body>) {
    for value in answer.headers().get_all(header::WARNING) {
        let Ok(text) = value.to_str() else { continue };
        let quoted = text.splitn(3, ' ').nth(2).unwrap_or(text);
        let bare = quoted.strip_prefix('"').and_then(|q| q.strip_suffix('"')).unwrap_or(quoted);
        eprintln!("Warning: {}", bare.replace("\\\"", "\"").replace("\\\\", "\\"));
    }
}

/// Writes to standard output at once.
pub(crate) fn print(text: &str) -> Result {
    print_bytes(text.as_bytes())
}

pub(crate) fn print_bytes(bytes: &[u8]) -> Result {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|_| Failure::OutputClosed)
}

/// `name=value` pairs as a query, escaped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(String);

impl Query {
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        let escape = |text| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC);
        self.0.push(if self.0.is_empty() { '?' } else { '&' });
        self.0.push_str(&format!("{name}={}", escape(value)));
        self
    }

    pub(crate) fn with_some(self, name: &str, value: Option<&str>) -> Self {
        match value.filter(|v| !v.is_empty()) {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    pub(crate) fn on(&self, path: &str) -> String {
        format!("{path}{}", self.0)
    }
}
