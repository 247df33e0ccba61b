//! Sockets: TLS, HTTP/1.1 and HTTP/2 on one port, upgrades. Every connection is bounded in number and time.

mod idle;

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use streaming::PeerStream;
use tokio::{
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::Instant,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::{authentication::Peer, server::ApiServer};
use idle::Requests;

/// Connections at once, where the limit of open files allows so many. One more waits in the kernel's queue.
const MAX_CONNECTIONS: usize = 16_384;
/// How often it is said that connections wait.
const TELL_FULL_EVERY: Duration = Duration::from_secs(60);
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
    limit: usize,
    told_full: Option<Instant>,
}

impl Listener {
    pub async fn bind(address: SocketAddr, tls: Arc<rustls::ServerConfig>) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        Ok(Self { socket, tls: TlsAcceptor::from(tls), limit: MAX_CONNECTIONS, told_full: None })
    }

    /// The same with fewer connections at once, for a process that may open few files.
    pub fn with_at_most(self, connections: usize) -> Self {
        Self { limit: self.limit.min(connections), ..self }
    }

    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until told to stop, then lets open requests finish within bounds.
    pub async fn serve(mut self, server: ApiServer, stop: CancellationToken) {
        let places = Arc::new(Semaphore::new(self.limit));
        let mut connections = JoinSet::new();
        loop {
            let place = tokio::select! {
                place = self.place(&places) => place,
                () = stop.cancelled() => break,
            };
            let Some(place) = place else { break };
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
            let socket = match PeerStream::new(socket) {
                Ok(socket) => socket,
                Err(error) => {
                    tracing::debug!(%address, %error, "a connection was gone when it was accepted");
                    continue;
                }
            };
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

impl Listener {
    /// A place for one more connection, when there is one.
    async fn place(&mut self, places: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = Arc::clone(places).try_acquire_owned() {
            return Some(place);
        }
        if self.told_full.is_none_or(|told| told.elapsed() >= TELL_FULL_EVERY) {
            self.told_full = Some(Instant::now());
            tracing::warn!(
                connections = self.limit,
                "the API server has as many connections as it may, and more wait; a higher limit of open files \
                 (LimitNOFILE, ulimit -n) allows up to {MAX_CONNECTIONS}"
            );
        }
        Arc::clone(places).acquire_owned().await.ok()
    }
}

async fn connection(
    socket: PeerStream,
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
    // Agreed on in the handshake. Looking at the first bytes instead would wait for them without end.
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let peer = Peer { address, certificate };
    let requests = Requests::new();
    let counted = requests.clone();
    let service = tower::service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(peer.clone());
        let (open, server) = (counted.begin(), server.clone());
        async move { Ok::<_, Infallible>(open.until_sent(server.serve(request).await)) }
    });
    let builder = builder(is_http2);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(service));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = requests.idle() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%address, error, "connection ended");
    }
}

fn builder(is_http2: bool) -> auto::Builder<TokioExecutor> {
    let builder = auto::Builder::new(TokioExecutor::new());
    let mut builder = if is_http2 { builder.http2_only() } else { builder.http1_only() };
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
