//! What a cluster on this machine is told. Every path, name and network is a parameter, so that several can live on
//! one machine, each in namespaces of its own.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use kubelet::Housekeeping;

use crate::{Cidr, DatastoreConfig, JoinToken, SnapshotConfig, address};

/// What all parts agree on.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    pub service_cidr: Cidr,
    pub pod_cidr: Cidr,
    /// Without dots at its ends.
    pub domain: String,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        let network = |text: &str| text.parse().expect("it is a network");
        Self {
            service_cidr: network("10.96.0.0/16"),
            pod_cidr: network("10.244.0.0/16"),
            domain: "cluster.local".to_owned(),
        }
    }
}

#[derive(Clone, Debug)]
pub struct ApiServerConfig {
    /// Everything that must survive: the store, keys and certificates.
    pub data_dir: PathBuf,
    pub bind_address: IpAddr,
    pub secure_port: u16,
    /// Where others reach this server.
    pub advertise_address: IpAddr,
    /// Whether clients without credentials may ask for more than health and version.
    pub anonymous_auth: bool,
    /// Where the administrator's kubeconfig is written.
    pub kubeconfig: PathBuf,
    pub snapshots: SnapshotConfig,
    /// Upstream's `EncryptionConfiguration`; one is made in the data folder if none is named.
    pub encryption: Option<PathBuf>,
    /// Etcd; the data folder holds the cluster if none is named.
    pub datastore: Option<DatastoreConfig>,
    pub cluster: ClusterConfig,
}

impl ApiServerConfig {
    pub const SECURE_PORT: u16 = 6443;

    /// The defaults, with everything below `data_dir`.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        let data_dir = data_dir.into();
        Self {
            kubeconfig: data_dir.join("admin.kubeconfig"),
            snapshots: SnapshotConfig::new(&data_dir),
            encryption: None,
            datastore: None,
            data_dir,
            bind_address: IpAddr::from([0, 0, 0, 0]),
            secure_port: Self::SECURE_PORT,
            advertise_address: address::primary(),
            anonymous_auth: false,
            cluster: ClusterConfig::default(),
        }
    }
}

/// A node that joins a server on another machine.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// The server's URL.
    pub server: String,
    /// Needed for the first start only.
    pub token: Option<JoinToken>,
    pub node: NodeConfig,
}

/// A control plane and a node in one process.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// How long the certificates of nodes that joined are valid.
    pub signing_duration: Duration,
    /// A node that has been silent for so long is not known to be ready.
    pub node_monitor_grace: Duration,
    pub apiserver: ApiServerConfig,
    pub node: NodeConfig,
}

/// A node on this machine.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    pub name: String,
    pub address: IpAddr,
    /// State that survives: images, volumes, containers.
    pub data_dir: PathBuf,
    /// State that ends with the machine's uptime: sockets, pid files.
    pub runtime_dir: PathBuf,
    pub log_dir: PathBuf,
    /// The bridge pods are attached to.
    pub bridge: String,
    /// The cgroup under which pods are; `/` for the machine's own.
    pub cgroup_root: String,
    pub kubelet_port: u16,
    pub max_pods: u32,
    pub resolv_conf: PathBuf,
    /// The addresses of this node's pods, where the server has given them; else the first subnet of the cluster's.
    pub pod_range: Option<Cidr>,
    /// Sysctls pods may set beyond the safe ones.
    pub allowed_unsafe_sysctls: Vec<String>,
    pub housekeeping: Housekeeping,
}

impl NodeConfig {
    /// The defaults, with everything that survives below `data_dir`.
    pub fn new(name: impl Into<String>, data_dir: impl Into<PathBuf>) -> Self {
        let data_dir = data_dir.into();
        Self {
            name: name.into(),
            address: address::primary(),
            log_dir: data_dir.join("logs"),
            data_dir,
            runtime_dir: PathBuf::from("/run/knarr"),
            bridge: "knarr0".to_owned(),
            cgroup_root: "/".to_owned(),
            kubelet_port: 10250,
            max_pods: 110,
            resolv_conf: PathBuf::from("/etc/resolv.conf"),
            pod_range: None,
            allowed_unsafe_sysctls: Vec::new(),
            housekeeping: Housekeeping::default(),
        }
    }
}

impl ServerConfig {
    /// Upstream's `--cluster-signing-duration`.
    pub const SIGNING_DURATION: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    pub const NODE_MONITOR_GRACE: Duration = controllers::NODE_MONITOR_GRACE;
}
