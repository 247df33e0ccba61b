//! Starting one container: image, configuration, creation, start, hook. Each step that fails has upstream's word for it.

use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Duration};

use api::core::v1::{Container, ObjectReference, Pod, Secret, Service};
use cri::v1::{self, ContainerConfig, ContainerMetadata, Image, KeyValue, LinuxContainerConfig, PodSandboxConfig};
use tokio::time::Instant;

use super::{
    environment::{self, EnvError, environment},
    expansion::expand,
    hooks, labels,
    mounts::{self, mounts},
    observed::{ContainerSeen, Observed},
    resources::container_resources,
    security,
};
use crate::{
    agent::{Agent, about_container},
    images::Wanted,
    references::ReadError,
};

/// Why a container is not running, as its status will show, and when to try again.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) retry: Option<Duration>,
}

/// How long to wait after a failure that may pass.
const RETRY: Duration = Duration::from_secs(10);

pub(crate) struct Starting<'a> {
    pub(crate) agent: &'a Agent,
    pub(crate) pod: &'a Pod,
    pub(crate) container: &'a Container,
    pub(crate) observed: &'a Observed,
    /// The container whose processes it shares, by id.
    pub(crate) target: Option<&'a str>,
    pub(crate) sandbox_id: &'a str,
    pub(crate) sandbox: &'a PodSandboxConfig,
    pub(crate) pod_ips: &'a [String],
    pub(crate) volumes: &'a HashMap<String, PathBuf>,
    pub(crate) hosts_file: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
enum ConfigError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Env(#[from] EnvError),
    #[error(transparent)]
    Mount(#[from] mounts::MountError),
    #[error(transparent)]
    Security(#[from] security::SecurityError),
}

/// Whether the container has to wait before it may be started again.
pub(crate) fn in_backoff(agent: &Agent, pod: &Pod, container: &Container, observed: &Observed) -> Option<Refusal> {
    let last = observed.latest(&container.name)?;
    let ended = ended_at(last)?;
    let key = backoff_key(pod, container);
    let (left, delay) = agent.backoff.waiting(&key, ended)?;
    let of = |field: &Option<String>| field.clone().unwrap_or_default();
    let meta = &pod.metadata;
    let full = format!("{}_{}({})", of(&meta.name), of(&meta.namespace), of(&meta.uid));
    let name = &container.name;
    agent.events.warning(
        &about_container(pod, container),
        "BackOff",
        format!("Back-off restarting failed container {name} in pod {full}"),
    );
    let delay = crate::images::go_duration(delay);
    let message = format!("back-off {delay} restarting failed container={name} pod={full}");
    Some(Refusal { reason: "CrashLoopBackOff".to_owned(), message, retry: Some(left) })
}

/// When the container ended, on this process' clock.
fn ended_at(seen: &ContainerSeen) -> Option<Instant> {
    let age = Duration::try_from(api::jiff::Timestamp::now().duration_since(seen.finished_at?)).unwrap_or_default();
    Some(Instant::now().checked_sub(age).unwrap_or_else(Instant::now))
}

fn backoff_key(pod: &Pod, container: &Container) -> String {
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    format!("{uid}_{}_{}", container.name, labels::container_hash(container))
}

/// Starts the container and runs its hook. Returns its id.
pub(crate) async fn start(starting: &Starting<'_>) -> Result<String, Refusal> {
    let Starting { agent, pod, container, observed, .. } = *starting;
    if let Some(seen) = observed.latest(&container.name)
        && let Some(ended) = ended_at(seen)
    {
        agent.backoff.next(&backoff_key(pod, container), ended);
    }
    let about = about_container(pod, container);
    let secrets = pull_secrets(agent, pod).await;
    let wanted = Wanted { pod, container, secrets: &secrets, sandbox: starting.sandbox, about: &about };
    let image = agent.images.ensure(&wanted, &agent.events).await.map_err(|error| {
        agent.events.warning(&about, "Failed", format!("Error: {}", error.reason));
        Refusal { reason: error.reason.to_owned(), message: error.message, retry: error.retry }
    })?;
    let config = container_config(starting, &image).await.map_err(|error| {
        agent.events.warning(&about, "Failed", format!("Error: {error}"));
        refusal("CreateContainerConfigError", error.to_string())
    })?;
    let id = create(starting, config, &about).await?;
    let request = v1::StartContainerRequest { container_id: id.clone() };
    if let Err(error) = agent.runtime.service.start_container(request).await {
        let message = error.message().to_owned();
        agent.events.warning(&about, "Failed", format!("Error: {message}"));
        return Err(refusal("RunContainerError", message));
    }
    agent.events.normal(&about, "Started", "Container started");
    post_start(starting, &id, &about).await?;
    Ok(id)
}

fn refusal(reason: &str, message: String) -> Refusal {
    Refusal { reason: reason.to_owned(), message, retry: Some(RETRY) }
}

async fn create(starting: &Starting<'_>, config: ContainerConfig, about: &ObjectReference) -> Result<String, Refusal> {
    let agent = starting.agent;
    let request = v1::CreateContainerRequest {
        pod_sandbox_id: starting.sandbox_id.to_owned(),
        config: Some(config),
        sandbox_config: Some(starting.sandbox.clone()),
    };
    match agent.runtime.service.create_container(request).await {
        Ok(answer) => {
            agent.events.normal(about, "Created", "Container created");
            Ok(answer.container_id)
        }
        Err(error) => {
            let message = error.message().to_owned();
            agent.events.warning(about, "Failed", format!("Error: {message}"));
            Err(refusal("CreateContainerError", message))
        }
    }
}

/// A container whose hook fails is killed, and its policy decides what follows.
async fn post_start(starting: &Starting<'_>, id: &str, about: &ObjectReference) -> Result<(), Refusal> {
    let Starting { agent, pod, container, .. } = *starting;
    let Some(hook) = container.lifecycle.as_ref().and_then(|l| l.post_start.as_ref()) else { return Ok(()) };
    let address = starting.pod_ips.first().map(String::as_str).unwrap_or_default();
    let Err(error) = hooks::run(&*agent.runtime.service, container, id, address, hook).await else { return Ok(()) };
    agent.events.warning(about, "FailedPostStartHook", "PostStartHook failed");
    tracing::warn!(container = container.name, %error, "postStart hook failed");
    agent.events.normal(about, "Killing", "FailedPostStartHook");
    let grace = pod.spec.as_ref().and_then(|s| s.termination_grace_period_seconds).unwrap_or(30);
    let request = v1::StopContainerRequest { container_id: id.to_owned(), timeout: grace };
    if let Err(error) = agent.runtime.service.stop_container(request).await {
        tracing::warn!(container = container.name, %error, "a container could not be stopped after its postStart hook failed");
    }
    Err(Refusal { reason: "PostStartHookError".to_owned(), message: error.to_string(), retry: Some(Duration::ZERO) })
}

/// Missing secrets are upstream's `FailedToRetrieveImagePullSecret`: told, and the pull is tried without.
async fn pull_secrets(agent: &Agent, pod: &Pod) -> Vec<Arc<Secret>> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for reference in pod.spec.iter().flat_map(|s| s.image_pull_secrets.iter().flatten()) {
        match agent.references.secret(namespace, &reference.name).await {
            Ok(Some(secret)) => found.push(secret),
            Ok(None) | Err(_) => missing.push(reference.name.clone()),
        }
    }
    if !missing.is_empty() {
        let message = format!(
            "Unable to retrieve some image pull secrets ({}); attempting to pull the image may not succeed.",
            missing.join(", ")
        );
        agent.events.warning(&crate::agent::about_pod(pod), "FailedToRetrieveImagePullSecret", message);
    }
    found
}

async fn container_config(starting: &Starting<'_>, image: &Image) -> Result<ContainerConfig, ConfigError> {
    let Starting { agent, pod, container, observed, .. } = *starting;
    let env = variables(starting).await?;
    let restart_count = restart_count(pod, container, observed);
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    let lookup = |name: &str| env.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
    let expanded = |list: &Option<Vec<String>>| list.iter().flatten().map(|t| expand(t, &lookup)).collect();
    let pod_dir = agent.config.pod_dir(uid);
    let mounts = mounts(&mounts::Request {
        pod_dir: &pod_dir,
        container,
        volumes: starting.volumes,
        env: &env,
        hosts_file: starting.hosts_file.as_deref(),
        restart_count,
    })?;
    let by_default = agent.config.seccomp_default;
    let mut context = security::container_context(pod, container, Some(image), by_default, &agent.config.root_dir)?;
    if let (Some(id), Some(options)) = (starting.target, &mut context.namespace_options) {
        security::share_processes(options, id);
    }
    let limits = container_resources(pod, container, agent.memory_capacity(), agent.config.cpu_cfs_quota);
    Ok(ContainerConfig {
        metadata: Some(ContainerMetadata { name: container.name.clone(), attempt: restart_count }),
        image: Some(v1::ImageSpec {
            image: image.id.clone(),
            user_specified_image: container.image.clone().unwrap_or_default(),
            ..Default::default()
        }),
        command: expanded(&container.command),
        args: expanded(&container.args),
        working_dir: container.working_dir.clone().unwrap_or_default(),
        mounts,
        labels: labels::container_labels(pod, container),
        annotations: labels::container_annotations(pod, container, restart_count),
        log_path: format!("{}/{restart_count}.log", container.name),
        stdin: container.stdin == Some(true),
        stdin_once: container.stdin_once == Some(true),
        tty: container.tty == Some(true),
        envs: env.into_iter().map(|(key, value)| KeyValue { key, value }).collect(),
        linux: Some(LinuxContainerConfig { resources: Some(limits), security_context: Some(context) }),
        ..Default::default()
    })
}

/// One more than the last run's, which the runtime knows or, when it forgot everything, the API.
fn restart_count(pod: &Pod, container: &Container, observed: &Observed) -> u32 {
    if let Some(seen) = observed.latest(&container.name) {
        return seen.restart_count + 1;
    }
    let status = pod.status.as_ref();
    let told = status
        .into_iter()
        .flat_map(|s| s.container_statuses.iter().flatten().chain(s.init_container_statuses.iter().flatten()));
    let last = told.into_iter().find(|s| s.name == container.name && s.container_id.is_some());
    last.and_then(|s| u32::try_from(s.restart_count).ok()).map_or(0, |count| count + 1)
}

async fn variables(starting: &Starting<'_>) -> Result<Vec<(String, String)>, ConfigError> {
    let Starting { agent, pod, container, .. } = *starting;
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let (map_names, secret_names) = environment::references(container);
    let (mut config_maps, mut secrets) = (HashMap::new(), HashMap::new());
    for name in map_names {
        config_maps.insert(name.clone(), agent.references.config_map(namespace, &name).await?);
    }
    for name in secret_names {
        secrets.insert(name.clone(), agent.references.secret(namespace, &name).await?);
    }
    Ok(environment(&environment::Sources {
        pod,
        container,
        pod_ips: starting.pod_ips,
        host_ips: &agent.host_ips(),
        config_maps: &config_maps,
        secrets: &secrets,
        node: &agent.facts,
        services: &visible_services(agent, pod),
    })?)
}

/// The API server's own Service always; those of the pod's namespace unless the pod declines.
fn visible_services(agent: &Agent, pod: &Pod) -> Vec<Service> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let linked = pod.spec.as_ref().and_then(|s| s.enable_service_links).unwrap_or(true);
    let mut entries = Vec::new();
    if namespace != "default" || !linked {
        entries.extend(agent.services.get(&controller_runtime::Key::new("default", "kubernetes")));
    }
    if linked {
        entries.extend(agent.services.in_namespace(namespace));
    }
    entries.iter().filter_map(|entry| entry.decode().ok()).collect()
}
