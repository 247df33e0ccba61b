//! Sockets: TLS, HTTP/1.1 and HTTP/2 on one port, upgrades. Every connection is bounded in number and time.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::{authentication::Peer, server::ApiServer};

/// Connections at once. One more waits in the kernel's queue.
const MAX_CONNECTIONS: usize = 16_384;
const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const HEADER_TIMEOUT: Duration = Duration::from_secs(32);
/// Requests at once on one HTTP/2 connection, as upstream's.
const MAX_STREAMS: u32 = 100;
const MAX_HEADER_BYTES: u32 = 1 << 20;
/// A peer that vanished is noticed after these.
const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(30);
const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(15);
/// How long open requests have when the server stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// When accepting fails for want of file descriptors, some must come back first.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// A socket with a server behind it.
pub struct Listener {
    socket: TcpListener,
    tls: TlsAcceptor,
}

impl Listener {
    pub async fn bind(address: SocketAddr, tls: Arc<rustls::ServerConfig>) -> io::Result<Self> {
        Ok(Self { socket: TcpListener::bind(address).await?, tls: TlsAcceptor::from(tls) })
    }

    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until told to stop, then lets open requests finish within bounds.
    pub async fn serve(self, server: ApiServer, stop: CancellationToken) {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            let place = tokio::select! {
                place = Arc::clone(&places).acquire_owned() => place,
                () = stop.cancelled() => break,
            };
            let Ok(place) = place else { break };
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                () = stop.cancelled() => break,
            };
            let (socket, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            };
            if let Err(error) = socket.set_nodelay(true) {
                tracing::debug!(%error, "no-delay could not be set");
            }
            let (tls, server, stop) = (self.tls.clone(), server.clone(), stop.clone());
            connections.spawn(async move {
                connection(socket, address, tls, server, stop).await;
                drop(place);
            });
            while connections.try_join_next().is_some() {}
        }
        let drained = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN_TIMEOUT, drained).await.is_err() {
            tracing::info!("connections were cut off at shutdown");
        }
    }
}

async fn connection(
    socket: tokio::net::TcpStream,
    address: SocketAddr,
    tls: TlsAcceptor,
    server: ApiServer,
    stop: CancellationToken,
) {
    let stream = match tokio::time::timeout(TLS_HANDSHAKE_TIMEOUT, tls.accept(socket)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%address, %error, "TLS handshake failed");
            return;
        }
        Err(_) => {
            tracing::debug!(%address, "TLS handshake timed out");
            return;
        }
    };
    let certificate =
        stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).map(|leaf| Arc::from(leaf.as_ref()));
    let peer = Peer { address, certificate };
    let service = server.map_request(move |mut request: http::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(peer.clone());
        request
    });
    let builder = builder();
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(service));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%address, error, "connection ended");
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_BYTES)
        .keep_alive_interval(HTTP2_PING_INTERVAL)
        .keep_alive_timeout(HTTP2_PING_TIMEOUT);
    builder
}
