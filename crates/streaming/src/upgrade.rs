//! Passing a request on to another server, upgraded or not, without understanding what then flows.

use std::{future::Future, pin::Pin};

use bytes::Bytes;
use futures::future::{Fuse, FusedFuture, FutureExt};
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{Either, Empty};
use hyper::body::{Body, Incoming};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// Why the other server could not be asked. The text is for operators and users.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    #[error("error dialing backend: {0}")]
    Handshake(#[source] hyper::Error),
    #[error("error sending request to backend: {0}")]
    Send(#[source] hyper::Error),
}

/// The other server's answer, and the work that must run beside it: the connection to the other server, and after
/// an upgrade the copying in both directions. Dropping that work cuts the connection.
pub struct ProxiedResponse {
    pub response: Response<Either<Incoming, Empty<Bytes>>>,
    pub work: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// The protocol the client wants the connection upgraded to, in lower case.
pub(crate) fn requested(headers: &HeaderMap) -> Option<String> {
    let connection = headers.get_all(header::CONNECTION).iter().filter_map(|v| v.to_str().ok());
    let wants = connection.flat_map(|v| v.split(',')).any(|token| token.trim().eq_ignore_ascii_case("upgrade"));
    let protocol = headers.get(header::UPGRADE)?.to_str().ok()?;
    wants.then(|| protocol.to_ascii_lowercase())
}

pub fn is_upgrade(headers: &HeaderMap) -> bool {
    requested(headers).is_some()
}

/// Sends `request` over `backend`, a fresh connection to the other server, and brings its answer. The caller sets
/// the request's URI (path and query) and `Host` as the other server shall see them, and drops credentials that are
/// not meant for it.
pub async fn proxy_upgrade<T, B>(mut request: Request<B>, backend: T) -> Result<ProxiedResponse, ProxyError>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(backend)).await.map_err(ProxyError::Handshake)?;
    let upgrading = is_upgrade(request.headers());
    let client = upgrading.then(|| hyper::upgrade::on(&mut request));
    let (mut parts, body) = request.into_parts();
    parts.version = http::Version::HTTP_11;
    parts.extensions.clear();
    if !upgrading {
        parts.headers.remove(header::CONNECTION);
    }
    let body = if upgrading { Either::Right(Empty::new()) } else { Either::Left(body) };
    let outgoing = Request::from_parts(parts, body);
    let connection = connection.with_upgrades();
    let mut connection = Box::pin(connection).fuse();
    // The connection must be driven for the answer to come.
    let mut response = {
        let answer = sender.send_request(outgoing);
        tokio::pin!(answer);
        loop {
            tokio::select! {
                response = &mut answer => break response.map_err(ProxyError::Send)?,
                _ = &mut connection, if !connection.is_terminated() => {}
            }
        }
    };
    let switched = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let Some(client) = client.filter(|_| switched) else {
        let work = Box::pin(async move {
            // How the connection ends shows in the body.
            finish(connection).await;
            drop(sender);
        });
        return Ok(ProxiedResponse { response: response.map(Either::Left), work });
    };
    let server = hyper::upgrade::on(&mut response);
    let work = Box::pin(async move {
        finish(connection).await;
        let (Ok(client), Ok(server)) = (client.await, server.await) else { return };
        let (mut client, mut server) = (TokioIo::new(client), TokioIo::new(server));
        if let Err(error) = tokio::io::copy_bidirectional(&mut client, &mut server).await {
            tracing::debug!(%error, "upgraded connection ended");
        }
    });
    let (parts, _) = response.into_parts();
    Ok(ProxiedResponse { response: Response::from_parts(parts, Either::Right(Empty::new())), work })
}

/// A connection that was upgraded, or answered and closed, must not be polled again.
async fn finish<F: Future + Unpin>(connection: Fuse<F>) {
    if !connection.is_terminated() {
        drop(connection.await);
    }
}
