//! Pods as the kubelet asks for them.

use std::{path::PathBuf, sync::Mutex, time::Duration};

use anyhow::Context as _;
use container_runtime::Runtime;
use cri::{RuntimeService as _, v1};
use tokio::time::Instant;

/// What the API server's defaults hide of `/proc` and `/sys`.
const MASKED: [&str; 9] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
];
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// How long each step of a pod's start took.
pub(crate) struct Timing {
    pub(crate) sandbox: Duration,
    pub(crate) create: Duration,
    pub(crate) start: Duration,
}

pub(crate) struct Pods {
    runtime: Runtime,
    logs: PathBuf,
    seccomp: v1::SecurityProfile,
    started: Mutex<Vec<String>>,
}

impl Pods {
    pub(crate) fn new(runtime: Runtime, logs: PathBuf, unconfined: bool) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&logs)?;
        std::fs::write(logs.join("hosts"), "127.0.0.1 localhost\n")?;
        std::fs::write(logs.join("termination-log"), "")?;
        let kind = if unconfined {
            v1::security_profile::ProfileType::Unconfined
        } else {
            v1::security_profile::ProfileType::RuntimeDefault
        };
        let seccomp = v1::SecurityProfile { profile_type: kind as i32, localhost_ref: String::new() };
        Ok(Self { runtime, logs, seccomp, started: Mutex::default() })
    }

    fn sandbox(&self, name: &str) -> v1::PodSandboxConfig {
        v1::PodSandboxConfig {
            metadata: Some(v1::PodSandboxMetadata {
                name: name.into(),
                uid: format!("uid-{name}"),
                namespace: "default".into(),
                attempt: 0,
            }),
            hostname: name.into(),
            log_directory: self.logs.join(name).display().to_string(),
            dns_config: Some(v1::DnsConfig { servers: vec!["10.96.0.10".into()], ..v1::DnsConfig::default() }),
            linux: Some(v1::LinuxPodSandboxConfig {
                cgroup_parent: format!("/kubepods/besteffort/pod{name}"),
                security_context: Some(v1::LinuxSandboxSecurityContext {
                    namespace_options: Some(namespaces()),
                    ..v1::LinuxSandboxSecurityContext::default()
                }),
                ..v1::LinuxPodSandboxConfig::default()
            }),
            ..v1::PodSandboxConfig::default()
        }
    }

    fn container(&self) -> v1::ContainerConfig {
        let mount = |file: &str, inside: &str| v1::Mount {
            container_path: inside.into(),
            host_path: self.logs.join(file).display().to_string(),
            ..v1::Mount::default()
        };
        let text = |list: &[&str]| list.iter().map(|path| (*path).to_owned()).collect();
        v1::ContainerConfig {
            metadata: Some(v1::ContainerMetadata { name: "main".into(), attempt: 0 }),
            image: Some(v1::ImageSpec { image: crate::image::NAME.into(), ..v1::ImageSpec::default() }),
            command: vec!["sleep".into(), "100000".into()],
            log_path: "main.log".into(),
            mounts: vec![mount("hosts", "/etc/hosts"), mount("termination-log", "/dev/termination-log")],
            linux: Some(v1::LinuxContainerConfig {
                resources: Some(v1::LinuxContainerResources { cpu_shares: 2, ..Default::default() }),
                security_context: Some(v1::LinuxContainerSecurityContext {
                    namespace_options: Some(namespaces()),
                    masked_paths: text(&MASKED),
                    readonly_paths: text(&READ_ONLY),
                    seccomp: Some(self.seccomp.clone()),
                    ..v1::LinuxContainerSecurityContext::default()
                }),
            }),
            ..v1::ContainerConfig::default()
        }
    }

    /// Starts a pod of one container.
    pub(crate) async fn start(&self, name: String) -> anyhow::Result<Timing> {
        let config = self.sandbox(&name);
        let begun = Instant::now();
        let request = v1::RunPodSandboxRequest { config: Some(config.clone()), ..Default::default() };
        let sandbox = self.runtime.run_pod_sandbox(request).await.context("run_pod_sandbox")?.pod_sandbox_id;
        let sandboxed = Instant::now();
        let request = v1::CreateContainerRequest {
            pod_sandbox_id: sandbox.clone(),
            config: Some(self.container()),
            sandbox_config: Some(config),
        };
        let id = self.runtime.create_container(request).await.context("create_container")?.container_id;
        let created = Instant::now();
        self.runtime
            .start_container(v1::StartContainerRequest { container_id: id })
            .await
            .context("start_container")?;
        let started = Instant::now();
        self.started.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(sandbox);
        Ok(Timing { sandbox: sandboxed - begun, create: created - sandboxed, start: started - created })
    }

    /// Removes every pod; answers how many there were.
    pub(crate) async fn remove_all(&self) -> anyhow::Result<usize> {
        let pods = std::mem::take(&mut *self.started.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        for pod in &pods {
            let request = v1::StopPodSandboxRequest { pod_sandbox_id: pod.clone() };
            self.runtime.stop_pod_sandbox(request).await.context("stop_pod_sandbox")?;
            let request = v1::RemovePodSandboxRequest { pod_sandbox_id: pod.clone() };
            self.runtime.remove_pod_sandbox(request).await.context("remove_pod_sandbox")?;
        }
        Ok(pods.len())
    }
}

fn namespaces() -> v1::NamespaceOption {
    v1::NamespaceOption { pid: v1::NamespaceMode::Container as i32, ..v1::NamespaceOption::default() }
}
