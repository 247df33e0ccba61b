//! A node: the container runtime, the kubelet over it, and the packet rules of Services.

use std::sync::Arc;

use anyhow::Context;
use apimachinery::UserInfo;
use client::Client;
use container_runtime::Runtime;
use controller_runtime::Tasks;
use kubelet::{Kubelet, KubeletConfig, ServerConfig};
use pki::ServingCertificate;

use crate::{
    Cidr,
    config::{ClusterConfig, NodeConfig},
    node_routes, open_files,
};

/// The nftables tables that are ours.
const PROXY_TABLE: &str = "knarr-proxy";
const NETWORK_TABLE: &str = "knarr-cni";
/// The subnet of each node.
pub(crate) const NODE_PREFIX: u8 = 24;
/// The Service address of the cluster DNS, counted from the network's.
const DNS_SERVICE: u32 = 10;

/// The identities a node's parts act with.
pub(crate) fn kubelet_user(node: &NodeConfig) -> UserInfo {
    UserInfo::new(format!("system:node:{}", node.name), &["system:nodes"])
}

pub(crate) fn proxy_user() -> UserInfo {
    UserInfo::new("system:kube-proxy", &["system:node-proxier"])
}

/// The addresses of this node's pods.
pub(crate) fn pod_range(cluster: &ClusterConfig, node: &NodeConfig) -> anyhow::Result<Cidr> {
    if let Some(given) = node.pod_range {
        return Ok(given);
    }
    cluster.pod_cidr.first_subnet(NODE_PREFIX.max(cluster.pod_cidr.prefix))
}

pub(crate) fn dns_service_ip(cluster: &ClusterConfig) -> anyhow::Result<std::net::Ipv4Addr> {
    cluster.service_cidr.nth(DNS_SERVICE).context("the address of the cluster DNS")
}

pub(crate) fn runtime_config(cluster: &ClusterConfig, node: &NodeConfig) -> anyhow::Result<container_runtime::Config> {
    let range = pod_range(cluster, node)?.to_string().parse().context("the range of pod addresses")?;
    let mut network = cni::Config::new(range, node.data_dir.join("network"));
    network.bridge.clone_from(&node.bridge);
    network.table = NETWORK_TABLE.to_owned();
    // Pods of other nodes see who calls.
    network.not_masqueraded = vec![cluster.pod_cidr.to_string().parse().context("the network of pods")?];
    let program = std::env::current_exe().context("find the own executable")?;
    let mut words = vec!["shim".to_owned()];
    words.extend(open_files::given().map(|given| format!("--open-files={given}")));
    Ok(container_runtime::Config {
        root: node.data_dir.join("runtime"),
        state: node.runtime_dir.clone(),
        // The kubelet names groups from the root of the hierarchy.
        cgroup_root: "/".into(),
        network,
        registries: images::Registries::default(),
        shim_command: (program, words),
    })
}

/// Starts the runtime, which takes over every pod that still runs. Needs no API.
pub(crate) async fn start_runtime(cluster: &ClusterConfig, node: &NodeConfig) -> anyhow::Result<Runtime> {
    open_files::raise();
    Ok(Runtime::start(runtime_config(cluster, node)?).await?)
}

/// What the kubelet serves with, and whom it serves.
pub(crate) struct KubeletTls {
    pub(crate) serving: Arc<ServingCertificate>,
    pub(crate) client_ca_pem: String,
}

/// Starts the kubelet and the proxy. Returns when the node has told the API that it is ready.
pub(crate) async fn start(
    cluster: &ClusterConfig,
    node: &NodeConfig,
    runtime: Runtime,
    tls: KubeletTls,
    clients: impl Fn(UserInfo) -> Client,
    tasks: &Tasks,
) -> anyhow::Result<()> {
    let proxy = kube_proxy::Config {
        table: PROXY_TABLE.to_owned(),
        node_name: node.name.clone(),
        pod_cidr: cluster.pod_cidr.to_string(),
    };
    kube_proxy::start(proxy, clients(proxy_user()), tasks).context("start the service proxy")?;
    node_routes::start(&node.name, cluster.pod_cidr, clients(proxy_user()), tasks);
    let mut config = kubelet_config(cluster, node)?;
    config.server = Some(ServerConfig {
        address: (node.address, node.kubelet_port).into(),
        certificate: tls.serving,
        client_ca_pem: tls.client_ca_pem,
    });
    let runtime = Arc::new(runtime);
    let client = clients(kubelet_user(node));
    let kubelet = Kubelet::start(config, client, runtime.clone(), runtime, tasks).await.context("start the kubelet")?;
    kubelet.ready().await;
    tracing::info!(node = node.name, "node ready");
    Ok(())
}

fn kubelet_config(cluster: &ClusterConfig, node: &NodeConfig) -> anyhow::Result<KubeletConfig> {
    let mut config = KubeletConfig::new(&node.name, node.data_dir.join("kubelet"), vec![node.address]);
    config.log_dir.clone_from(&node.log_dir);
    config.pod_cidr = Some(pod_range(cluster, node)?.to_string());
    config.cluster_dns = vec![dns_service_ip(cluster)?.into()];
    config.cluster_domain.clone_from(&cluster.domain);
    config.resolv_conf.clone_from(&node.resolv_conf);
    config.max_pods = node.max_pods;
    config.cgroup_root.clone_from(&node.cgroup_root);
    config.allowed_unsafe_sysctls.clone_from(&node.allowed_unsafe_sysctls);
    config.housekeeping = node.housekeeping.clone();
    Ok(config)
}

/// Removes what a node leaves in the kernel: pods, links, rules, cgroups.
pub(crate) async fn tear_down(cluster: &ClusterConfig, node: &NodeConfig) -> anyhow::Result<()> {
    let config = runtime_config(cluster, node)?;
    container_runtime::teardown_all(&config, false).await.context("end the pods and remove their network")?;
    kubelet::tear_down(&kubelet_config(cluster, node)?).context("remove volumes and cgroups")?;
    node_routes::tear_down(cluster.pod_cidr)?;
    kube_proxy::tear_down(PROXY_TABLE).await.context("remove the rules of Services")
}
