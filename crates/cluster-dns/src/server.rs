//! The sockets. Questions about the cluster are answered at once; others are passed on beside, so many at a time.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use api::{core::v1::Service, discovery::v1::EndpointSlice};
use apimachinery::LabelSelector;
use client::Client;
use controller_runtime::{Change, Informers, Key, Lister, Tasks};
use hickory_proto::op::{Edns, Message, MessageType, OpCode, ResponseCode};
use parking_lot::RwLock;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::{Semaphore, watch},
};

use crate::{
    answer::{Lookup, answer},
    forward::forward,
    records,
    zone::Zone,
};

const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// Questions being asked upstream; more are refused with SERVFAIL.
const MAX_FORWARDED: usize = 512;
const MAX_CONNECTIONS: usize = 128;
/// A TCP client that is silent for so long is cut off.
const IDLE: Duration = Duration::from_secs(10);
const MAX_QUERY_BYTES: usize = 4096;
/// What we say we can take, and the most we send over UDP: fits an Ethernet frame.
const MAX_UDP_ANSWER: u16 = 1232;
/// What a client takes that says nothing.
const PLAIN_UDP_ANSWER: u16 = 512;

#[derive(Clone, Debug)]
pub struct Config {
    /// UDP and TCP both.
    pub listen: SocketAddr,
    /// Without a dot at the end: `cluster.local`.
    pub domain: String,
    /// Who is asked for other names; they are refused when there is nobody.
    pub resolvers: Vec<SocketAddr>,
}

#[derive(Debug, thiserror::Error)]
#[error("listen for DNS queries on {address}: {source}")]
pub struct DnsError {
    pub address: SocketAddr,
    pub source: io::Error,
}

struct Dns {
    config: Config,
    zone: RwLock<Zone>,
    forwarding: Semaphore,
    /// Names are known from the first full list on; until then questions about the cluster wait.
    ready: watch::Receiver<bool>,
}

/// Listens, and answers until the tasks are stopped.
pub async fn start(config: Config, client: Client, tasks: &Tasks) -> Result<(), DnsError> {
    let address = config.listen;
    let failed = |source| DnsError { address, source };
    let udp = UdpSocket::bind(address).await.map_err(failed)?;
    let tcp = TcpListener::bind(address).await.map_err(failed)?;
    let (readiness, ready) = watch::channel(false);
    let dns = Arc::new(Dns { config, zone: RwLock::default(), forwarding: Semaphore::new(MAX_FORWARDED), ready });
    let informers = Informers::new(client, tasks.clone());
    tasks.spawn("dns-names", dns.clone().follow(informers, readiness));
    tasks.spawn("dns-udp", dns.clone().serve_udp(udp, tasks.clone()));
    tasks.spawn("dns-tcp", dns.serve_tcp(tcp, tasks.clone()));
    Ok(())
}

impl Dns {
    /// Keeps the zone as the cluster is.
    async fn follow(self: Arc<Self>, informers: Informers, readiness: watch::Sender<bool>) {
        let services: Lister<Service> = informers.watch();
        let slices: Lister<EndpointSlice> = informers.watch();
        informers.synced().await;
        let (mut service_changes, mut slice_changes) = (services.subscribe(), slices.subscribe());
        let service_of = |change: &Change| {
            let named = change
                .entries()
                .filter_map(|e| Some(Key::new(e.header.key.namespace.clone(), e.header.label(SERVICE_NAME)?)));
            named.collect::<Vec<_>>()
        };
        while let Some(change) = service_changes.try_next() {
            self.update(&change.key, &services, &slices);
        }
        readiness.send_replace(true);
        loop {
            tokio::select! {
                change = service_changes.next() => self.update(&change.key, &services, &slices),
                change = slice_changes.next() => {
                    for key in service_of(&change) {
                        self.update(&key, &services, &slices);
                    }
                }
            }
        }
    }

    fn update(&self, key: &Key, services: &Lister<Service>, slices: &Lister<EndpointSlice>) {
        let selector = LabelSelector::from_map([(SERVICE_NAME, key.name.as_ref())]);
        let entries = services.fetch(key).and_then(|service| match service {
            Some(service) => Ok(records::entries(&service, &slices.fetch_selected(&key.namespace, &selector)?)),
            None => Ok(Vec::new()),
        });
        match entries {
            Ok(entries) => self.zone.write().set(key, entries),
            // What cannot be read keeps its names.
            Err(error) => tracing::error!(service = %key, %error, "service cannot be read"),
        }
    }

    async fn serve_udp(self: Arc<Self>, socket: UdpSocket, tasks: Tasks) {
        let socket = Arc::new(socket);
        let mut buffer = vec![0; MAX_QUERY_BYTES];
        loop {
            let (count, from) = match socket.recv_from(&mut buffer).await {
                Ok(received) => received,
                // An earlier answer could not be delivered.
                Err(error) => {
                    tracing::debug!(%error, "receiving DNS queries");
                    continue;
                }
            };
            let query = buffer[..count].to_vec();
            let (dns, socket) = (self.clone(), socket.clone());
            // Cheap answers need no task; whether this one is shows only when it is tried.
            if let Some(ready) = dns.at_once(&query, true) {
                send(&socket, ready, from).await;
                continue;
            }
            tasks.spawn("dns-query", async move {
                if let Some(answer) = dns.in_time(&query, false).await {
                    send(&socket, answer, from).await;
                }
            });
        }
    }

    async fn serve_tcp(self: Arc<Self>, listener: TcpListener, tasks: Tasks) {
        let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let Ok(permit) = connections.clone().acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let dns = self.clone();
                    tasks.spawn("dns-connection", async move {
                        // A client that breaks the protocol or goes away ends its own connection only.
                        drop(dns.serve_connection(stream).await);
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "accepting DNS connections");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn serve_connection(&self, mut stream: TcpStream) -> io::Result<()> {
        loop {
            let length = tokio::time::timeout(IDLE, stream.read_u16()).await??;
            let mut query = vec![0; length.into()];
            tokio::time::timeout(IDLE, stream.read_exact(&mut query)).await??;
            let answer = match self.at_once(&query, false) {
                Some(answer) => Some(answer),
                None => self.in_time(&query, true).await,
            };
            let Some(answer) = answer else { return Ok(()) };
            let length = u16::try_from(answer.len()).map_err(|_| io::ErrorKind::InvalidData)?;
            let framed = [&length.to_be_bytes(), answer.as_slice()].concat();
            tokio::time::timeout(IDLE, stream.write_all(&framed)).await??;
        }
    }

    /// The answer when it needs no waiting.
    fn at_once(&self, query: &[u8], udp: bool) -> Option<Vec<u8>> {
        let Ok(request) = Message::from_vec(query) else { return format_error(query) };
        if request.metadata.message_type != MessageType::Query {
            // Answering answers could go on for ever between two servers.
            return Some(Vec::new());
        }
        let mut response = prepared(&request);
        let [question] = request.queries.as_slice() else {
            response.metadata.response_code = ResponseCode::FormErr;
            return encode(&response, &request, udp);
        };
        if request.metadata.op_code != OpCode::Query {
            response.metadata.response_code = ResponseCode::NotImp;
            return encode(&response, &request, udp);
        }
        if !*self.ready.borrow() {
            return None;
        }
        match answer(&self.zone.read(), &self.config.domain, question, &mut response) {
            Lookup::Answered => encode(&response, &request, udp),
            Lookup::Elsewhere => None,
        }
    }

    /// The answer when the names must first be known, or another server asked.
    async fn in_time(&self, query: &[u8], tcp: bool) -> Option<Vec<u8>> {
        let failure = |code| {
            let request = Message::from_vec(query).ok()?;
            let mut response = prepared(&request);
            response.metadata.response_code = code;
            encode(&response, &request, !tcp)
        };
        let Ok(_permit) = self.forwarding.try_acquire() else { return failure(ResponseCode::ServFail) };
        let mut ready = self.ready.clone();
        let known = tokio::time::timeout(IDLE, ready.wait_for(|ready| *ready)).await.is_ok_and(|r| r.is_ok());
        if !known {
            return failure(ResponseCode::ServFail);
        }
        if let Some(answer) = self.at_once(query, !tcp) {
            return Some(answer);
        }
        if self.config.resolvers.is_empty() {
            return failure(ResponseCode::Refused);
        }
        match forward(query, tcp, &self.config.resolvers).await {
            Ok(answer) => Some(answer),
            Err(error) => {
                tracing::debug!(%error, "forwarding a DNS query");
                failure(ResponseCode::ServFail)
            }
        }
    }
}

async fn send(socket: &UdpSocket, answer: Vec<u8>, to: SocketAddr) {
    if answer.is_empty() {
        return;
    }
    if let Err(error) = socket.send_to(&answer, to).await {
        tracing::debug!(%error, %to, "sending a DNS answer");
    }
}

fn prepared(request: &Message) -> Message {
    let mut response = Message::response(request.metadata.id, request.metadata.op_code);
    response.queries = request.queries.clone();
    response.metadata.recursion_desired = request.metadata.recursion_desired;
    response.metadata.recursion_available = true;
    if request.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(MAX_UDP_ANSWER);
        response.edns = Some(edns);
    }
    response
}

/// What does not fit is cut, and the client told to ask over TCP.
fn encode(response: &Message, request: &Message, udp: bool) -> Option<Vec<u8>> {
    let bytes = response.to_vec().ok()?;
    let limit = match &request.edns {
        Some(edns) => edns.max_payload().clamp(PLAIN_UDP_ANSWER, MAX_UDP_ANSWER),
        None => PLAIN_UDP_ANSWER,
    };
    if udp && bytes.len() > limit.into() { response.truncate().to_vec().ok() } else { Some(bytes) }
}

/// For a query that cannot be read but has an id.
fn format_error(query: &[u8]) -> Option<Vec<u8>> {
    let id = u16::from_be_bytes(*query.first_chunk::<2>().unwrap_or(&[0, 0]));
    Message::error_msg(id, OpCode::Query, ResponseCode::FormErr).to_vec().ok()
}
