//! `port-forward`: for each connection a data and an error stream, over SPDY, plain or inside a WebSocket (KEP-4006).

use std::{collections::HashMap, io};

use bytes::Bytes;
use futures::{StreamExt, stream::FuturesUnordered};
use http::{HeaderValue, Request, Response};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::{
    AcceptError, SessionError,
    remote_command::{choose, spdy_response},
    spdy::{self, Stream},
    upgrade, websocket,
};

const SPDY_PROTOCOLS: &[&str] = &["portforward.k8s.io"];
const WEBSOCKET_PROTOCOLS: &[&str] = &["SPDY/3.1+portforward.k8s.io"];
const PROTOCOL_HEADER: &str = "x-stream-protocol-version";
/// Connections whose second stream has not come yet.
const MAX_HALF_OPEN: usize = 64;

/// Connects to a port of the pod.
pub trait Dialer {
    type Connection: AsyncRead + AsyncWrite + Send + Unpin;
    /// The error's text reaches the user.
    fn dial(&self, port: u16) -> impl Future<Output = io::Result<Self::Connection>> + Send;
}

/// A session the client may upgrade to: answer with the response, then run it.
pub struct PortForward {
    tunnelled: bool,
    upgrade: hyper::upgrade::OnUpgrade,
}

impl PortForward {
    pub fn accept<B>(request: &mut Request<B>) -> Result<(Response<Empty<Bytes>>, Self), AcceptError> {
        let (response, tunnelled) = match upgrade::requested(request.headers()).as_deref() {
            Some("websocket") => {
                let protocol = choose(&websocket::offered(request.headers()), WEBSOCKET_PROTOCOLS)?;
                (websocket::accept(request, protocol)?, true)
            }
            Some("spdy/3.1") => {
                let mut response = spdy_response();
                response.headers_mut().insert(PROTOCOL_HEADER, HeaderValue::from_static(SPDY_PROTOCOLS[0]));
                (response, false)
            }
            _ => return Err(AcceptError::NotAnUpgrade),
        };
        Ok((response, Self { tunnelled, upgrade: hyper::upgrade::on(request) }))
    }

    /// Forwards until the client goes away.
    pub async fn run(self, dialer: &impl Dialer) -> Result<(), SessionError> {
        let io = TokioIo::new(self.upgrade.await?);
        if self.tunnelled {
            serve(websocket::Tunnel::new(websocket::server(io).await), dialer).await
        } else {
            serve(io, dialer).await
        }
    }
}

async fn serve<T>(io: T, dialer: &impl Dialer) -> Result<(), SessionError>
where
    T: AsyncRead + AsyncWrite + Send,
{
    let (mut connection, driver) = spdy::Connection::new(io, spdy::Role::Server);
    tokio::pin!(driver);
    let mut half_open: HashMap<String, Stream> = HashMap::new();
    let mut forwarded = FuturesUnordered::new();
    loop {
        tokio::select! {
            result = &mut driver => return Ok(result?),
            Some(()) = forwarded.next() => {}
            Some(stream) = connection.accept() => {
                if let Some((data, error)) = pair(&mut half_open, stream) {
                    forwarded.push(forward(data, error, dialer));
                }
            }
        }
    }
}

/// Puts the data and the error stream of one request together.
fn pair(half_open: &mut HashMap<String, Stream>, stream: Stream) -> Option<(Stream, Stream)> {
    let id = stream.header("requestid").unwrap_or_default().to_owned();
    match half_open.remove(&id) {
        Some(other) if stream.header("streamtype") == Some("data") => Some((stream, other)),
        Some(other) => Some((other, stream)),
        None => {
            if half_open.len() < MAX_HALF_OPEN {
                half_open.insert(id, stream);
            }
            None
        }
    }
}

async fn forward(data: Stream, error: Stream, dialer: &impl Dialer) {
    let port = data.header("port").and_then(|p| p.parse::<u16>().ok());
    let result = match port {
        Some(port) => copy(data, port, dialer).await,
        None => Err("the port header is no port number".to_owned()),
    };
    let mut send = error.send;
    if let Err(text) = result {
        drop(send.write_all(text.as_bytes()).await);
    }
    // The client waits for the end of the error stream; when it is gone there is nobody to tell.
    drop(send.shutdown().await);
}

async fn copy(data: Stream, port: u16, dialer: &impl Dialer) -> Result<(), String> {
    let connection = dialer.dial(port).await;
    let Stream { mut receive, mut send, .. } = data;
    let connection = match connection {
        Ok(connection) => connection,
        Err(error) => {
            drop(send.shutdown().await);
            return Err(format!("failed to connect to port {port}: {error}"));
        }
    };
    let (mut read, mut write) = tokio::io::split(connection);
    let up = async {
        let result = tokio::io::copy(&mut receive, &mut write).await;
        drop(write.shutdown().await);
        result
    };
    let down = async {
        let mut chunk = vec![0; 32 * 1024];
        loop {
            match read.read(&mut chunk).await? {
                0 => break,
                count => send.write_all(&chunk[..count]).await?,
            }
        }
        send.shutdown().await
    };
    tokio::pin!(up);
    // When the pod's side ends the connection is over; when the client's ends the pod may still answer.
    let mut upload_open = true;
    tokio::pin!(down);
    loop {
        tokio::select! {
            result = &mut down => return result.map_err(|e: io::Error| e.to_string()),
            _ = &mut up, if upload_open => upload_open = false,
        }
    }
}
