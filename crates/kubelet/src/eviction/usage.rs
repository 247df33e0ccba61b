//! What pods use of the node, as far as somebody asks: memory and processes from the runtime, disk by counting it.

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use api::core::v1::Pod;
use cri::v1;
use volumes::Space;

use crate::{agent::Agent, pod::labels};

#[derive(Clone, Debug, Default)]
pub(crate) struct ContainerUsage {
    pub(crate) name: String,
    /// The working set, in bytes.
    pub(crate) memory: u64,
    /// The writable layer.
    pub(crate) rootfs: Space,
    pub(crate) logs: Space,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct PodUsage {
    pub(crate) containers: Vec<ContainerUsage>,
    /// Volumes on the node's own disk, by name.
    pub(crate) volumes: Vec<(String, Space)>,
    /// Logs of all containers, dead ones and rotated ones too, and the hosts file.
    pub(crate) files: Space,
    pub(crate) processes: u64,
}

impl PodUsage {
    pub(crate) fn memory(&self) -> u64 {
        self.containers.iter().map(|c| c.memory).sum()
    }

    /// Everything local: writable layers, volumes, logs.
    pub(crate) fn disk(&self) -> Space {
        let layers = self.containers.iter().map(|c| c.rootfs);
        layers.chain(self.volumes.iter().map(|(_, space)| *space)).fold(self.files, Space::plus)
    }
}

/// By uid. What cannot be measured counts as nothing, and is told.
pub(crate) async fn of(agent: &Agent, pods: &[Arc<Pod>], disk: bool) -> HashMap<String, PodUsage> {
    let mut all: HashMap<String, PodUsage> = HashMap::new();
    for pod in pods {
        all.insert(pod.metadata.uid.clone().unwrap_or_default(), PodUsage::default());
    }
    running(agent, &mut all, disk).await;
    processes(agent, &mut all).await;
    if disk {
        let work: Vec<(String, Vec<Counted>)> =
            pods.iter().map(|p| (p.metadata.uid.clone().unwrap_or_default(), places(agent, p))).collect();
        let counted = agent.tasks.spawn_blocking("disk-usage", move || count(work)).join().await;
        for (uid, place, space) in counted.unwrap_or_default() {
            let Some(usage) = all.get_mut(&uid) else { continue };
            match place {
                Place::Files => usage.files = usage.files.plus(space),
                Place::Volume(name) => usage.volumes.push((name, space)),
                Place::Logs(container) => {
                    usage.files = usage.files.plus(space);
                    if let Some(found) = usage.containers.iter_mut().find(|c| c.name == container) {
                        found.logs = space;
                    }
                }
            }
        }
    }
    all
}

async fn running(agent: &Agent, all: &mut HashMap<String, PodUsage>, disk: bool) {
    let service = &agent.runtime.service;
    let stats = match service.list_container_stats(v1::ListContainerStatsRequest::default()).await {
        Ok(answer) => answer.stats,
        Err(error) => {
            tracing::warn!(%error, "the use of memory of containers is not known");
            return;
        }
    };
    for mut one in stats {
        let Some(attributes) = one.attributes.clone() else { continue };
        let label = |key: &str| attributes.labels.get(key).cloned().unwrap_or_default();
        let Some(pod) = all.get_mut(&label(labels::POD_UID)) else { continue };
        if disk && one.writable_layer.is_none() {
            let request = v1::ContainerStatsRequest { container_id: attributes.id.clone() };
            match service.container_stats(request).await {
                Ok(answer) => one.writable_layer = answer.stats.and_then(|s| s.writable_layer),
                Err(error) => tracing::debug!(container = attributes.id, %error, "the use of disk is not known"),
            }
        }
        let value = |v: &Option<v1::UInt64Value>| v.as_ref().map_or(0, |v| v.value);
        let layer = one.writable_layer.as_ref();
        pod.containers.push(ContainerUsage {
            name: label(labels::CONTAINER_NAME),
            memory: one.memory.as_ref().map_or(0, |m| value(&m.working_set_bytes)),
            rootfs: Space {
                bytes: layer.map_or(0, |l| value(&l.used_bytes)),
                inodes: layer.map_or(0, |l| value(&l.inodes_used)),
            },
            logs: Space::default(),
        });
    }
}

async fn processes(agent: &Agent, all: &mut HashMap<String, PodUsage>) {
    let request = v1::ListPodSandboxStatsRequest::default();
    let Ok(answer) = agent.runtime.service.list_pod_sandbox_stats(request).await else { return };
    for stats in answer.stats {
        let uid = stats.attributes.as_ref().and_then(|a| a.labels.get(labels::POD_UID));
        let Some(pod) = uid.and_then(|uid| all.get_mut(uid)) else { continue };
        let count = stats.linux.and_then(|l| l.process).and_then(|p| p.process_count);
        pod.processes = count.map_or(0, |c| c.value);
    }
}

enum Place {
    Files,
    Logs(String),
    Volume(String),
}

type Counted = (Place, PathBuf);

fn places(agent: &Agent, pod: &Pod) -> Vec<Counted> {
    let of = |field: &Option<String>| field.clone().unwrap_or_default();
    let (meta, spec) = (&pod.metadata, pod.spec.clone().unwrap_or_default());
    let dir = agent.config.pod_dir(&of(&meta.uid));
    let logs = agent.config.pod_log_dir(&of(&meta.namespace), &of(&meta.name), &of(&meta.uid));
    let mut places = vec![(Place::Files, dir.join("etc-hosts"))];
    for entry in std::fs::read_dir(&logs).into_iter().flatten().flatten() {
        places.push((Place::Logs(entry.file_name().to_string_lossy().into_owned()), entry.path()));
    }
    for volume in spec.volumes.iter().flatten() {
        if let Some(path) = volumes::local_path(&dir, volume) {
            places.push((Place::Volume(volume.name.clone()), path));
        }
    }
    places
}

fn count(work: Vec<(String, Vec<Counted>)>) -> Vec<(String, Place, Space)> {
    let mut all = Vec::new();
    for (uid, places) in work {
        for (place, path) in places {
            match volumes::disk_usage(&path) {
                Ok(space) => all.push((uid.clone(), place, space)),
                Err(error) => tracing::warn!(path = %path.display(), %error, "the use of disk cannot be counted"),
            }
        }
    }
    all
}
