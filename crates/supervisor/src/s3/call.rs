//! One request to the storage, bounded in time by how long nothing moves.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::TryStreamExt;
use http::{Method, Request, Response, StatusCode, header::CONTENT_LENGTH};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio::time::timeout;
use tokio_util::io::ReaderStream;
use url::Url;

use super::{CHUNK_BYTES, Result, S3Error};

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

pub(super) struct Caller {
    client: Client<HttpsConnector<HttpConnector>, Body>,
    /// For messages.
    endpoint: String,
    bucket: String,
    stall: Duration,
}

/// A file that is the body of a request.
pub(super) struct Upload {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
}

/// What came back; its body is yet to come.
pub(super) struct Answer {
    response: Response<Incoming>,
    action: &'static str,
    endpoint: String,
    bucket: String,
    stall: Duration,
}

impl Caller {
    pub(super) fn new(endpoint: &Url, bucket: &str, ca: Option<&Path>, stall: Duration) -> Result<Caller> {
        let mut roots = RootCertStore::empty();
        match ca {
            Some(path) => {
                let pem = std::fs::read(path).map_err(|source| S3Error::Io { path: path.to_owned(), source })?;
                let bad = || S3Error::Authority { path: path.to_owned() };
                for certificate in CertificateDer::pem_slice_iter(&pem) {
                    roots.add(certificate.map_err(|_| bad())?).map_err(|_| bad())?;
                }
                if roots.is_empty() {
                    return Err(bad());
                }
            }
            None => {
                // One that cannot be used is none; without any, no endpoint is trusted.
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let tls = tls.map_err(|source| S3Error::Tls { source })?.with_root_certificates(roots).with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Ok(Caller { client, endpoint: endpoint.origin().ascii_serialization(), bucket: bucket.to_owned(), stall })
    }

    /// Sends a signed request; the answer has begun when this returns.
    pub(super) async fn call(
        &self,
        action: &'static str,
        method: Method,
        url: Url,
        headers: &[(&'static str, String)],
        upload: Option<Upload>,
    ) -> Result<Answer> {
        let moved = Arc::new(AtomicU64::new(0));
        let mut request = Request::builder().method(method).uri(url.as_str());
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let body = match upload {
            Some(Upload { path, bytes }) => {
                request = request.header(CONTENT_LENGTH, bytes);
                let file = tokio::fs::File::open(&path).await.map_err(|source| S3Error::Io { path, source })?;
                let moved = moved.clone();
                let frames = ReaderStream::with_capacity(file, CHUNK_BYTES).map_ok(move |chunk| {
                    moved.fetch_add(chunk.len() as u64, Ordering::Relaxed);
                    Frame::data(chunk)
                });
                StreamBody::new(frames).boxed_unsync()
            }
            None => Empty::new().map_err(|never| match never {}).boxed_unsync(),
        };
        let request = request.body(body).map_err(|_| S3Error::Answer)?;
        let response = tokio::select! {
            response = self.client.request(request) => response,
            () = stalled(&moved, self.stall) => return Err(self.stalled(action)),
        };
        let (endpoint, bucket) = (self.endpoint.clone(), self.bucket.clone());
        match response {
            Ok(response) => Ok(Answer { response, action, endpoint, bucket, stall: self.stall }),
            Err(error) => {
                let reason = chain(&error);
                // The library tells it in words only: where its own error begins, it is wrapped by the connector's.
                Err(match reason.contains("invalid peer certificate") {
                    true => S3Error::Untrusted { action, endpoint, reason: last(&reason) },
                    false => S3Error::Unreachable { action, endpoint, reason },
                })
            }
        }
    }

    fn stalled(&self, action: &'static str) -> S3Error {
        S3Error::Stalled { action, endpoint: self.endpoint.clone(), seconds: self.stall.as_secs() }
    }
}

/// The error and its causes, none of which names the URL: that is signed.
fn chain(error: &dyn std::error::Error) -> String {
    let each = std::iter::successors(Some(error), |error| error.source());
    each.map(|error| error.to_string()).collect::<Vec<_>>().join(": ")
}

/// The cause behind all causes.
fn last(reason: &str) -> String {
    reason.rsplit("invalid peer certificate: ").next().unwrap_or(reason).to_owned()
}

/// Comes when nothing moved for this long.
async fn stalled(moved: &AtomicU64, stall: Duration) {
    let mut before = moved.load(Ordering::Relaxed);
    loop {
        tokio::time::sleep(stall).await;
        let now = moved.load(Ordering::Relaxed);
        if now == before {
            return;
        }
        before = now;
    }
}

impl Answer {
    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// The next piece of the body. An end before the length that was promised is an error of the connection.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let (action, endpoint) = (self.action, &self.endpoint);
        loop {
            match timeout(self.stall, self.response.body_mut().frame()).await {
                Err(_) => {
                    let (endpoint, seconds) = (endpoint.clone(), self.stall.as_secs());
                    return Err(S3Error::Stalled { action, endpoint, seconds });
                }
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => {
                    return Err(S3Error::Unreachable { action, endpoint: endpoint.clone(), reason: chain(&error) });
                }
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// The whole body of a good answer; what a bad one says is the error.
    pub(super) async fn expect_ok(mut self, limit: usize) -> Result<Bytes> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if body.len() + chunk.len() > limit {
                return Err(S3Error::Answer);
            }
            body.extend_from_slice(&chunk);
        }
        let status = self.status();
        if status.is_success() {
            return Ok(body.into());
        }
        let text = String::from_utf8_lossy(&body);
        let (code, message) = (element(&text, "Code"), element(&text, "Message"));
        if code == "NoSuchBucket" {
            return Err(S3Error::NoBucket { bucket: self.bucket, endpoint: self.endpoint });
        }
        Err(S3Error::Refused { action: self.action, endpoint: self.endpoint, status: status.as_u16(), code, message })
    }
}

/// What stands in an element of a storage's error, which is shown and never judged by.
fn element(text: &str, name: &str) -> String {
    const SHOWN: usize = 300;
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let inner = text.split_once(&open).and_then(|(_, rest)| Some(rest.split_once(&close)?.0)).unwrap_or_default();
    inner.chars().filter(|c| !c.is_control()).take(SHOWN).collect()
}
