//! A node without a control plane: it joins a server by a token, and from then on has an identity of its own.

use std::{fs, sync::Arc, time::Duration};

use anyhow::{Context, anyhow, bail, ensure};
use api::{
    core::v1::{ConfigMap, Node},
    meta::ObjectMeta,
};
use client::{ApiError, Client, PostParams, WatchEvent, WatchParams, kubeconfig};
use controller_runtime::Tasks;
use futures::{StreamExt, TryStreamExt};
use pki::{Pinned, ServingCertificate};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;

use crate::{
    AgentConfig, ApiServerConfig, Cidr, NodeConfig, Running, addons,
    config::ClusterConfig,
    durable_file,
    join_token::JoinToken,
    node::{self, KubeletTls},
    node_certificates::{NodeCertificates, Purpose},
    pid_file::PidFile,
};

/// How long the server may take to answer the first handshake.
const DIAL_LIMIT: Duration = Duration::from_secs(10);
/// How long the server may take to give the node its subnet.
const SUBNET_LIMIT: Duration = Duration::from_secs(60);
/// What the node has been told of the cluster, so that it starts while the server is away and `down` knows it.
const CLUSTER_FILE: &str = "cluster.json";

/// Joins if it has not, and starts the node. Returns when the node is ready.
pub async fn agent(config: AgentConfig) -> anyhow::Result<Running> {
    let AgentConfig { server, token, mut node } = config;
    let server = server.trim_end_matches('/').to_owned();
    let (host, port) = host_and_port(&server)?;
    let pid_file = PidFile::write(&node.data_dir)?;
    let certificates = Arc::new(NodeCertificates::open(node.data_dir.join("pki"), &node.name, node.address)?);
    certificates.check_clock()?;
    let tasks = Tasks::new();
    let (authority, pair) = match (certificates.authority()?, certificates.pair(Purpose::Client)?) {
        (Some(authority), Some(pair)) => (authority, pair),
        _ => {
            let Some(token) = token else { bail!(certificates.why_a_token()?) };
            let authority = authority_of(&host, port, &token).await?;
            let bootstrap = bootstrap_client(&server, &authority, &token).await?;
            // Before the pair: a node has joined as soon as it has that.
            certificates.keep_authority(&authority)?;
            let pair = certificates.ask(Purpose::Client, &bootstrap).await.map_err(|error| explain(error, &server))?;
            tracing::info!(server, node = node.name, "joined");
            (authority, pair)
        }
    };
    let identity = ServingCertificate::new(&pair)?;
    let client = Client::over_tls(&server, pki::renewable_client_config(&authority, identity.clone())?)?;
    certificates.keep_fresh(Purpose::Client, pair, identity, client.clone(), &tasks);

    let cluster = cluster(&client, &mut node).await?;
    let serving = match certificates.pair(Purpose::Serving)? {
        Some(pair) => pair,
        None => certificates.ask(Purpose::Serving, &client).await?,
    };
    let client_ca_pem = last_certificate(&serving.certificate_pem)?;
    let served = ServingCertificate::new(&serving)?;
    certificates.keep_fresh(Purpose::Serving, serving, served.clone(), client.clone(), &tasks);

    let runtime = node::start_runtime(&cluster, &node).await?;
    let tls = KubeletTls { serving: served, client_ca_pem };
    node::start(&cluster, &node, runtime, tls, |_| client.clone(), &tasks).await?;
    Ok(Running::node(tasks, pid_file))
}

/// Ends the agent of this data folder if it runs, and removes what its node left in the kernel. True if the folder is
/// an agent's.
pub async fn tear_down_agent(node: &NodeConfig) -> anyhow::Result<bool> {
    let mut node = node.clone();
    let Some(cluster) = known_cluster(&mut node)? else { return Ok(false) };
    PidFile::stop(&node.data_dir).await.context("stop the daemon")?;
    node::tear_down(&cluster, &node).await?;
    Ok(true)
}

fn host_and_port(server: &str) -> anyhow::Result<(String, u16)> {
    let form = || format!("--server {server:?} is no URL like https://192.0.2.1:6443");
    let url = url::Url::parse(server).with_context(form)?;
    ensure!(url.scheme() == "https", form());
    let host = url.host_str().with_context(form)?.trim_matches(['[', ']']).to_owned();
    Ok((host, url.port().unwrap_or(ApiServerConfig::SECURE_PORT)))
}

/// The server's authority, if it is the one the token names.
async fn authority_of(host: &str, port: u16, token: &JoinToken) -> anyhow::Result<String> {
    let pinned = Pinned::new(&token.authority_hash);
    let connector = tokio_rustls::TlsConnector::from(Arc::new(pinned.client_config()?));
    let name = ServerName::try_from(host.to_owned()).with_context(|| format!("{host:?} is no name of a server"))?;
    let handshake = async {
        let tcp = TcpStream::connect((host, port)).await.with_context(|| format!("connect to {host}:{port}"))?;
        connector.connect(name, tcp).await.map_err(|error| {
            if pinned.is_mismatch() {
                anyhow!(
                    "the server at {host}:{port} is not the one the token was made by: its authority has another hash"
                )
            } else {
                anyhow!(error).context(format!("speak TLS with {host}:{port}"))
            }
        })
    };
    let stream = tokio::time::timeout(DIAL_LIMIT, handshake).await;
    stream.map_err(|_| anyhow!("{host}:{port} does not answer within {DIAL_LIMIT:?}"))??;
    pinned.authority_pem().context("the server sent no authority")
}

async fn bootstrap_client(server: &str, authority: &str, token: &JoinToken) -> anyhow::Result<Client> {
    let credentials = kubeconfig::Credentials::Token(token.bearer());
    let config = kubeconfig::single("bootstrap", server, authority, "bootstrap", credentials);
    Ok(Client::from_kubeconfig_value(config).await?)
}

fn explain(error: anyhow::Error, server: &str) -> anyhow::Error {
    match error.downcast_ref::<client::Error>().and_then(ApiError::code) {
        Some(401) => anyhow!(
            "{server} refuses the token: it is wrong, was deleted or has expired; `knarr token create` on the server makes another"
        ),
        _ => error.context(format!("join {server}")),
    }
}

/// The networks of the cluster and the subnet of this node: as remembered, else as the server says.
async fn cluster(client: &Client, node: &mut NodeConfig) -> anyhow::Result<ClusterConfig> {
    if let Some(known) = known_cluster(node)? {
        return Ok(known);
    }
    let map = client.namespaced::<ConfigMap>("kube-system").get(addons::NODE_CONFIG).await;
    let data = map.context("read what the server says of the cluster")?.data.unwrap_or_default();
    register(client, &node.name).await?;
    let subnet = subnet(client, &node.name).await?;
    let mut told = serde_json::to_value(&data)?;
    told["pod-cidr"] = subnet.into();
    let path = node.data_dir.join(CLUSTER_FILE);
    durable_file::replace(&path, told.to_string().as_bytes()).with_context(|| format!("write {}", path.display()))?;
    known_cluster(node)?.context("what was just written is not there")
}

/// Reads what was remembered, and puts the subnet into the node's configuration.
fn known_cluster(node: &mut NodeConfig) -> anyhow::Result<Option<ClusterConfig>> {
    let path = node.data_dir.join(CLUSTER_FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
    };
    let told: serde_json::Value = serde_json::from_str(&text).with_context(|| format!("read {}", path.display()))?;
    let network = |key: &str| -> anyhow::Result<Cidr> {
        let text = told[key].as_str().with_context(|| format!("{} does not say {key}", path.display()))?;
        text.parse().with_context(|| format!("{key} in {}", path.display()))
    };
    node.pod_range = Some(network("pod-cidr")?);
    Ok(Some(ClusterConfig {
        service_cidr: network(addons::SERVICE_CIDR)?,
        pod_cidr: network(addons::CLUSTER_CIDR)?,
        domain: told[addons::CLUSTER_DOMAIN].as_str().unwrap_or("cluster.local").to_owned(),
    }))
}

/// The Node must be there to get a subnet; the kubelet fills it in later.
pub(crate) async fn register(client: &Client, name: &str) -> anyhow::Result<()> {
    let labels = [("kubernetes.io/hostname".to_owned(), name.to_owned())].into();
    let metadata = ObjectMeta { name: Some(name.to_owned()), labels: Some(labels), ..ObjectMeta::default() };
    let node = Node { metadata, ..Node::default() };
    match client.all::<Node>().create(&PostParams::default(), &node).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_already_exists() => Ok(()),
        Err(error) => Err(error).with_context(|| format!("register the node {name:?}")),
    }
}

/// The subnet the controllers give this node; waits for it.
pub(crate) async fn subnet(client: &Client, name: &str) -> anyhow::Result<String> {
    let of = |node: &Node| node.spec.as_ref().and_then(|s| s.pod_cidr.clone());
    let given = async {
        let api = client.all::<Node>();
        let node = api.get(name).await?;
        if let Some(subnet) = of(&node) {
            return Ok(subnet);
        }
        let version = node.metadata.resource_version.unwrap_or_default();
        let params = WatchParams::default().fields(&format!("metadata.name={name}"));
        let mut events = api.watch(&params, &version).await?.boxed();
        while let Some(event) = events.try_next().await? {
            if let WatchEvent::Modified(node) = event
                && let Some(subnet) = of(&node)
            {
                return Ok(subnet);
            }
        }
        bail!("the server ended the watch for the node {name:?}")
    };
    match tokio::time::timeout(SUBNET_LIMIT, given).await {
        Ok(done) => done,
        Err(_) => bail!(
            "the server has given the node {name:?} no subnet for pods within {SUBNET_LIMIT:?}: its --cluster-cidr may be full"
        ),
    }
}

/// The authority that kubelets trust the API server by comes behind the serving certificate.
fn last_certificate(chain: &str) -> anyhow::Result<String> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    let at =
        chain.rfind(BEGIN).filter(|at| *at > 0).context("the server sent no authority with the serving certificate")?;
    Ok(chain[at..].to_owned())
}
