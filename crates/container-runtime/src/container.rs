//! Containers: made, started, stopped, removed.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use cri::{CriError, v1};
use images::ImageConfig;
use nix::sys::signal::Signal;
use tokio::{sync::watch, time::timeout};

use crate::{
    cgroup, devices,
    disk::{self, ContainerRecord},
    error::internal,
    mounts, naming,
    protocol::{Call, Start, Status, now},
    runtime::Runtime,
    sandbox::Sandbox,
    seccomp::Confinement,
    spec::{self, Confine, Parts},
};

/// After SIGKILL the kernel takes a container's processes away, unless one hangs in the kernel itself.
const KILL_TIMEOUT: Duration = Duration::from_secs(30);
/// What containerd and so the kubelet show for a container whose end nobody saw, and one that never started.
const UNKNOWN_EXIT: i32 = 255;
const START_FAILED_EXIT: i32 = 128;

type Result<T> = std::result::Result<T, CriError>;

/// What changes in a container's life.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    pub(crate) status: Status,
}

#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) record: ContainerRecord,
    state: watch::Sender<State>,
    resources: Mutex<v1::LinuxContainerResources>,
    pub(crate) changing: tokio::sync::Mutex<()>,
}

impl Container {
    pub(crate) fn new(record: ContainerRecord, state: State) -> Self {
        let resources = record.config.linux.as_ref().and_then(|l| l.resources.clone()).unwrap_or_default();
        Self {
            record,
            state: watch::Sender::new(state),
            resources: Mutex::new(resources),
            changing: tokio::sync::Mutex::new(()),
        }
    }

    pub(crate) fn state(&self) -> State {
        self.state.borrow().clone()
    }

    pub(crate) fn is_running(&self) -> bool {
        self.state().cri() == v1::ContainerState::ContainerRunning
    }

    pub(crate) fn resources(&self) -> v1::LinuxContainerResources {
        self.resources.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_resources(&self, to: v1::LinuxContainerResources) {
        *self.resources.lock().unwrap_or_else(PoisonError::into_inner) = to;
    }

    fn set(&self, status: Status) {
        self.state.send_replace(State { status });
    }

    /// Takes the end its shim tells of; answers whether it was news.
    pub(crate) fn ended(&self, status: Status) -> bool {
        self.state.send_if_modified(|state| {
            let news = state.status.finished_at == 0 && status.finished_at != 0;
            if news {
                state.status = status;
            }
            news
        })
    }

    /// Its shim is gone: nobody will ever know how it ended. Answers whether it was news.
    pub(crate) fn lost(&self) -> bool {
        self.state.send_if_modified(|state| {
            if state.status.finished_at != 0 {
                return false;
            }
            state.status.finished_at = now();
            state.status.exit_code = UNKNOWN_EXIT;
            state.status.reason = "Unknown".into();
            true
        })
    }

    /// Waits for the end.
    async fn wait(&self) {
        let mut changes = self.state.subscribe();
        // The sender lives as long as we do.
        drop(changes.wait_for(|state| state.status.finished_at != 0).await);
    }
}

/// The image's signal, by name or number; SIGTERM if it names none we know.
fn stop_signal(image: &ImageConfig) -> i32 {
    let name = image.stop_signal.to_uppercase();
    let full = if name.starts_with("SIG") { name.clone() } else { format!("SIG{name}") };
    let found = name.parse::<i32>().ok().or_else(|| full.parse::<Signal>().ok().map(|signal| signal as i32));
    found.unwrap_or(Signal::SIGTERM as i32)
}

impl Runtime {
    pub(crate) async fn create_container(&self, request: v1::CreateContainerRequest) -> Result<String> {
        let sandbox = self.find_sandbox(&request.pod_sandbox_id).ok_or_else(|| {
            CriError::not_found(format!("failed to find sandbox id \"{}\": not found", request.pod_sandbox_id))
        })?;
        let config = request.config.ok_or_else(|| CriError::invalid_argument("container config is missing"))?;
        if config.metadata.is_none() {
            return Err(CriError::invalid_argument("container config must include metadata"));
        }
        if !sandbox.is_ready() {
            return Err(CriError::failed_precondition(format!("sandbox \"{}\" is not running", sandbox.record.id)));
        }
        if !config.cdi_devices.is_empty() {
            return Err(CriError::unimplemented("CDI devices are not supported by this runtime"));
        }
        let taken =
            self.containers_of(&sandbox.record.id).into_iter().find(|c| c.record.config.metadata == config.metadata);
        if let Some(other) = taken {
            return Err(CriError::already_exists(format!(
                "failed to reserve container name: it is reserved for \"{}\"",
                other.record.id
            )));
        }
        let id = naming::new_id();
        let runtime = self.clone();
        let of = sandbox.clone();
        let new = id.clone();
        let made = self.blocking(move || runtime.make_container(new, &of, config)).await?;
        if made.is_err() {
            let (folder, rootfs) = (self.inner.layout.container(&id), self.inner.layout.rootfs(&id));
            let cleaned =
                self.blocking(move || mounts::unmount(&rootfs).and_then(|()| disk::remove_tree(&folder))).await?;
            if let Err(error) = cleaned {
                tracing::warn!(container = id, %error, "cannot clean up a container that could not be made");
            }
        }
        self.add_container(made?);
        self.tell(&sandbox.record.id, &id, v1::ContainerEventType::ContainerCreatedEvent);
        Ok(id)
    }

    fn make_container(&self, id: String, sandbox: &Sandbox, config: v1::ContainerConfig) -> Result<Container> {
        let name = config.image.as_ref().map(|image| image.image.clone()).unwrap_or_default();
        let image = self
            .inner
            .images
            .find(&name)
            .map_err(internal("cannot read the image index"))?
            .ok_or_else(|| CriError::not_found(format!("failed to resolve image \"{name}\": not found")))?;
        let layout = &self.inner.layout;
        let (folder, rootfs) = (layout.container(&id), layout.rootfs(&id));
        let log = if config.log_path.is_empty() || sandbox.record.config.log_directory.is_empty() {
            None
        } else {
            Some(Path::new(&sandbox.record.config.log_directory).join(&config.log_path))
        };
        let record = ContainerRecord {
            cgroup: self.cgroup(&sandbox.record.config, &id),
            id,
            sandbox: sandbox.record.id.clone(),
            created_at: now(),
            image_id: image.id.clone(),
            image_ref: image.id.clone(),
            stop_signal: stop_signal(&image.config),
            log,
            lower: self.inner.images.lower_directories(&image),
            config,
        };
        self.lay_out(&record, &folder, &rootfs)
            .map_err(internal("failed to create the container's root file system"))?;
        let (spec, confine) = self.parts(&record, sandbox, &image.config, &rootfs)?.build()?;
        let confined = match confine {
            Some(confine) => {
                let filter = self.inner.filters.of(confine.profile);
                let filter = filter.map_err(|error| CriError::invalid_argument(error.to_string()))?;
                Some(Confinement { filter: (*filter).clone(), keep: confine.keep })
            }
            None => None,
        };
        let written = confined
            .map_or(Ok(()), |confinement| confinement.write(&layout.filter(&record.id)))
            .and_then(|()| disk::write(&folder.join("config.json"), &spec))
            .and_then(|()| disk::write(&folder.join("image.json"), &image.config))
            .and_then(|()| disk::write(&folder.join("container.json"), &record));
        written.map_err(internal("cannot write the container's record"))?;
        Ok(Container::new(record, State::default()))
    }

    fn lay_out(&self, record: &ContainerRecord, folder: &Path, rootfs: &Path) -> io::Result<()> {
        let (upper, work) = (folder.join("upper"), folder.join("work"));
        for dir in [folder, rootfs, &upper, &work] {
            fs::create_dir_all(dir)?;
        }
        if let Some(log) = record.log.as_ref().and_then(|log| log.parent()) {
            fs::create_dir_all(log)?;
        }
        mounts::overlay(&record.lower, &upper, &work, rootfs)
    }

    pub(crate) fn parts<'a>(
        &'a self,
        record: &'a ContainerRecord,
        sandbox: &'a Sandbox,
        image: &'a ImageConfig,
        rootfs: &'a Path,
    ) -> Result<OwnedParts<'a>> {
        let shim = sandbox.shim().ok_or_else(|| CriError::failed_precondition("the sandbox is not running"))?;
        let target = record
            .config
            .linux
            .as_ref()
            .and_then(|l| l.security_context.as_ref()?.namespace_options.clone())
            .filter(|options| options.pid == v1::NamespaceMode::Target as i32)
            .map(|options| options.target_id);
        let target = match target {
            Some(id) => {
                let target = self.find_container(&id).filter(|c| c.is_running());
                let missing = || CriError::invalid_argument(format!("target container \"{id}\" is not running"));
                Some(target.ok_or_else(missing)?.state().status.pid)
            }
            None => None,
        };
        Ok(OwnedParts {
            hierarchies: &self.inner.hierarchies,
            folder: self.inner.layout.sandbox(&sandbox.record.id),
            cgroup_v1: self.inner.hierarchies.named_v1(&record.cgroup),
            record,
            sandbox,
            image,
            rootfs,
            shim: shim.pid(),
            init: shim.init(),
            target,
        })
    }

    pub(crate) async fn start_container(&self, id: &str) -> Result<()> {
        let container = self.container(id)?;
        let _changing = container.changing.lock().await;
        let state = container.state().cri();
        if state != v1::ContainerState::ContainerCreated {
            return Err(CriError::failed_precondition(format!(
                "container \"{}\" is in {} state",
                container.record.id,
                state.as_str_name()
            )));
        }
        let record = &container.record;
        let sandbox = self.find_sandbox(&record.sandbox).and_then(|s| s.shim());
        let shim = sandbox.ok_or_else(|| {
            CriError::failed_precondition(format!("sandbox container \"{}\" is not running", record.sandbox))
        })?;
        let start = Start {
            container: record.id.clone(),
            bundle: self.inner.layout.container(&record.id),
            state: self.inner.layout.libcontainer(),
            log: record.log.clone(),
            tty: record.config.tty,
            stdin: record.config.stdin,
            stdin_once: record.config.stdin_once,
            cgroups: self.kill_directories(&record.cgroup),
            propagating: spec::propagating(&record.config),
            filter: spec::is_confined(&record.config).then(|| self.inner.layout.filter(&record.id)),
        };
        let started = match self.confine_devices(record).await {
            Ok(()) => shim.call(Call::Start(start)).await,
            Err(error) => Err(error),
        };
        match started {
            Ok(pid) => {
                // It may have ended already; then the end, told meanwhile, stands.
                let path = self.inner.layout.container(&record.id).join("status.json");
                let written = disk::read::<Status>(&path).map_err(internal("cannot read the container's status"))?;
                let status = written.unwrap_or(Status { pid, started_at: now(), ..Status::default() });
                container.state.send_if_modified(|state| {
                    let news = state.status.started_at == 0;
                    if news && status.finished_at == 0 {
                        state.status = status;
                    } else if news {
                        // Its end is on the way as an event, which tells listeners.
                        state.status = Status { finished_at: 0, ..status };
                    }
                    news
                });
                self.tell(&record.sandbox, &record.id, v1::ContainerEventType::ContainerStartedEvent);
                Ok(())
            }
            Err(error) => Err(self.failed_to_start(&container, &error).await),
        }
    }

    /// Under version 2. The group is made for it, and is there when libcontainer wants it.
    async fn confine_devices(&self, record: &ContainerRecord) -> Result<()> {
        let hierarchies = self.inner.hierarchies.clone();
        let (Some(directory), Some(rules)) = (
            hierarchies.v2.as_ref().and_then(|_| hierarchies.directory("devices", &record.cgroup)),
            spec::devices(&record.config),
        ) else {
            return Ok(());
        };
        let group = record.cgroup.clone();
        let confined = self.blocking(move || {
            cgroup::make(&hierarchies, &group)?;
            devices::confine(&directory, &rules)
        });
        confined.await?.map_err(|error| CriError::unknown(format!("cannot limit the container's devices: {error}")))
    }

    async fn failed_to_start(&self, container: &Arc<Container>, error: &CriError) -> CriError {
        let record = &container.record;
        let message = start_message(error.message());
        let time = now();
        let status = Status {
            started_at: time,
            finished_at: time,
            exit_code: START_FAILED_EXIT,
            message: message.clone(),
            reason: "StartError".into(),
            ..Status::default()
        };
        let path = self.inner.layout.container(&record.id).join("status.json");
        if let Err(error) = disk::write(&path, &status) {
            tracing::warn!(container = record.id, %error, "cannot write the status of a container that did not start");
        }
        container.set(status);
        self.clean_cgroup(record.cgroup.clone()).await;
        self.tell(&record.sandbox, &record.id, v1::ContainerEventType::ContainerStoppedEvent);
        CriError::unknown(message)
    }

    /// Where to look for a container's processes: few places, since each holds all of them.
    pub(crate) fn kill_directories(&self, group: &Path) -> Vec<PathBuf> {
        let hierarchies = &self.inner.hierarchies;
        let mut list: Vec<PathBuf> =
            ["memory", "pids"].iter().filter_map(|c| hierarchies.directory(c, group)).collect();
        list.dedup();
        list
    }

    pub(crate) async fn clean_cgroup(&self, group: PathBuf) {
        let directories = self.inner.hierarchies.directories(&group);
        let holding = self.kill_directories(&group);
        let removed = self
            .blocking(move || {
                cgroup::kill_all(&holding);
                cgroup::remove(&directories)
            })
            .await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(group = %group.display(), %error, "cannot remove a container's cgroup");
        }
    }

    /// Stops a container: its stop signal, the grace period, then SIGKILL for all of it. Idempotent.
    pub(crate) async fn stop(&self, container: &Arc<Container>, grace: Duration) -> Result<()> {
        if !container.is_running() {
            return Ok(());
        }
        let record = &container.record;
        let Some(shim) = self.find_sandbox(&record.sandbox).and_then(|s| s.shim()) else {
            // Without its shim it cannot run.
            container.lost();
            return Ok(());
        };
        let signal = |signal: i32, all: bool| Call::Signal { container: record.id.clone(), signal, all };
        if !grace.is_zero() {
            match shim.call(signal(record.stop_signal, false)).await {
                Ok(_) => {}
                Err(error) => tracing::debug!(container = record.id, %error, "cannot send the stop signal"),
            }
            if timeout(grace, container.wait()).await.is_ok() {
                return Ok(());
            }
        }
        shim.call(signal(Signal::SIGKILL as i32, true)).await?;
        timeout(KILL_TIMEOUT, container.wait())
            .await
            .map_err(|_| CriError::deadline_exceeded(format!("container \"{}\" does not end after SIGKILL", record.id)))
    }

    /// Removes a container, killing it if it runs. Idempotent.
    pub(crate) async fn remove(&self, container: &Arc<Container>) -> Result<()> {
        self.stop(container, Duration::ZERO).await?;
        let _changing = container.changing.lock().await;
        let record = &container.record;
        let id = record.id.clone();
        if let Some(shim) = self.find_sandbox(&record.sandbox).and_then(|s| s.shim()) {
            shim.call(Call::Delete { container: id.clone() }).await?;
        }
        let layout = self.inner.layout.clone();
        let directories = self.inner.hierarchies.directories(&record.cgroup);
        let removed = self.blocking({
            let id = id.clone();
            move || {
                cgroup::kill_all(&directories);
                cgroup::remove(&directories)?;
                mounts::unmount(&layout.rootfs(&id))?;
                disk::remove_tree(&layout.libcontainer().join(&id))?;
                disk::remove_tree(&layout.container(&id))
            }
        });
        removed.await?.map_err(internal(format!("cannot remove container {id}")))?;
        self.tell(&record.sandbox, &id, v1::ContainerEventType::ContainerDeletedEvent);
        self.drop_container(&id);
        Ok(())
    }
}

/// What a specification is made of, with what had to be looked up.
pub(crate) struct OwnedParts<'a> {
    folder: PathBuf,
    cgroup_v1: Vec<(String, PathBuf)>,
    hierarchies: &'a cgroup::Hierarchies,
    record: &'a ContainerRecord,
    sandbox: &'a Sandbox,
    image: &'a ImageConfig,
    rootfs: &'a Path,
    shim: i32,
    init: Option<i32>,
    target: Option<i32>,
}

impl OwnedParts<'_> {
    fn parts(&self) -> Parts<'_> {
        Parts {
            config: &self.record.config,
            sandbox: &self.sandbox.record.config,
            image: self.image,
            rootfs: self.rootfs,
            sandbox_folder: &self.folder,
            cgroup: &self.record.cgroup,
            cgroup_v1: self.cgroup_v1.clone(),
            hierarchies: self.hierarchies,
            shim: self.shim,
            init: self.init,
            target: self.target,
        }
    }

    fn build(&self) -> Result<(serde_json::Value, Option<Confine>)> {
        self.parts().build()
    }

    /// The process of a command run in the container.
    pub(crate) fn command(&self, command: &[String], tty: bool) -> Result<serde_json::Value> {
        self.parts().command(command, tty)
    }
}

/// The error of a start in the words people search for.
fn start_message(error: &str) -> String {
    format!("failed to create task: failed to create shim task: OCI runtime create failed: {error}: unknown")
}
