//! What a kubelet is told before it starts. Roots, paths and names are parameters, so that several kubelets can live
//! on one machine.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use api::{core::v1::Taint, resources::Amounts};

use crate::housekeeping::Housekeeping;

/// Names of CRI's runtime in container ids are the runtime's; see `KubeletConfig::version` for the node's own.
#[derive(Clone)]
pub struct KubeletConfig {
    pub node_name: String,
    /// What pods see as the machine's name in `kubernetes.io/hostname` and the Hostname address.
    pub hostname: String,
    /// The addresses of the node, the first being the main one.
    pub node_ips: Vec<IpAddr>,
    /// Set on the Node when it is registered.
    pub labels: BTreeMap<String, String>,
    /// Set on the Node when it is first registered.
    pub taints: Vec<Taint>,
    pub provider_id: Option<String>,
    /// State of pods: `pods/<uid>/…`.
    pub root_dir: PathBuf,
    /// Logs of containers: `<namespace>_<name>_<uid>/<container>/<n>.log`.
    pub log_dir: PathBuf,
    /// The addresses pods get, where no controller hands them out. Set in the Node at registration.
    pub pod_cidr: Option<String>,
    pub cluster_dns: Vec<IpAddr>,
    /// Without dots at its ends; `cluster.local` if not told otherwise.
    pub cluster_domain: String,
    /// The node's own resolver configuration, for pods with `dnsPolicy: Default`.
    pub resolv_conf: PathBuf,
    pub max_pods: u32,
    /// The most processes of one pod.
    pub pod_pids_limit: Option<i64>,
    /// Where the cgroup file systems are mounted.
    pub cgroup_mount: PathBuf,
    /// The cgroup under which `kubepods` is made; `/` for the machine's root.
    pub cgroup_root: String,
    /// Enforce cpu limits by quota.
    pub cpu_cfs_quota: bool,
    /// Taken off the capacity before pods get the rest.
    pub reserved: Amounts,
    /// Containers that say nothing run under the runtime's default seccomp profile.
    pub seccomp_default: bool,
    /// `nodeInfo.kubeletVersion`, `v1.37.…`.
    pub version: String,
    /// Where `/healthz`, logs and exec are served; none serves nothing.
    pub server: Option<ServerConfig>,
    /// How often an unchanged node status is written all the same.
    pub status_report_interval: Duration,
    /// Manifests on disk are not supported; a path here is refused at start.
    pub static_pod_path: Option<PathBuf>,
    /// Sysctls pods may set beyond the safe ones; a `*` at the end stands for anything.
    pub allowed_unsafe_sysctls: Vec<String>,
    pub housekeeping: Housekeeping,
}

/// The kubelet's own server.
#[derive(Clone)]
pub struct ServerConfig {
    pub address: SocketAddr,
    pub certificate: Arc<pki::ServingCertificate>,
    /// Only clients with a certificate of this authority are served.
    pub client_ca_pem: String,
}

impl KubeletConfig {
    /// Upstream's defaults for everything that has one.
    pub fn new(node_name: impl Into<String>, root_dir: impl Into<PathBuf>, node_ips: Vec<IpAddr>) -> Self {
        let node_name = node_name.into();
        Self {
            hostname: node_name.clone(),
            node_name,
            node_ips,
            labels: BTreeMap::new(),
            taints: Vec::new(),
            provider_id: None,
            root_dir: root_dir.into(),
            log_dir: PathBuf::from("/var/log/pods"),
            pod_cidr: None,
            cluster_dns: Vec::new(),
            cluster_domain: "cluster.local".to_owned(),
            resolv_conf: PathBuf::from("/etc/resolv.conf"),
            max_pods: 110,
            pod_pids_limit: None,
            cgroup_mount: PathBuf::from("/sys/fs/cgroup"),
            cgroup_root: "/".to_owned(),
            cpu_cfs_quota: true,
            reserved: Amounts::new(),
            seccomp_default: true,
            version: concat!("v1.37.0+knarr.", env!("CARGO_PKG_VERSION")).to_owned(),
            server: None,
            status_report_interval: Duration::from_secs(300),
            static_pod_path: None,
            allowed_unsafe_sysctls: Vec::new(),
            housekeeping: Housekeeping::default(),
        }
    }

    /// The directory of a pod.
    pub(crate) fn pod_dir(&self, uid: &str) -> PathBuf {
        self.root_dir.join("pods").join(uid)
    }

    /// The directory of a pod's logs.
    pub(crate) fn pod_log_dir(&self, namespace: &str, name: &str, uid: &str) -> PathBuf {
        self.log_dir.join(format!("{namespace}_{name}_{uid}"))
    }
}
