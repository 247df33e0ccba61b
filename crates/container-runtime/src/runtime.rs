//! The runtime: what it holds, how it starts, and how it finds what an earlier daemon left running.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs::{self, File},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
};

use cri::{CriError, v1};
use images::Images;
use nix::fcntl::{Flock, FlockArg};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Config, Error, Result, cgroup,
    cgroup::Hierarchies,
    container::{Container, State},
    disk::{self, ContainerRecord, Layout, SandboxRecord},
    events::Events,
    exec::LocalSessions,
    mounts, naming,
    protocol::{FromShim, Status, now},
    sandbox::{Sandbox, end},
    seccomp::Filters,
    shim_client::{Shim, Told, Zygote},
    streaming_server::StreamingServer,
};

/// Longest path of the state folder: a socket's address has 108 bytes, and `/s/<16>.sock` is ours.
const STATE_PATH_BYTES: usize = 80;

/// Cheap to clone. Dropping the last clone leaves all containers running.
#[derive(Debug, Clone)]
pub struct Runtime {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) layout: Layout,
    pub(crate) hierarchies: Hierarchies,
    pub(crate) images: Images,
    pub(crate) network: cni::Network,
    pub(crate) zygote: Zygote,
    pub(crate) events: Events,
    pub(crate) filters: Filters,
    pub(crate) end: CancellationToken,
    pub(crate) execs: crate::exec::Execs,
    pub(crate) streaming: OnceLock<StreamingServer>,
    pub(crate) tasks: TaskTracker,
    sandboxes: Mutex<BTreeMap<String, Arc<Sandbox>>>,
    containers: Mutex<BTreeMap<String, Arc<Container>>>,
    _lock: Flock<File>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

impl Runtime {
    /// Starts, and takes over every pod that still runs.
    pub async fn start(config: Config) -> Result<Self> {
        let layout = Layout { root: config.root.clone(), state: config.state.clone() };
        if config.state.as_os_str().len() > STATE_PATH_BYTES {
            return Err(Error::LongPath { path: config.state, limit: STATE_PATH_BYTES });
        }
        for folder in [layout.sandboxes(), layout.containers(), layout.libcontainer(), layout.state.join("s")] {
            fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        }
        private(&layout.root)?;
        private(&layout.state)?;
        let path = layout.root.join("lock");
        let file = File::create(&path).map_err(Error::io("create", &path))?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|_| Error::InUse { path: layout.root.clone() })?;
        let hierarchies = Hierarchies::detect().map_err(Error::Cgroups)?;
        if hierarchies.mounts.is_empty() {
            return Err(Error::NoCgroups);
        }
        let tasks = TaskTracker::new();
        let zygote = Zygote::new(config.shim_command.clone(), tasks.clone())
            .map_err(|source| Error::Zygote { program: config.shim_command.0.clone(), source })?;
        let inner = Inner {
            images: Images::open(&layout.images(), config.registries.clone())?,
            network: cni::Network::start(config.network.clone()).await?,
            config,
            layout,
            hierarchies,
            zygote,
            events: Events::new(),
            filters: Filters::default(),
            end: CancellationToken::new(),
            execs: crate::exec::Execs::default(),
            streaming: OnceLock::new(),
            tasks,
            sandboxes: Mutex::default(),
            containers: Mutex::default(),
            _lock: lock,
        };
        let runtime = Self { inner: Arc::new(inner) };
        let sessions = Arc::new(LocalSessions::new(&runtime));
        let server = StreamingServer::start(sessions, &runtime.inner.tasks).await.map_err(Error::Streaming)?;
        runtime.inner.streaming.get_or_init(|| server);
        runtime.recover().await.map_err(Error::Recover)?;
        Ok(runtime)
    }

    pub(crate) fn streaming(&self) -> cri::Result<&StreamingServer> {
        self.inner.streaming.get().ok_or_else(|| CriError::unavailable("the streaming server is not up"))
    }

    /// The image store, for imports.
    pub fn images(&self) -> &Images {
        &self.inner.images
    }

    pub(crate) fn sandboxes(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Sandbox>>> {
        self.inner.sandboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn containers(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Container>>> {
        self.inner.containers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn find_sandbox(&self, id: &str) -> Option<Arc<Sandbox>> {
        let sandboxes = self.sandboxes();
        naming::complete(sandboxes.keys(), id).and_then(|id| sandboxes.get(id)).cloned()
    }

    pub(crate) fn find_container(&self, id: &str) -> Option<Arc<Container>> {
        let containers = self.containers();
        naming::complete(containers.keys(), id).and_then(|id| containers.get(id)).cloned()
    }

    pub(crate) fn container(&self, id: &str) -> cri::Result<Arc<Container>> {
        let missing =
            || CriError::not_found(format!("an error occurred when try to find container \"{id}\": not found"));
        self.find_container(id).ok_or_else(missing)
    }

    pub(crate) fn containers_of(&self, sandbox: &str) -> Vec<Arc<Container>> {
        self.containers().values().filter(|c| c.record.sandbox == sandbox).cloned().collect()
    }

    pub(crate) fn add_sandbox(&self, sandbox: Sandbox) {
        self.sandboxes().insert(sandbox.record.id.clone(), Arc::new(sandbox));
    }

    pub(crate) fn drop_sandbox(&self, id: &str) {
        self.sandboxes().remove(id);
    }

    pub(crate) fn add_container(&self, container: Container) {
        self.containers().insert(container.record.id.clone(), Arc::new(container));
    }

    pub(crate) fn drop_container(&self, id: &str) {
        self.containers().remove(id);
    }

    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> cri::Result<T> {
        tokio::task::spawn_blocking(work).await.map_err(|_| CriError::internal("a task of the runtime died"))
    }

    /// Tells listeners what happened, with the pod's whole status as it is now.
    pub(crate) fn tell(&self, sandbox: &str, id: &str, kind: v1::ContainerEventType) {
        let status = self.find_sandbox(sandbox).map(|s| s.cri_status());
        let containers = self.containers_of(sandbox).iter().map(|c| c.cri_status()).collect();
        self.inner.events.tell(v1::ContainerEventResponse {
            container_id: id.to_owned(),
            container_event_type: kind as i32,
            created_at: now(),
            pod_sandbox_status: status,
            containers_statuses: containers,
        });
    }

    /// What to do with a shim's messages. Holds no runtime alive.
    pub(crate) fn listener(&self, sandbox: &str) -> impl Fn(Told) + Send + Sync + 'static {
        let runtime: Weak<Inner> = Arc::downgrade(&self.inner);
        let sandbox = sandbox.to_owned();
        move |told| {
            let Some(inner) = runtime.upgrade() else { return };
            let runtime = Runtime { inner };
            match told {
                Told::Message(FromShim::Exited { container, status }) => runtime.exited(&container, status),
                Told::Message(FromShim::ExecExited { exec, code }) => runtime.inner.execs.ended(&exec, code),
                Told::Message(FromShim::Done { .. }) => {}
                Told::Gone => runtime.shim_gone(&sandbox),
            }
        }
    }

    fn exited(&self, id: &str, status: Status) {
        let Some(container) = self.find_container(id) else { return };
        if container.ended(status) {
            self.after_end(&container);
        }
    }

    fn after_end(&self, container: &Arc<Container>) {
        let record = &container.record;
        let (runtime, group) = (self.clone(), record.cgroup.clone());
        self.inner.tasks.spawn(async move { runtime.clean_cgroup(group).await });
        self.tell(&record.sandbox, &record.id, v1::ContainerEventType::ContainerStoppedEvent);
    }

    /// The shim ended, told to or not: what ran in it is gone.
    fn shim_gone(&self, sandbox: &str) {
        for container in self.containers_of(sandbox) {
            if container.state().status.started_at != 0 && container.lost() {
                self.after_end(&container);
            }
        }
        if let Some(found) = self.find_sandbox(sandbox) {
            found.lose_shim();
            self.tell(sandbox, sandbox, v1::ContainerEventType::ContainerStoppedEvent);
        }
    }

    async fn recover(&self) -> cri::Result<()> {
        let failed = |error: std::io::Error| CriError::internal(error.to_string());
        for folder in folders(&self.inner.layout.sandboxes()).map_err(failed)? {
            match disk::read::<SandboxRecord>(&folder.join("sandbox.json")).map_err(failed)? {
                Some(record) => self.recover_sandbox(record).await?,
                None => self.discard(&folder, &folder.join("shm")).map_err(failed)?,
            }
        }
        for folder in folders(&self.inner.layout.containers()).map_err(failed)? {
            match disk::read::<ContainerRecord>(&folder.join("container.json")).map_err(failed)? {
                Some(record) => self.recover_container(record).map_err(failed)?,
                None => self.discard(&folder, &folder.join("rootfs")).map_err(failed)?,
            }
        }
        let alive: BTreeSet<String> = self
            .sandboxes()
            .values()
            .filter(|sandbox| sandbox.is_ready())
            .map(|sandbox| sandbox.record.id.clone())
            .collect();
        self.inner.network.retain(&alive).await.map_err(|e| CriError::internal(e.to_string()))?;
        let runtime = self.clone();
        let freed = self.blocking(move || runtime.collect_garbage()).await?;
        freed.map_err(|e| CriError::internal(e.to_string())).map(|_| ())
    }

    /// Removes a folder whose record never came to be.
    fn discard(&self, folder: &std::path::Path, mount: &std::path::Path) -> std::io::Result<()> {
        mounts::unmount(mount)?;
        disk::remove_tree(folder)
    }

    async fn recover_sandbox(&self, record: SandboxRecord) -> cri::Result<()> {
        let socket = self.inner.layout.socket(&record.id);
        let shim = Shim::find(&socket, &self.inner.tasks, self.listener(&record.id)).await;
        let shim = match shim {
            Ok(shim) => shim,
            Err(error) => {
                tracing::warn!(sandbox = record.id, %error, "cannot talk to the shim of a pod");
                None
            }
        };
        match shim {
            Some(shim) if !record.ready => {
                // The daemon died while starting it: the kubelet never learned its name.
                end(&shim).await;
                self.add_sandbox(Sandbox::new(record, None));
            }
            shim => self.add_sandbox(Sandbox::new(record, shim)),
        }
        Ok(())
    }

    fn recover_container(&self, record: ContainerRecord) -> std::io::Result<()> {
        let folder = self.inner.layout.container(&record.id);
        let status: Status = disk::read(&folder.join("status.json"))?.unwrap_or_default();
        let alive = self.find_sandbox(&record.sandbox).is_some_and(|s| s.shim().is_some());
        let container = Container::new(record, State { status });
        if !alive && container.lost() {
            // A shim that was killed alone leaves its containers behind; nobody holds their output any more.
            cgroup::kill_all(&self.kill_directories(&container.record.cgroup));
            disk::write(&folder.join("status.json"), &container.state().status)?;
        }
        if container.state().status.finished_at != 0 {
            cgroup::remove(&self.inner.hierarchies.directories(&container.record.cgroup))?;
        }
        self.add_container(container);
        Ok(())
    }

    /// Frees layers no image and no container needs.
    pub(crate) fn collect_garbage(&self) -> images::Result<usize> {
        let in_use: HashSet<PathBuf> =
            self.containers().values().flat_map(|c| c.record.lower.iter().cloned()).collect();
        self.inner.images.collect_garbage(&in_use)
    }
}

fn private(folder: &std::path::Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    // Others may pass through to an image's files, which containers of other users need, but not list.
    fs::set_permissions(folder, fs::Permissions::from_mode(0o711)).map_err(Error::io("protect", folder))
}

fn folders(path: &std::path::Path) -> std::io::Result<Vec<PathBuf>> {
    fs::read_dir(path)?.map(|entry| entry.map(|e| e.path())).collect()
}
