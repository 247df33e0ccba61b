//! Ephemeral containers: people put them into a pod that runs, to look into it. They start once, at once, and never
//! again; the pod neither waits for them nor lives for them.

use api::core::v1::{Container, EphemeralContainer, Pod, PodSpec};

use super::observed::Observed;

/// What the two kinds have in common, which is everything but the target.
pub(crate) fn as_container(ephemeral: &EphemeralContainer) -> Container {
    let one = ephemeral.clone();
    Container {
        args: one.args,
        command: one.command,
        env: one.env,
        env_from: one.env_from,
        image: one.image,
        image_pull_policy: one.image_pull_policy,
        lifecycle: one.lifecycle,
        liveness_probe: one.liveness_probe,
        name: one.name,
        ports: one.ports,
        readiness_probe: one.readiness_probe,
        resize_policy: one.resize_policy,
        resources: one.resources,
        restart_policy: one.restart_policy,
        restart_policy_rules: one.restart_policy_rules,
        security_context: one.security_context,
        startup_probe: one.startup_probe,
        stdin: one.stdin,
        stdin_once: one.stdin_once,
        termination_message_path: one.termination_message_path,
        termination_message_policy: one.termination_message_policy,
        tty: one.tty,
        volume_devices: one.volume_devices,
        volume_mounts: one.volume_mounts,
        working_dir: one.working_dir,
    }
}

/// All of a pod.
pub(crate) fn of(spec: &PodSpec) -> impl Iterator<Item = Container> {
    spec.ephemeral_containers.iter().flatten().map(as_container)
}

/// Places of those that were never started.
pub(crate) fn new_ones(pod: &Pod, spec: &PodSpec, observed: &Observed) -> Vec<usize> {
    if pod.metadata.deletion_timestamp.is_some() {
        return Vec::new();
    }
    let all = spec.ephemeral_containers.iter().flatten().enumerate();
    all.filter(|(_, c)| observed.latest(&c.name).is_none()).map(|(index, _)| index).collect()
}

/// The id of the container whose processes the container of that name is to see; none where it asks for no other's.
/// The error is upstream's text.
pub(crate) fn target(spec: &PodSpec, name: &str, observed: &Observed) -> Result<Option<String>, String> {
    let own = spec.ephemeral_containers.iter().flatten().find(|c| c.name == name);
    let Some(target) = own.and_then(|c| c.target_container_name.as_deref()).filter(|t| !t.is_empty()) else {
        return Ok(None);
    };
    match observed.latest(target) {
        Some(seen) => Ok(Some(seen.id.clone())),
        None => Err(format!("unable to find target container {target}")),
    }
}
