//! A node to test on: a runtime in a network namespace of its own.

use std::{path::PathBuf, process::Command, time::Duration};

use container_runtime::{Config, Runtime};
use cri::{RuntimeService as _, v1};
use nix::sched::{CloneFlags, unshare};
use tokio::time::Instant;

pub(crate) type Scenario = fn(&Node) -> futures::future::LocalBoxFuture<'_, ()>;

/// Longest a condition may take on a loaded machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(90);

pub(crate) struct Node {
    pub(crate) folder: tempfile::TempDir,
    cgroup: PathBuf,
}

/// Runs a scenario in a fork-free child of its own, so that it may change namespaces: the test binary again.
pub(crate) fn in_own_process(name: &str, scenario: Scenario) -> Result<(), String> {
    if std::env::var_os("KNARR_SCENARIO").is_some() {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).map_err(|e| format!("unshare: {e}"))?;
        run("mount", &["--make-rprivate", "/"])?;
        run("ip", &["link", "set", "lo", "up"])?;
        let node = Node::new();
        let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| tokio.block_on(scenario(&node))));
        let cleaned = tokio.block_on(container_runtime::teardown_all(&node.config(), true));
        if let Err(error) = done {
            let text = error
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| error.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            return Err(text.unwrap_or_else(|| "panicked".into()));
        }
        cleaned.map_err(|e| format!("teardown: {e}"))?;
        return node.nothing_left();
    }
    let output =
        Command::new("/proc/self/exe").arg(name).env("KNARR_SCENARIO", "1").output().map_err(|e| e.to_string())?;
    if output.status.success() {
        if std::env::var_os("KNARR_SHOW").is_some() {
            println!("{}", String::from_utf8_lossy(&output.stdout));
        }
        return Ok(());
    }
    Err(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let status = Command::new(program).args(arguments).status().map_err(|e| format!("{program}: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("{program} {arguments:?}: {status}")) }
}

impl Node {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("krt").tempdir().unwrap();
        let cgroup = PathBuf::from(format!("/knarr-test-{}", std::process::id()));
        Self { folder, cgroup }
    }

    pub(crate) fn config(&self) -> Config {
        let root = self.folder.path().join("root");
        Config {
            state: self.folder.path().join("run"),
            cgroup_root: self.cgroup.clone(),
            network: cni::Config::new("10.77.0.0/24".parse().unwrap(), root.join("network")),
            registries: images::Registries::default(),
            shim_command: ("/proc/self/exe".into(), vec!["shim".into()]),
            root,
        }
    }

    /// A runtime with the busybox image.
    pub(crate) async fn runtime(&self) -> Runtime {
        let runtime = Runtime::start(self.config()).await.unwrap();
        if runtime.images().find("test/busybox:1").unwrap().is_none() {
            runtime.images().import(&crate::bundle::busybox(self.folder.path())).unwrap();
        }
        runtime
    }

    /// Another daemon after one that was dropped, as soon as nothing of that one is left.
    pub(crate) async fn next_runtime(&self) -> Runtime {
        let mut next = None;
        eventually("the old runtime is gone", async || {
            next = Runtime::start(self.config()).await.ok();
            next.is_some()
        })
        .await;
        next.unwrap()
    }

    /// The name of the cgroup directory of this node in one hierarchy.
    fn cgroups(&self) -> Vec<PathBuf> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let is_cgroup = |line: &&str| line.contains(" - cgroup");
        let mounts = mounts.lines().filter(is_cgroup).filter_map(|line| line.split(' ').nth(4));
        mounts.map(|mount| PathBuf::from(mount).join(self.cgroup.strip_prefix("/").unwrap())).collect()
    }

    fn nothing_left(&self) -> Result<(), String> {
        for path in self.cgroups() {
            let left = walk(&path);
            for group in &left {
                let procs = std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
                if !procs.is_empty() {
                    return Err(format!("processes left in {}: {procs}", group.display()));
                }
                std::fs::remove_dir(group).map_err(|e| format!("{}: {e}", group.display()))?;
            }
        }
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let folder = self.folder.path().display().to_string();
        match mounts.lines().find(|line| line.contains(&folder)) {
            Some(line) => Err(format!("a mount is left: {line}")),
            None => Ok(()),
        }
    }
}

pub(crate) fn is_v2() -> bool {
    std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// Where groups of a controller are, on this machine and, for its own group, in a container.
pub(crate) fn hierarchy(controller: &str) -> PathBuf {
    PathBuf::from("/sys/fs/cgroup").join(if is_v2() { "" } else { controller })
}

/// Deepest first.
fn walk(path: &std::path::Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    if let Ok(entries) = std::fs::read_dir(path) {
        for entry in entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())) {
            found.extend(walk(&entry.path()));
        }
        found.push(path.to_owned());
    }
    found
}

/// Asks again until it holds or the deadline passes.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let until = Instant::now() + DEADLINE;
    while !holds().await {
        assert!(Instant::now() < until, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn sandbox_config(name: &str, logs: &std::path::Path) -> v1::PodSandboxConfig {
    v1::PodSandboxConfig {
        metadata: Some(v1::PodSandboxMetadata {
            name: name.into(),
            uid: format!("uid-{name}"),
            namespace: "default".into(),
            attempt: 0,
        }),
        hostname: name.into(),
        log_directory: logs.display().to_string(),
        dns_config: Some(v1::DnsConfig { servers: vec!["10.96.0.10".into()], ..v1::DnsConfig::default() }),
        labels: [("app".to_owned(), name.to_owned())].into(),
        linux: Some(v1::LinuxPodSandboxConfig {
            cgroup_parent: format!("/kubepods/pod-{name}"),
            security_context: Some(v1::LinuxSandboxSecurityContext {
                namespace_options: Some(namespaces()),
                ..v1::LinuxSandboxSecurityContext::default()
            }),
            ..v1::LinuxPodSandboxConfig::default()
        }),
        ..v1::PodSandboxConfig::default()
    }
}

/// What the kubelet asks for by default: own network and IPC for the pod, own processes per container.
pub(crate) fn namespaces() -> v1::NamespaceOption {
    v1::NamespaceOption { pid: v1::NamespaceMode::Container as i32, ..v1::NamespaceOption::default() }
}

pub(crate) fn container_config(name: &str, script: &str) -> v1::ContainerConfig {
    v1::ContainerConfig {
        metadata: Some(v1::ContainerMetadata { name: name.into(), attempt: 0 }),
        image: Some(v1::ImageSpec { image: "test/busybox:1".into(), ..v1::ImageSpec::default() }),
        command: vec!["sh".into(), "-c".into(), script.into()],
        log_path: format!("{name}.log"),
        linux: Some(v1::LinuxContainerConfig {
            security_context: Some(v1::LinuxContainerSecurityContext {
                namespace_options: Some(namespaces()),
                ..v1::LinuxContainerSecurityContext::default()
            }),
            ..v1::LinuxContainerConfig::default()
        }),
        ..v1::ContainerConfig::default()
    }
}

pub(crate) async fn run_sandbox(runtime: &Runtime, config: &v1::PodSandboxConfig) -> String {
    let request = v1::RunPodSandboxRequest { config: Some(config.clone()), ..v1::RunPodSandboxRequest::default() };
    runtime.run_pod_sandbox(request).await.unwrap().pod_sandbox_id
}

pub(crate) async fn create(
    runtime: &Runtime,
    sandbox: &str,
    config: v1::ContainerConfig,
    of: &v1::PodSandboxConfig,
) -> String {
    let request = v1::CreateContainerRequest {
        pod_sandbox_id: sandbox.into(),
        config: Some(config),
        sandbox_config: Some(of.clone()),
    };
    runtime.create_container(request).await.unwrap().container_id
}

pub(crate) async fn start(runtime: &Runtime, id: &str) {
    runtime.start_container(v1::StartContainerRequest { container_id: id.into() }).await.unwrap();
}

pub(crate) async fn status(runtime: &Runtime, id: &str) -> v1::ContainerStatus {
    let request = v1::ContainerStatusRequest { container_id: id.into(), verbose: false };
    runtime.container_status(request).await.unwrap().status.unwrap()
}

pub(crate) async fn exited(runtime: &Runtime, id: &str) -> v1::ContainerStatus {
    eventually("the container exits", async || {
        status(runtime, id).await.state == v1::ContainerState::ContainerExited as i32
    })
    .await;
    status(runtime, id).await
}

pub(crate) async fn exec(runtime: &Runtime, id: &str, script: &str) -> v1::ExecSyncResponse {
    let cmd = vec!["sh".into(), "-c".into(), script.into()];
    let request = v1::ExecSyncRequest { container_id: id.into(), cmd, timeout: 60 };
    cri::RuntimeService::exec_sync(runtime, request).await.unwrap()
}

pub(crate) async fn output(runtime: &Runtime, id: &str, script: &str) -> String {
    let done = exec(runtime, id, script).await;
    assert_eq!(done.exit_code, 0, "{script}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

/// The texts of a container's log, without times.
pub(crate) fn log_lines(folder: &std::path::Path, name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join(format!("{name}.log"))).unwrap_or_default();
    text.lines().filter_map(|line| line.split_once(' ').map(|(_, rest)| rest.to_owned())).collect()
}
