//! Stopping containers: the hook first, then the signal, then the end of the grace period.

use std::time::Duration;

use api::{
    core::v1::{Container, LifecycleHandler, Pod},
    resources::is_restartable_init,
};
use cri::{CriError, v1};
use futures::future::join_all;
use tokio::time::Instant;

use super::{
    hooks,
    labels::PRE_STOP,
    observed::{ContainerSeen, Observed},
};
use crate::agent::{Agent, about_container};

/// What is left for the container itself when its hook used up the grace period.
const LEAST_GRACE_SECONDS: i64 = 2;

/// Stops everything of the pod, and its sandbox. Idempotent; the sooner of two calls with different grace counts.
pub(crate) async fn kill_pod(
    agent: &Agent,
    pod: &Pod,
    observed: &Observed,
    grace: i64,
    gentle: bool,
) -> Result<(), CriError> {
    let spec = pod.spec.clone().unwrap_or_default();
    let sidecars: Vec<&Container> = spec.init_containers.iter().flatten().filter(|c| is_restartable_init(c)).collect();
    let is_sidecar = |seen: &ContainerSeen| sidecars.iter().any(|c| c.name == seen.name);
    let deadline = Instant::now() + Duration::from_secs(grace.unsigned_abs());
    let others = observed.alive().filter(|c| !is_sidecar(c));
    let stopped = join_all(others.map(|seen| kill_one(agent, pod, observed, seen, None, grace, gentle))).await;
    stopped.into_iter().collect::<Result<Vec<()>, _>>()?;
    // Sidecars serve the others to their end, and go in the reverse of the order they came.
    for container in sidecars.into_iter().rev() {
        for seen in observed.alive().filter(|c| c.name == container.name) {
            let left = deadline.saturating_duration_since(Instant::now()).as_secs() as i64;
            kill_one(agent, pod, observed, seen, None, left.max(LEAST_GRACE_SECONDS), gentle).await?;
        }
    }
    for sandbox in &observed.sandboxes {
        let request = v1::StopPodSandboxRequest { pod_sandbox_id: sandbox.id.clone() };
        match agent.runtime.service.stop_pod_sandbox(request).await {
            Err(error) if !error.is_not_found() => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Stops one container. `message` is told instead of the usual one.
pub(crate) async fn kill_one(
    agent: &Agent,
    pod: &Pod,
    observed: &Observed,
    seen: &ContainerSeen,
    message: Option<&str>,
    grace: i64,
    gentle: bool,
) -> Result<(), CriError> {
    let spec = pod.spec.clone().unwrap_or_default();
    let of_pod = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let container = of_pod.into_iter().find(|c| c.name == seen.name).cloned();
    let container = container.unwrap_or_else(|| Container { name: seen.name.clone(), ..Container::default() });
    let usual = format!("Stopping container {}", seen.name);
    agent.events.normal(&about_container(pod, &container), "Killing", message.unwrap_or(&usual));
    let mut left = grace;
    if gentle && let Some(hook) = pre_stop(agent, &container, seen).await {
        let began = Instant::now();
        let address = observed.ready_sandbox().and_then(|s| s.ips.first().cloned()).unwrap_or_default();
        let limit = Duration::from_secs(grace.unsigned_abs());
        let work = hooks::run(&*agent.runtime.service, &container, &seen.id, &address, &hook);
        match tokio::time::timeout(limit, work).await {
            Ok(Err(error)) => {
                agent.events.warning(&about_container(pod, &container), "FailedPreStopHook", "PreStopHook failed");
                tracing::warn!(container = seen.name, %error, "preStop hook failed");
            }
            Ok(Ok(())) => {}
            Err(_) => tracing::warn!(container = seen.name, grace, "preStop hook did not end within the grace period"),
        }
        left = (grace - began.elapsed().as_secs() as i64).max(LEAST_GRACE_SECONDS);
    }
    let request = v1::StopContainerRequest { container_id: seen.id.clone(), timeout: left };
    match agent.runtime.service.stop_container(request).await {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}

/// The hook, also of a pod whose object is gone: the runtime keeps it with the container.
async fn pre_stop(agent: &Agent, container: &Container, seen: &ContainerSeen) -> Option<LifecycleHandler> {
    if container.image.is_some() {
        return container.lifecycle.as_ref()?.pre_stop.clone();
    }
    let request = v1::ContainerStatusRequest { container_id: seen.id.clone(), verbose: false };
    let status = agent.runtime.service.container_status(request).await.ok()?.status?;
    serde_json::from_str(status.annotations.get(PRE_STOP)?).ok()
}
