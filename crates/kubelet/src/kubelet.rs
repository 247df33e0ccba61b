//! The kubelet put together.

use std::{sync::Arc, time::Duration};

use api::core::v1::{Node, Pod, Service};
use client::{Client, events::Recorder};
use controller_runtime::{Informers, Scope, Tasks};
use cri::{ImageService, RuntimeService, v1};
use tokio::sync::Notify;
use volumes::NodeFacts;

use crate::{
    KubeletConfig,
    agent::Agent,
    backoff::Backoff,
    cgroups::Cgroups,
    error::Error,
    eviction::{self, Pressure},
    image_gc::{self, ImageGc},
    images::Images,
    log_rotation, node,
    pods::{self, PodTable},
    probe::Prober,
    references::References,
    runtime::Runtime,
    server,
    tokens::Tokens,
};

/// How long the runtime may take to say its name at start.
const FIRST_ANSWER: Duration = Duration::from_secs(30);

pub struct Kubelet;

/// A kubelet that runs. It ends with the tasks it was given; containers go on.
pub struct Handle {
    ready: Arc<Notify>,
    /// Where its server listens, if it has one.
    pub address: Option<std::net::SocketAddr>,
}

impl Handle {
    /// Returns when the node has told the API that it is ready.
    pub async fn ready(&self) {
        self.ready.notified().await;
        // For whoever asks next.
        self.ready.notify_one();
    }
}

impl Kubelet {
    /// Checks everything that can fail, then starts. `client` bears the identity `system:node:<name>`.
    pub async fn start(
        config: KubeletConfig,
        client: Client,
        runtime: Arc<dyn RuntimeService>,
        images: Arc<dyn ImageService>,
        tasks: &Tasks,
    ) -> Result<Handle, Error> {
        let mut config = config;
        let bound = match &mut config.server {
            Some(server) => {
                let bound = server::bind(server).await?;
                // Port 0 has become a real one, which the node's status tells.
                server.address = bound.address;
                Some(bound)
            }
            None => None,
        };
        let address = bound.as_ref().map(|b| b.address);
        let agent = assemble(config, client, runtime, images, tasks).await?;
        if let Some(bound) = bound {
            server::start(agent.clone(), bound);
        }
        let ready = Arc::new(Notify::new());
        tasks.spawn("node-status", node::follow_node(agent.clone(), ready.clone()));
        tasks.spawn("node-lease", node::renew_lease(agent.clone()));
        let starting = agent.clone();
        tasks.spawn("kubelet", async move {
            // A pod's first look must find the Services it gets variables for.
            starting.services.synced().await;
            starting.pods.synced().await;
            pods::start(&starting, &starting.tasks);
            pods::adopt_orphans(&starting).await;
            starting.tasks.spawn("log-rotation", log_rotation::keep_logs_small(starting.clone()));
            starting.tasks.spawn("image-gc", image_gc::keep_images_few(starting.clone()));
            starting.tasks.spawn("eviction", eviction::keep_room(starting.clone()));
        });
        Ok(Handle { ready, address })
    }
}

async fn assemble(
    config: KubeletConfig,
    client: Client,
    runtime: Arc<dyn RuntimeService>,
    images: Arc<dyn ImageService>,
    tasks: &Tasks,
) -> Result<Arc<Agent>, Error> {
    if let Some(path) = &config.static_pod_path {
        return Err(Error::StaticPods(path.clone()));
    }
    config.housekeeping.check().map_err(Error::Housekeeping)?;
    pods::check_patterns(&config.allowed_unsafe_sysctls).map_err(Error::Sysctls)?;
    if config.node_ips.is_empty() {
        return Err(Error::NoNodeAddress);
    }
    for path in [config.root_dir.join("pods"), config.log_dir.clone()] {
        std::fs::create_dir_all(&path).map_err(|source| Error::Disk { doing: "creating", path, source })?;
    }
    let runtime = named(runtime, images).await?;
    let capacity = node::capacity(&config.root_dir, config.max_pods).map_err(|source| Error::Disk {
        doing: "measuring",
        path: config.root_dir.clone(),
        source,
    })?;
    let allocatable = node::allocatable(&capacity, &config.reserved, &config.housekeeping.eviction_hard);
    let cgroups = Cgroups::new(&config.cgroup_mount, &config.cgroup_root, config.pod_pids_limit);
    cgroups.set_up_classes(&allocatable).map_err(Error::Cgroups)?;
    let informers = Informers::new(client.clone(), tasks.clone());
    let of_node = |field: &str| Scope { fields: format!("{field}={}", config.node_name), ..Scope::default() };
    let (events, task) = Recorder::new(client.clone(), "kubelet", Some(&config.node_name));
    tasks.spawn("events", task.run());
    let table = Arc::new(PodTable::default());
    let ring = table.clone();
    let wake: Arc<dyn Fn(&str) + Send + Sync> = Arc::new(move |uid| ring.ring(uid));
    let changed = table.clone();
    let refresh: Arc<dyn Fn(&str) + Send + Sync> = Arc::new(move |uid| {
        if let Some(signal) = changed.get(uid) {
            signal.update(|input| input.references_changed = true);
        }
    });
    Ok(Arc::new(Agent {
        pods: informers.watch_scoped::<Pod>(of_node("spec.nodeName")),
        services: informers.watch::<Service>(),
        node: informers.watch_scoped::<Node>(of_node("metadata.name")),
        references: References::new(client.clone(), tasks.clone(), refresh),
        tokens: Tokens::default(),
        images: Images::new(runtime.images.clone()),
        prober: Prober::new(runtime.service.clone(), tasks.clone(), events.clone(), wake),
        backoff: Backoff::default(),
        pressure: Pressure::default(),
        image_gc: ImageGc::default(),
        facts: NodeFacts { allocatable },
        tasks: tasks.clone(),
        capacity,
        cgroups,
        events,
        table,
        runtime,
        client,
        config,
    }))
}

async fn named(service: Arc<dyn RuntimeService>, images: Arc<dyn ImageService>) -> Result<Runtime, Error> {
    let request = v1::VersionRequest { version: "v1".to_owned() };
    let answer = match tokio::time::timeout(FIRST_ANSWER, service.version(request)).await {
        Ok(answer) => answer.map_err(Error::Runtime)?,
        Err(_) => return Err(Error::Runtime(cri::CriError::deadline_exceeded("no answer to Version"))),
    };
    Ok(Runtime { service, images, name: answer.runtime_name.into() })
}
