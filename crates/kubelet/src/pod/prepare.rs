//! What has to be there before a pod's containers can start: directories, references, volumes, the hosts file.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use api::core::v1::Pod;
use tokio::time::Instant;
use volumes::{Context, Gathered, Need};

use super::{environment, ephemeral, hosts, names};
use crate::{
    agent::Agent,
    references::{Kind, Reference},
};

/// The volumes of a pod as they are on this node.
#[derive(Default)]
pub(crate) struct Volumes {
    pub(crate) paths: HashMap<String, PathBuf>,
    /// When a token in them has to be replaced.
    pub(crate) refresh_at: Option<Instant>,
}

/// Which volume could not be made, and why, in the words of upstream's event.
#[derive(Debug)]
pub(crate) struct VolumeFailure {
    pub(crate) message: String,
}

/// Everything the pod refers to, in volumes, environment and pull secrets.
pub(crate) fn references(pod: &Pod) -> BTreeSet<Reference> {
    let namespace = pod.metadata.namespace.clone().unwrap_or_default();
    let reference = |kind, name: String| Reference { kind, namespace: namespace.clone(), name };
    let mut all = BTreeSet::new();
    for need in volumes::needs(pod) {
        match need {
            Need::ConfigMap(name) => drop(all.insert(reference(Kind::ConfigMap, name))),
            Need::Secret(name) => drop(all.insert(reference(Kind::Secret, name))),
            Need::Token { .. } => {}
        }
    }
    let Some(spec) = &pod.spec else { return all };
    let lasting = spec.containers.iter().chain(spec.init_containers.iter().flatten()).cloned();
    for container in lasting.chain(ephemeral::of(spec)) {
        let (config_maps, secrets) = environment::references(&container);
        all.extend(config_maps.into_iter().map(|name| reference(Kind::ConfigMap, name)));
        all.extend(secrets.into_iter().map(|name| reference(Kind::Secret, name)));
    }
    all.extend(spec.image_pull_secrets.iter().flatten().map(|r| reference(Kind::Secret, r.name.clone())));
    all
}

/// Directories only the node may enter.
pub(crate) fn directories(agent: &Agent, pod: &Pod) -> std::io::Result<()> {
    let of = |field: &Option<String>| field.clone().unwrap_or_default();
    let meta = &pod.metadata;
    let uid = of(&meta.uid);
    let dir = agent.config.pod_dir(&uid);
    for path in [dir.clone(), dir.join("volumes"), dir.join("containers")] {
        fs::DirBuilder::new().recursive(true).mode(0o750).create(path)?;
    }
    let logs = agent.config.pod_log_dir(&of(&meta.namespace), &of(&meta.name), &uid);
    fs::DirBuilder::new().recursive(true).mode(0o755).create(logs)
}

/// Makes the volumes or brings them up to date.
pub(crate) async fn volumes(agent: &Agent, pod: &Arc<Pod>) -> Result<Volumes, VolumeFailure> {
    let wanted = pod.spec.as_ref().and_then(|s| s.volumes.clone()).unwrap_or_default();
    let mut gathered = Gathered::default();
    let mut refresh_at: Option<Instant> = None;
    for volume in &wanted {
        let fail = |error: &dyn std::fmt::Display| VolumeFailure {
            message: format!("MountVolume.SetUp failed for volume \"{}\" : {error}", volume.name),
        };
        for need in volumes::volume_needs(volume) {
            gather(agent, pod, need, &mut gathered, &mut refresh_at).await.map_err(|e| fail(&e))?;
        }
    }
    let (pod, facts) = (pod.clone(), agent.facts.clone());
    let pod_dir = agent.config.pod_dir(pod.metadata.uid.as_deref().unwrap_or_default());
    let work = agent.tasks.spawn_blocking("volumes", move || {
        let cx = Context { pod: &pod, pod_dir: &pod_dir, gathered: &gathered, node: &facts };
        let mut paths = HashMap::new();
        for volume in &wanted {
            let made = volumes::set_up(&cx, volume).map_err(|error| VolumeFailure {
                message: format!("MountVolume.SetUp failed for volume \"{}\" : {error}", volume.name),
            })?;
            paths.insert(volume.name.clone(), made.path);
        }
        Ok(paths)
    });
    let paths = work.join().await.unwrap_or_else(|| {
        Err(VolumeFailure { message: "MountVolume.SetUp did not finish: the kubelet is stopping".to_owned() })
    })?;
    Ok(Volumes { paths, refresh_at })
}

async fn gather(
    agent: &Agent,
    pod: &Pod,
    need: Need,
    gathered: &mut Gathered,
    refresh_at: &mut Option<Instant>,
) -> Result<(), String> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    match need {
        Need::ConfigMap(name) => {
            let found = agent.references.config_map(namespace, &name).await.map_err(|e| e.to_string())?;
            gathered.config_maps.insert(name, found);
        }
        Need::Secret(name) => {
            let found = agent.references.secret(namespace, &name).await.map_err(|e| e.to_string())?;
            gathered.secrets.insert(name, found);
        }
        need @ Need::Token { .. } => {
            let asked = agent.tokens.token(&agent.client, pod, &need).await;
            let (token, at) = asked.map_err(|e| format!("failed to fetch token: {}", client::ApiError::message(&e)))?;
            gathered.tokens.insert(need, token);
            *refresh_at = Some(refresh_at.map_or(at, |before| before.min(at)));
        }
    }
    Ok(())
}

/// Writes the pod's hosts file and says where it is.
pub(crate) fn hosts_file(agent: &Agent, pod: &Pod, pod_ips: &[String]) -> std::io::Result<PathBuf> {
    let spec = pod.spec.clone().unwrap_or_default();
    let aliases = spec.host_aliases.unwrap_or_default();
    let text = if spec.host_network == Some(true) {
        hosts::of_host(&fs::read_to_string("/etc/hosts").unwrap_or_default(), &aliases)
    } else {
        let names = names::names(pod, &agent.config.cluster_domain).map_err(std::io::Error::other)?;
        hosts::own(pod_ips, &names, &aliases)
    };
    let file = agent.config.pod_dir(pod.metadata.uid.as_deref().unwrap_or_default()).join("etc-hosts");
    write_if_other(&file, &text)?;
    Ok(file)
}

/// In place, never renamed: containers have the file itself bound.
fn write_if_other(file: &Path, text: &str) -> std::io::Result<()> {
    match fs::read_to_string(file) {
        Ok(now) if now == text => Ok(()),
        _ => {
            use std::os::unix::fs::PermissionsExt;
            fs::write(file, text)?;
            fs::set_permissions(file, fs::Permissions::from_mode(0o644))
        }
    }
}
