//! The order of boot, and of the end.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context, ensure};
use apimachinery::UserInfo;
use client::Client;
use controller_runtime::{Election, Tasks};
use tokio::time::Instant;

use crate::{
    ApiServerConfig, ServerConfig, addons, agent,
    control_plane::ControlPlane,
    dns_endpoints,
    node::{self, KubeletTls},
    pid_file::PidFile,
    requirements,
};

/// How long everything together has to end; then it is cut off. Nothing acknowledged depends on it.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// Where the cluster DNS listens on the bridge. Not 53: the machine may have a resolver of its own there.
const DNS_PORT: u16 = 10053;
/// Reconciles of one controller at a time.
const CONTROLLER_WORKERS: usize = 5;

/// What was started. Dropping it does not stop it; [`Running::stop`] does.
pub struct Running {
    control_plane: Option<ControlPlane>,
    tasks: Tasks,
    kubeconfig: Option<PathBuf>,
    _pid_file: Option<PidFile>,
}

impl Running {
    /// A node without a control plane.
    pub(crate) fn node(tasks: Tasks, pid_file: PidFile) -> Self {
        Self { control_plane: None, tasks, kubeconfig: None, _pid_file: Some(pid_file) }
    }

    /// The administrator's kubeconfig, where there is a control plane.
    pub fn kubeconfig(&self) -> Option<&PathBuf> {
        self.kubeconfig.as_ref()
    }

    /// Stops everything and closes the store. Containers go on running.
    pub async fn stop(self) {
        if !self.tasks.stop(STOP_LIMIT).await {
            tracing::warn!("some tasks did not end within {STOP_LIMIT:?}");
        }
        if let Some(control_plane) = self.control_plane {
            control_plane.close().await;
        }
    }
}

/// The API server alone: no controller, no scheduler, no node.
pub async fn apiserver(config: ApiServerConfig) -> anyhow::Result<Running> {
    check(&config)?;
    let tasks = Tasks::new();
    let kubeconfig = config.kubeconfig.clone();
    let control_plane = ControlPlane::start(config, &tasks).await?;
    Ok(Running { control_plane: Some(control_plane), tasks, kubeconfig: Some(kubeconfig), _pid_file: None })
}

/// A whole cluster on this machine: the control plane and a node. Returns when the node is ready.
pub async fn server(config: ServerConfig) -> anyhow::Result<Running> {
    let began = Instant::now();
    let ServerConfig { signing_duration, node_monitor_grace, apiserver, mut node } = config;
    check(&apiserver)?;
    requirements::check()?;
    let cluster = apiserver.cluster.clone();
    let advertised = apiserver.advertise_address;
    let tasks = Tasks::new();
    let kubeconfig = apiserver.kubeconfig.clone();
    let pid_file = PidFile::write(&apiserver.data_dir)?;
    let shared = apiserver.datastore.is_some();
    let start_runtime = async {
        // Of several servers each has a subnet that it is given.
        if shared { Ok(None) } else { node::start_runtime(&cluster, &node).await.map(Some) }
    };
    let (control_plane, runtime) = tokio::try_join!(ControlPlane::start(apiserver, &tasks), start_runtime)?;
    tracing::info!(after_ms = began.elapsed().as_millis(), "control plane ready");

    let certificates = control_plane.certificates.clone();
    let clients = control_plane.clients();
    let controllers = controllers::Config {
        root_ca_pem: certificates.ca_pem().to_owned(),
        workers: CONTROLLER_WORKERS,
        node_monitor_grace,
        signers: Some(controllers::Signers {
            clients: certificates.ca.clone(),
            kubelets: certificates.kubelet_ca.clone(),
            lifetime: signing_duration,
        }),
        subnets: Some(controllers::NodeSubnets {
            network: cluster.pod_cidr.address,
            prefix: cluster.pod_cidr.prefix,
            node_prefix: node::NODE_PREFIX.max(cluster.pod_cidr.prefix),
        }),
    };
    start_leading(shared, &clients, controllers, &node.name, &tasks);
    let runtime = match runtime {
        Some(runtime) => runtime,
        None => {
            let kubelet = clients(node::kubelet_user(&node));
            agent::register(&kubelet, &node.name).await?;
            let subnet = agent::subnet(&kubelet, &node.name).await?;
            node.pod_range = Some(subnet.parse().context("the subnet of this node")?);
            node::start_runtime(&cluster, &node).await?
        }
    };

    let tls = KubeletTls {
        serving: certificates.kubelet_serving(&node)?,
        client_ca_pem: certificates.kubelet_ca_pem().to_owned(),
    };
    let dns_address = SocketAddr::new(node::pod_range(&cluster, &node)?.nth(1)?.into(), DNS_PORT);
    let dns = cluster_dns::Config {
        listen: dns_address,
        domain: cluster.domain.clone(),
        resolvers: resolvers(&node.resolv_conf)?,
    };
    let start_dns = async {
        // The right to read comes first: a refused list is tried again only later.
        let service_ip = node::dns_service_ip(&cluster)?.into();
        let client = control_plane.client(addons::user());
        let slice = if shared { format!("kube-dns-{}", node.name) } else { addons::DNS_SLICE.to_owned() };
        addons::install_dns(&client, service_ip, dns_address, &slice, advertised).await?;
        addons::install_joining(&client, &cluster).await?;
        let (namespace, account) = addons::DNS_ACCOUNT;
        cluster_dns::start(dns, clients(UserInfo::service_account(namespace, account)), &tasks).await?;
        Ok(())
    };
    tokio::try_join!(start_dns, node::start(&cluster, &node, runtime, tls, &clients, &tasks))?;
    tracing::info!(after_ms = began.elapsed().as_millis(), "cluster ready");
    Ok(Running { control_plane: Some(control_plane), tasks, kubeconfig: Some(kubeconfig), _pid_file: Some(pid_file) })
}

/// Starts what only one process of a cluster may do: at once where there is only one, else when it is elected.
fn start_leading(
    shared: bool,
    clients: &(impl Fn(UserInfo) -> Client + Clone + Send + Sync + 'static),
    config: controllers::Config,
    node: &str,
    tasks: &Tasks,
) {
    const MANAGER: &str = "kube-controller-manager";
    const SCHEDULER: &str = "kube-scheduler";
    let user = |component: &str| UserInfo::new(format!("system:{component}"), &[]);
    let (of_controllers, of_scheduler) = (clients.clone(), clients(user(SCHEDULER)));
    let lead_controllers = move |term: &Tasks| {
        controllers::start(&of_controllers, term, config.clone());
        if shared {
            dns_endpoints::start(of_controllers(addons::user()), term);
        }
    };
    let host = node.to_owned();
    let lead_scheduler = move |term: &Tasks| scheduler::Scheduler::start(of_scheduler.clone(), &host, term);
    if !shared {
        lead_controllers(tasks);
        lead_scheduler(tasks);
        return;
    }
    let election = |component: &str| Election {
        client: clients(user(component)),
        namespace: "kube-system".to_owned(),
        name: component.to_owned(),
        identity: format!("{node}_{}", unique()),
    };
    election(MANAGER).start(tasks, lead_controllers);
    election(SCHEDULER).start(tasks, lead_scheduler);
}

/// What no other process is called by.
fn unique() -> String {
    let bytes: [u8; 16] = rand::random();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Ends the daemon of this data folder if it runs, and removes what its node left in the kernel. The data stay.
pub async fn tear_down(config: &ServerConfig) -> anyhow::Result<()> {
    PidFile::stop(&config.apiserver.data_dir).await.context("stop the daemon")?;
    node::tear_down(&config.apiserver.cluster, &config.node).await
}

fn resolvers(resolv_conf: &PathBuf) -> anyhow::Result<Vec<SocketAddr>> {
    match std::fs::read_to_string(resolv_conf) {
        Ok(text) => Ok(cluster_dns::resolv_conf_servers(&text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("read {}", resolv_conf.display())),
    }
}

/// What would fail late is refused early.
fn check(config: &ApiServerConfig) -> anyhow::Result<()> {
    let cluster = &config.cluster;
    ensure!(
        !cluster.service_cidr.overlaps(cluster.pod_cidr),
        "the networks of Services ({}) and of pods ({}) overlap: change --service-cluster-ip-range or --cluster-cidr",
        cluster.service_cidr,
        cluster.pod_cidr
    );
    Ok(())
}
