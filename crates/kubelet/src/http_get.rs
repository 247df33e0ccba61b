//! One HTTP GET for probes and hooks: a fresh connection, no certificate check, a bounded answer.

use std::{sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, Request, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

/// The most of an answer that is read.
const MAX_BODY_BYTES: usize = 10 * 1024;
const MAX_REDIRECTS: usize = 10;

pub(crate) struct Get {
    pub(crate) https: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// With its query.
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) timeout: Duration,
    pub(crate) user_agent: String,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    /// Where it wanted to send us when that is another host.
    pub(crate) elsewhere: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum GetError {
    #[error("Get \"{url}\": dial tcp {address}: {reason}")]
    Dial { url: String, address: String, reason: String },
    #[error("Get \"{url}\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)")]
    Timeout { url: String },
    #[error("Get \"{url}\": {reason}")]
    Failed { url: String, reason: String },
    #[error("Get \"{url}\": stopped after {MAX_REDIRECTS} redirects")]
    Redirects { url: String },
}

impl Get {
    pub(crate) fn url(&self) -> String {
        let scheme = if self.https { "https" } else { "http" };
        format!("{scheme}://{}{}", host_port(&self.host, self.port), self.path)
    }
}

pub(crate) fn host_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Follows redirects on the same host, as upstream's probes do.
pub(crate) async fn get(mut wanted: Get) -> Result<Answer, GetError> {
    let first = wanted.url();
    let timeout = wanted.timeout;
    let walk = async {
        for _ in 0..MAX_REDIRECTS {
            let (answer, location) = once(&wanted).await?;
            let Some(location) = location.filter(|_| (300..400).contains(&answer.status)) else { return Ok(answer) };
            let Ok(next) = location.parse::<Uri>() else { return Ok(answer) };
            if next.host().is_some_and(|host| host.trim_matches(['[', ']']) != wanted.host) {
                return Ok(Answer { elsewhere: Some(location), ..answer });
            }
            follow(&mut wanted, &next);
        }
        Err(GetError::Redirects { url: first.clone() })
    };
    match tokio::time::timeout(timeout, walk).await {
        Ok(done) => done,
        Err(_) => Err(GetError::Timeout { url: first.clone() }),
    }
}

fn follow(wanted: &mut Get, next: &Uri) {
    if let Some(scheme) = next.scheme_str() {
        wanted.https = scheme == "https";
        wanted.port = next.port_u16().unwrap_or(if wanted.https { 443 } else { 80 });
    }
    let path = next.path_and_query().map_or("/", |p| p.as_str());
    wanted.path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
}

async fn once(wanted: &Get) -> Result<(Answer, Option<String>), GetError> {
    let stream = dial(wanted).await?;
    if !wanted.https {
        return exchange(wanted, stream).await;
    }
    let name = rustls::pki_types::ServerName::try_from(wanted.host.clone()).map_err(|e| failed(wanted, &e))?;
    let tls = tokio_rustls::TlsConnector::from(unverified()).connect(name, stream).await;
    exchange(wanted, tls.map_err(|e| failed(wanted, &e))?).await
}

fn failed(wanted: &Get, error: &dyn std::error::Error) -> GetError {
    let mut reason = error.to_string();
    if let Some(source) = error.source() {
        reason = format!("{reason}: {source}");
    }
    GetError::Failed { url: wanted.url(), reason }
}

async fn dial(wanted: &Get) -> Result<TcpStream, GetError> {
    let address = host_port(&wanted.host, wanted.port);
    TcpStream::connect(&address).await.map_err(|e| {
        let reason = dial_reason(&e);
        GetError::Dial { url: wanted.url(), address, reason }
    })
}

/// The reason as Go's `net` words it.
pub(crate) fn dial_reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connect: connection refused".to_owned(),
        std::io::ErrorKind::HostUnreachable => "connect: no route to host".to_owned(),
        std::io::ErrorKind::NetworkUnreachable => "connect: network is unreachable".to_owned(),
        _ => error.to_string(),
    }
}

async fn exchange<S>(wanted: &Get, stream: S) -> Result<(Answer, Option<String>), GetError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| failed(wanted, &e))?;
    let request = request(wanted)?;
    let ask = async {
        let answer = sender.send_request(request).await.map_err(|e| failed(wanted, &e))?;
        let status = answer.status().as_u16();
        let location = answer.headers().get(header::LOCATION).and_then(|v| v.to_str().ok()).map(str::to_owned);
        // Only the beginning of a body is looked at; a longer one is no failure.
        let body = match Limited::new(answer.into_body(), MAX_BODY_BYTES).collect().await {
            Ok(body) => String::from_utf8_lossy(&body.to_bytes()).into_owned(),
            Err(_) => String::new(),
        };
        Ok((Answer { status, body, elsewhere: None }, location))
    };
    // The connection is driven here and ends with the exchange.
    let mut connection = std::pin::pin!(connection);
    let mut ask = std::pin::pin!(ask);
    tokio::select! {
        done = &mut ask => done,
        ended = &mut connection => match ended {
            Ok(()) => ask.await,
            Err(e) => Err(failed(wanted, &e)),
        },
    }
}

fn request(wanted: &Get) -> Result<Request<Empty<bytes::Bytes>>, GetError> {
    let mut builder = Request::get(wanted.path.as_str());
    let has = |name: &str| wanted.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
    if !has("host") {
        builder = builder.header(header::HOST, host_port(&wanted.host, wanted.port));
    }
    if !has("user-agent") {
        builder = builder.header(header::USER_AGENT, wanted.user_agent.as_str());
    }
    if !has("accept") {
        builder = builder.header(header::ACCEPT, "*/*");
    }
    builder = builder.header(header::CONNECTION, "close");
    for (name, value) in &wanted.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|e| failed(wanted, &e))?;
        let value = HeaderValue::from_str(value).map_err(|e| failed(wanted, &e))?;
        // An empty value asks for the header to be left out.
        if !value.is_empty() {
            builder = builder.header(name, value);
        }
    }
    builder.body(Empty::new()).map_err(|e| failed(wanted, &e))
}

/// Probes do not verify certificates (upstream's documented behaviour): they ask whether something answers.
fn unverified() -> Arc<rustls::ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("ring supports the default protocol versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    Arc::new(config)
}

#[derive(Debug)]
struct Anybody(Arc<rustls::crypto::CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &rustls::pki_types::CertificateDer<'_>,
        dss: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &rustls::pki_types::CertificateDer<'_>,
        dss: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// The address of a port given by number or by the container's own name for it.
pub(crate) fn port_of(port: &api::IntOrString, container: &api::core::v1::Container) -> Option<u16> {
    let by_name = |name: &str| {
        container.ports.iter().flatten().find(|p| p.name.as_deref() == Some(name)).map(|p| p.container_port)
    };
    let number = match port {
        api::IntOrString::Int(number) => Some(*number),
        api::IntOrString::String(text) => text.parse().ok().or_else(|| by_name(text)),
    };
    number.and_then(|n| u16::try_from(n).ok()).filter(|n| *n > 0)
}

/// What an `httpGet` action asks for, of a pod at `address`.
pub(crate) fn from_action(
    action: &api::core::v1::HTTPGetAction,
    container: &api::core::v1::Container,
    address: &str,
    timeout: Duration,
    user_agent: &str,
) -> Option<Get> {
    let host = action.host.clone().filter(|h| !h.is_empty()).unwrap_or_else(|| address.to_owned());
    let path = action.path.clone().unwrap_or_default();
    Some(Get {
        https: action.scheme.as_deref() == Some("HTTPS"),
        host,
        port: port_of(&action.port, container)?,
        path: if path.starts_with('/') { path } else { format!("/{path}") },
        headers: action.http_headers.iter().flatten().map(|h| (h.name.clone(), h.value.clone())).collect(),
        timeout,
        user_agent: user_agent.to_owned(),
    })
}

/// For a plain TCP connect.
pub(crate) async fn connect(host: &str, port: u16, timeout: Duration) -> Result<(), String> {
    let address = host_port(host, port);
    match tokio::time::timeout(timeout, TcpStream::connect(&address)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("dial tcp {address}: {}", dial_reason(&error))),
        Err(_) => Err(format!("dial tcp {address}: i/o timeout")),
    }
}
