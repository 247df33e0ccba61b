//! Sandboxes: the life of a pod's shim, network and folder.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use cri::{CriError, v1};
use netlink::Namespace;

use crate::{
    cgroup,
    disk::{self, SandboxRecord},
    error::internal,
    mounts, naming, network,
    protocol::{Call, Launch, now},
    runtime::Runtime,
    shim_client::Shim,
    spec,
};

const SHARED_MEMORY_BYTES: u64 = 64 << 20;
/// A shim kills its containers and ends; then it is killed itself.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

type Result<T> = std::result::Result<T, CriError>;

#[derive(Debug)]
pub(crate) struct Sandbox {
    pub(crate) record: SandboxRecord,
    shim: Mutex<Option<Shim>>,
    /// One start, stop or removal at a time.
    pub(crate) changing: tokio::sync::Mutex<()>,
}

fn mode(value: i32) -> v1::NamespaceMode {
    v1::NamespaceMode::try_from(value).unwrap_or_default()
}

pub(crate) fn namespace_options(config: &v1::PodSandboxConfig) -> v1::NamespaceOption {
    config
        .linux
        .as_ref()
        .and_then(|linux| linux.security_context.as_ref())
        .and_then(|security| security.namespace_options.clone())
        .unwrap_or_default()
}

fn cgroup_parent(config: &v1::PodSandboxConfig) -> &str {
    config.linux.as_ref().map_or("", |linux| linux.cgroup_parent.as_str())
}

impl Sandbox {
    pub(crate) fn new(record: SandboxRecord, shim: Option<Shim>) -> Self {
        Self { record, shim: Mutex::new(shim), changing: tokio::sync::Mutex::new(()) }
    }

    pub(crate) fn shim(&self) -> Option<Shim> {
        let shim = self.shim.lock().unwrap_or_else(PoisonError::into_inner);
        shim.clone().filter(|shim| !shim.is_gone())
    }

    pub(crate) fn lose_shim(&self) {
        *self.shim.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.record.ready && self.shim().is_some()
    }

    pub(crate) fn namespace_options(&self) -> v1::NamespaceOption {
        namespace_options(&self.record.config)
    }
}

impl Runtime {
    /// The group of a container or shim below the pod's.
    pub(crate) fn cgroup(&self, config: &v1::PodSandboxConfig, id: &str) -> PathBuf {
        let parent = cgroup_parent(config).trim_matches('/');
        let parent = if parent.is_empty() { "knarr" } else { parent };
        self.inner.config.cgroup_root.join(parent).join(id)
    }

    pub(crate) async fn run_sandbox(&self, config: v1::PodSandboxConfig, handler: String) -> Result<String> {
        if !handler.is_empty() {
            return Err(CriError::invalid_argument(format!("no runtime for \"{handler}\" is configured")));
        }
        let metadata = config
            .metadata
            .as_ref()
            .ok_or_else(|| CriError::invalid_argument("sandbox config must include metadata"))?;
        if metadata.name.is_empty() || metadata.namespace.is_empty() || metadata.uid.is_empty() {
            return Err(CriError::invalid_argument("sandbox metadata must have name, namespace and uid"));
        }
        let user_namespace = namespace_options(&config).userns_options;
        if user_namespace.is_some_and(|options| mode(options.mode) != v1::NamespaceMode::Node) {
            return Err(CriError::invalid_argument("user namespaces are not supported by this runtime"));
        }
        if cgroup_parent(&config).ends_with(".slice") {
            return Err(CriError::invalid_argument("the systemd cgroup driver is not supported; use cgroupfs"));
        }
        self.check_name(&config)?;
        let record = SandboxRecord {
            id: naming::new_id(),
            config,
            runtime_handler: handler,
            created_at: now(),
            ip: None,
            ready: false,
        };
        let id = record.id.clone();
        let started = self.start_sandbox(record.clone()).await;
        match started {
            Ok(sandbox) => {
                self.add_sandbox(sandbox);
                self.tell(&id, &id, v1::ContainerEventType::ContainerCreatedEvent);
                self.tell(&id, &id, v1::ContainerEventType::ContainerStartedEvent);
                Ok(id)
            }
            Err(error) => {
                if let Err(more) = self.clean_sandbox(&record, None).await {
                    tracing::warn!(sandbox = id, error = %more, "cannot clean up a sandbox that failed to start");
                }
                self.forget_sandbox_folder(&id);
                Err(error)
            }
        }
    }

    fn check_name(&self, config: &v1::PodSandboxConfig) -> Result<()> {
        let taken = self.sandboxes().values().find(|s| s.record.config.metadata == config.metadata).cloned();
        match taken {
            Some(other) => Err(CriError::already_exists(format!(
                "failed to reserve sandbox name: it is reserved for \"{}\"",
                other.record.id
            ))),
            None => Ok(()),
        }
    }

    fn prepare_folder(&self, record: &SandboxRecord) -> io::Result<()> {
        let folder = self.inner.layout.sandbox(&record.id);
        fs::create_dir_all(folder.join("shm"))?;
        disk::write(&folder.join("sandbox.json"), record)?;
        let hostname = spec::sandbox_hostname(&record.config);
        fs::write(folder.join("resolv.conf"), network::resolv_conf(&record.config)?)?;
        fs::write(folder.join("hosts"), format!("127.0.0.1\tlocalhost\n::1\tlocalhost\n127.0.0.1\t{hostname}\n"))?;
        fs::write(folder.join("hostname"), hostname + "\n")?;
        if mode(namespace_options(&record.config).ipc) != v1::NamespaceMode::Node {
            mounts::shared_memory(&folder.join("shm"), SHARED_MEMORY_BYTES)?;
        }
        let group = self.cgroup(&record.config, &record.id);
        cgroup::make(&self.inner.hierarchies, &group)
    }

    async fn start_sandbox(&self, mut record: SandboxRecord) -> Result<Sandbox> {
        let options = namespace_options(&record.config);
        let own_network = mode(options.network) != v1::NamespaceMode::Node;
        let ports = if own_network { network::host_ports(&record.config)? } else { Vec::new() };
        let runtime = self.clone();
        let for_folder = record.clone();
        self.blocking(move || runtime.prepare_folder(&for_folder))
            .await?
            .map_err(internal("failed to prepare the sandbox"))?;
        let group = self.cgroup(&record.config, &record.id);
        let directories = self.inner.hierarchies.directories(&group);
        let sysctls = record.config.linux.as_ref().map(|linux| linux.sysctls.clone()).unwrap_or_default();
        let launch = Launch {
            sandbox: record.id.clone(),
            socket: self.inner.layout.socket(&record.id),
            hostname: record.config.hostname.clone(),
            own_network,
            own_ipc: mode(options.ipc) != v1::NamespaceMode::Node,
            own_uts: own_network,
            shared_pid: mode(options.pid) == v1::NamespaceMode::Pod,
            sysctls: sysctls.into_iter().collect(),
            cgroups: directories.into_iter().map(|dir| dir.join("cgroup.procs")).collect(),
        };
        let shim = self.inner.zygote.launch(&launch, self.listener(&record.id)).await?;
        let network = async {
            if !own_network {
                return Ok(None);
            }
            let failed = |error: String| {
                CriError::unknown(format!("failed to setup network for sandbox \"{}\": {error}", record.id))
            };
            let namespace = Namespace::of_process(shim.pid()).map_err(|e| failed(e.to_string()))?;
            let attached = self.inner.network.attach(&record.id, namespace, ports).await;
            attached.map(|a| Some(a.ip)).map_err(|e| failed(e.to_string()))
        }
        .await;
        match network {
            Ok(ip) => record.ip = ip,
            Err(error) => {
                end(&shim).await;
                return Err(error);
            }
        }
        record.ready = true;
        let path = self.inner.layout.sandbox(&record.id).join("sandbox.json");
        let written = disk::write(&path, &record);
        if let Err(error) = written {
            end(&shim).await;
            return Err(CriError::internal(format!("cannot write the sandbox's record: {error}")));
        }
        Ok(Sandbox::new(record, Some(shim)))
    }

    /// Ends the shim, if it runs, and gives back network, mounts, cgroups and socket. Idempotent.
    pub(crate) async fn clean_sandbox(&self, record: &SandboxRecord, shim: Option<Shim>) -> Result<()> {
        let id = &record.id;
        if let Some(shim) = shim {
            end(&shim).await;
        }
        self.inner.network.detach(id).await.map_err(internal("cannot give back the sandbox's network"))?;
        let directories = self.inner.hierarchies.directories(&self.cgroup(&record.config, id));
        let shm = self.inner.layout.sandbox(id).join("shm");
        let socket = self.inner.layout.socket(id);
        let cleaned = self.blocking(move || {
            mounts::unmount(&shm)?;
            disk::remove_file(&socket)?;
            cgroup::remove(&directories)
        });
        cleaned.await?.map_err(internal(format!("cannot clean up sandbox {id}")))
    }

    pub(crate) async fn stop_sandbox(&self, id: &str) -> Result<()> {
        let Some(sandbox) = self.find_sandbox(id) else { return Ok(()) };
        let _changing = sandbox.changing.lock().await;
        let running = sandbox.shim();
        let was_ready = running.is_some();
        for container in self.containers_of(&sandbox.record.id) {
            self.stop(&container, Duration::ZERO).await?;
        }
        self.clean_sandbox(&sandbox.record, running).await?;
        sandbox.lose_shim();
        if was_ready {
            let id = &sandbox.record.id;
            self.tell(id, id, v1::ContainerEventType::ContainerStoppedEvent);
        }
        Ok(())
    }

    pub(crate) async fn remove_sandbox(&self, id: &str) -> Result<()> {
        let Some(sandbox) = self.find_sandbox(id) else { return Ok(()) };
        let id = sandbox.record.id.clone();
        self.stop_sandbox(&id).await?;
        for container in self.containers_of(&id) {
            self.remove(&container).await?;
        }
        let _changing = sandbox.changing.lock().await;
        let folder = self.inner.layout.sandbox(&id);
        self.blocking(move || disk::remove_tree(&folder))
            .await?
            .map_err(internal("cannot remove the sandbox's folder"))?;
        self.tell(&id, &id, v1::ContainerEventType::ContainerDeletedEvent);
        self.drop_sandbox(&id);
        Ok(())
    }

    fn forget_sandbox_folder(&self, id: &str) {
        let folder: PathBuf = self.inner.layout.sandbox(id);
        if let Err(error) = disk::remove_tree(Path::new(&folder)) {
            tracing::warn!(sandbox = id, %error, "cannot remove the folder of a sandbox that failed to start");
        }
    }
}

/// Asks a shim to end, and kills it if it does not.
pub(crate) async fn end(shim: &Shim) {
    let asked = async {
        match shim.call(Call::Shutdown).await {
            Ok(_) | Err(CriError::Unavailable { .. }) => {}
            Err(error) => tracing::warn!(%error, "a shim refused to end"),
        }
        shim.ended().await;
    };
    if tokio::time::timeout(SHUTDOWN_TIMEOUT, asked).await.is_err() {
        tracing::warn!(pid = shim.pid(), "a shim does not end and is killed");
        // SAFETY: plain numbers. The connection is open, so the process exists and is the shim.
        unsafe { libc::kill(shim.pid(), libc::SIGKILL) };
        shim.ended().await;
    }
}
