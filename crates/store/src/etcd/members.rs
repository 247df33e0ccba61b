//! The members of the cluster as they can be reached: one connection to each, made when it is needed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::Uri;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, timeout},
};
use tokio_rustls::client::TlsStream;

use super::{
    config::{EtcdConfig, EtcdLogin},
    grpc::Channel,
    login::Login,
    messages::{StatusRequest, StatusResponse},
    probe,
    tls::{self, Heard, Tls, Verdict},
    trouble::{ConnectError, EtcdTrouble},
};
use crate::health::EndpointHealth;

/// How long nothing may be heard on a connection in use before the peer is asked whether it is there: etcd cuts off
/// who asks more often than every five seconds.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(10);
/// How long it may take to answer that.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// What may be on its way to us unread; a page of a list at a time is large.
const WINDOW_BYTES: u32 = 8 << 20;
/// A handshake of TLS that takes so long is perhaps none.
const HANDSHAKE_DOUBT: Duration = Duration::from_millis(300);
/// Pauses after all endpoints failed.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The oldest version whose watch tells what is needed; what says no version is taken for a newer one.
const OLDEST: &str = "3.4";
const OLDEST_NUMBERS: (u32, u32) = (3, 4);

fn is_too_old(version: &str) -> bool {
    let mut numbers = version.split('.').map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) < OLDEST_NUMBERS,
        _ => false,
    }
}

pub(crate) struct Members {
    endpoints: Vec<Endpoint>,
    tls: Option<Tls>,
    login: Option<EtcdLogin>,
    connect_timeout: Duration,
    /// Which one is asked first.
    preferred: AtomicUsize,
    /// The cluster that the first answer was of; zero until then.
    cluster: AtomicU64,
    /// What the member that answered last said of the size of its database.
    database_bytes: AtomicU64,
}

struct Endpoint {
    name: Arc<str>,
    base: Uri,
    address: String,
    server: ServerName<'static>,
    channel: tokio::sync::Mutex<Option<Arc<Channel>>>,
    trouble: Mutex<Option<EtcdTrouble>>,
}

impl Members {
    pub(crate) fn new(config: &EtcdConfig) -> Result<Members, ConnectError> {
        let endpoints: Vec<Endpoint> =
            config.endpoints.iter().map(|text| Endpoint::parse(text)).collect::<Result<_, _>>()?;
        if endpoints.is_empty() {
            return Err(ConnectError::NoEndpoint);
        }
        let needs_tls = endpoints.iter().find(|endpoint| endpoint.is_tls());
        let tls = match (needs_tls, &config.tls) {
            (None, _) => None,
            (Some(_), Some(settings)) => Some(Tls::new(settings)?),
            (Some(endpoint), None) => return Err(ConnectError::NoAuthority { endpoint: endpoint.name.to_string() }),
        };
        let in_the_clear = endpoints.iter().find(|endpoint| !endpoint.is_tls() && !endpoint.is_loopback());
        if let (Some(_), Some(endpoint)) = (&config.login, in_the_clear) {
            return Err(ConnectError::PasswordInTheClear { endpoint: endpoint.name.to_string() });
        }
        Ok(Members {
            endpoints,
            tls,
            login: config.login.clone(),
            connect_timeout: config.connect_timeout,
            preferred: AtomicUsize::new(0),
            cluster: AtomicU64::new(0),
            database_bytes: AtomicU64::new(0),
        })
    }

    /// A connection to the preferred member, or to any other; waits for one until then, unless waiting helps with none.
    pub(crate) async fn any(&self, until: Instant) -> Result<Arc<Channel>, EtcdTrouble> {
        let mut pause = FIRST_PAUSE;
        loop {
            let first = self.preferred.load(Ordering::Relaxed);
            let mut last = None;
            for number in (0..self.endpoints.len()).map(|n| (first + n) % self.endpoints.len()) {
                match self.channel(number).await {
                    Ok(channel) => return Ok(channel),
                    Err(trouble) => {
                        self.avoid(number, &trouble);
                        last = Some(trouble);
                    }
                }
            }
            let last = last.expect("there is an endpoint");
            // Only if all say so is it another cluster, or hopeless; one alone is a mistake in the configuration.
            let hopeful = self.hopeful();
            if hopeful.is_none() || Instant::now() + pause >= until {
                return Err(hopeful.unwrap_or(last));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// The trouble of an endpoint that may be better later.
    fn hopeful(&self) -> Option<EtcdTrouble> {
        let hopeful = |trouble: &EtcdTrouble| !trouble.is_final() && !trouble.is_hopeless();
        self.endpoints.iter().find_map(|endpoint| endpoint.trouble.lock().clone().filter(hopeful))
    }

    /// The connection to this one, made anew if need be.
    async fn channel(&self, number: usize) -> Result<Arc<Channel>, EtcdTrouble> {
        let endpoint = &self.endpoints[number];
        let mut slot = endpoint.channel.lock().await;
        if let Some(channel) = slot.as_ref().filter(|channel| !channel.is_closed()) {
            return Ok(channel.clone());
        }
        *slot = None;
        let after = self.connect_timeout;
        let connected = timeout(after, self.connect(number)).await;
        let connected =
            connected.unwrap_or_else(|_| Err(EtcdTrouble::TimedOut { endpoint: endpoint.name.clone(), after }));
        *endpoint.trouble.lock() = connected.as_ref().err().cloned();
        let channel = Arc::new(connected?);
        *slot = Some(channel.clone());
        Ok(channel)
    }

    async fn connect(&self, number: usize) -> Result<Channel, EtcdTrouble> {
        let endpoint = &self.endpoints[number];
        let unreachable =
            |source| EtcdTrouble::Unreachable { endpoint: endpoint.name.clone(), source: Arc::new(source) };
        let stream = TcpStream::connect(&endpoint.address).await.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        let login = self.login.clone().map(Login::new);
        let verdict = Verdict::default();
        let secure = self.tls.as_ref().filter(|_| endpoint.is_tls());
        let channel = match secure {
            Some(tls) => {
                let stream = endpoint.secured(tls, stream).await?;
                endpoint.begin(number, Heard { stream, verdict: verdict.clone() }, login).await
            }
            None => endpoint.begin(number, stream, login).await,
        };
        let introduced = match channel {
            Ok(channel) => self.introduce(channel).await,
            Err(trouble) => Err(trouble),
        };
        let trouble = match introduced {
            Ok(channel) => return Ok(channel),
            Err(trouble) => trouble,
        };
        use EtcdTrouble::{Broken, Unintelligible, Unreachable};
        let is_cut_off = matches!(trouble, Broken { .. } | Unreachable { .. } | Unintelligible { .. });
        if secure.is_none() && is_cut_off && probe::speaks_tls(&endpoint.address, &endpoint.server).await {
            return Err(EtcdTrouble::OnlyTls { endpoint: endpoint.name.clone() });
        }
        Err(verdict.or(&endpoint.name, trouble))
    }

    /// Before anything is asked of it: whose member is it?
    async fn introduce(&self, channel: Channel) -> Result<Channel, EtcdTrouble> {
        let endpoint = &channel.endpoint;
        channel.log_in().await.map_err(|e| e.into_trouble(endpoint))?;
        let status: StatusResponse = channel
            .call("/etcdserverpb.Maintenance/Status", &StatusRequest {})
            .await
            .map_err(|e| e.into_trouble(endpoint))?;
        if is_too_old(&status.version) {
            let (endpoint, version) = (endpoint.clone(), status.version);
            return Err(EtcdTrouble::TooOld { endpoint, version, oldest: OLDEST });
        }
        self.database_bytes.store(status.db_size.try_into().unwrap_or(0), Ordering::Relaxed);
        let found = status.header.unwrap_or_default().cluster_id;
        let known = self.cluster.compare_exchange(0, found, Ordering::SeqCst, Ordering::SeqCst).err();
        match known.filter(|known| *known != found) {
            Some(known) => Err(EtcdTrouble::OtherCluster { endpoint: endpoint.clone(), known, found }),
            None => Ok(channel),
        }
    }

    /// Something was wrong with this one: others are asked first from now on.
    pub(crate) fn avoid(&self, number: usize, trouble: &EtcdTrouble) {
        *self.endpoints[number].trouble.lock() = Some(trouble.clone());
        let next = (number + 1) % self.endpoints.len();
        // Only who is preferred is replaced: many callers meet the same trouble.
        self.preferred.compare_exchange(number, next, Ordering::Relaxed, Ordering::Relaxed).ok();
    }

    /// It gave an answer.
    pub(crate) fn works(&self, number: usize) {
        *self.endpoints[number].trouble.lock() = None;
    }

    /// What is on this connection is not waited for any longer; the next call makes a new one.
    pub(crate) async fn give_up(&self, channel: &Arc<Channel>) {
        let mut slot = self.endpoints[channel.number].channel.lock().await;
        if slot.as_ref().is_some_and(|current| Arc::ptr_eq(current, channel)) {
            *slot = None;
        }
    }

    pub(crate) fn cluster(&self) -> u64 {
        self.cluster.load(Ordering::SeqCst)
    }

    pub(crate) fn database_bytes(&self) -> u64 {
        self.database_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn measured(&self, bytes: i64) {
        self.database_bytes.store(bytes.try_into().unwrap_or(0), Ordering::Relaxed);
    }

    pub(crate) fn health(&self) -> Vec<EndpointHealth> {
        let health = |endpoint: &Endpoint| EndpointHealth {
            endpoint: endpoint.name.to_string(),
            trouble: endpoint.trouble.lock().as_ref().map(EtcdTrouble::chain),
        };
        self.endpoints.iter().map(health).collect()
    }
}

impl Endpoint {
    fn parse(text: &str) -> Result<Endpoint, ConnectError> {
        let wrong = || ConnectError::Endpoint { endpoint: text.to_owned() };
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let default = match uri.scheme_str() {
            Some("http") => 80,
            Some("https") => 443,
            _ => return Err(wrong()),
        };
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(wrong());
        }
        let host = uri.host().ok_or_else(wrong)?;
        let server = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Endpoint {
            name: text.into(),
            address: format!("{host}:{}", uri.port_u16().unwrap_or(default)),
            server: ServerName::try_from(server).map_err(|_| wrong())?,
            base: uri,
            channel: tokio::sync::Mutex::default(),
            trouble: Mutex::default(),
        })
    }

    fn is_tls(&self) -> bool {
        self.base.scheme_str() == Some("https")
    }

    fn is_loopback(&self) -> bool {
        match &self.server {
            ServerName::IpAddress(address) => std::net::IpAddr::from(*address).is_loopback(),
            ServerName::DnsName(name) => name.as_ref() == "localhost",
            _ => false,
        }
    }

    /// Speaks TLS on the stream. Etcd without TLS waits for more of what it does not understand, or closes the
    /// connection as one does that is just ending.
    async fn secured(&self, tls: &Tls, stream: TcpStream) -> Result<TlsStream<TcpStream>, EtcdTrouble> {
        let connector = tls.connector().await;
        let mut handshake = std::pin::pin!(connector.connect(self.server.clone(), stream));
        let doubt = async {
            tokio::time::sleep(HANDSHAKE_DOUBT).await;
            probe::speaks_plainly(&self.address).await
        };
        let done = tokio::select! {
            biased;
            done = &mut handshake => done,
            true = doubt => return Err(tls::no_tls(&self.name, "it answers in the open")),
        };
        match done {
            Ok(stream) => Ok(stream),
            Err(error) if tls::of_tls(&error).is_none() && probe::speaks_plainly(&self.address).await => {
                Err(tls::no_tls(&self.name, "it answers in the open"))
            }
            Err(error) => Err(tls::trouble(&self.name, error)),
        }
    }

    /// Speaks HTTP/2 on the stream.
    async fn begin<S>(&self, number: usize, stream: S, login: Option<Login>) -> Result<Channel, EtcdTrouble>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let handshake = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(KEEP_ALIVE_EVERY)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(2 * WINDOW_BYTES)
            .handshake(TokioIo::new(stream));
        let (sender, connection) = handshake
            .await
            .map_err(|source| EtcdTrouble::Unreachable { endpoint: self.name.clone(), source: Arc::new(source) })?;
        let mut task = JoinSet::new();
        let endpoint = self.name.clone();
        task.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%endpoint, %error, "a connection to etcd ended");
            }
        });
        Ok(Channel { number, endpoint: self.name.clone(), sender, base: self.base.clone(), login, _connection: task })
    }
}

#[cfg(test)]
mod tests {
    use super::is_too_old;

    #[test]
    fn versions_are_compared_by_numbers() {
        for old in ["3.3.27", "3.0.0", "2.3.8"] {
            assert!(is_too_old(old), "{old}");
        }
        for new in ["3.4.0", "3.4.23", "3.5.16", "3.10.1", "3.6.0-rc.1", "4.0.0", ""] {
            assert!(!is_too_old(new), "{new}");
        }
    }
}
