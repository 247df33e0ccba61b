//! The container runtime as pods see it: reading all of one pod, in the words of [`crate::pod::observed`].

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use api::jiff::Timestamp;
use cri::{CriError, ImageService, RuntimeService, v1};

use crate::pod::{
    labels,
    observed::{ContainerSeen, Observed, SandboxSeen, State},
};

/// What a container may leave behind as its last words, and how much of its log stands in for them.
const TERMINATION_MESSAGE_BYTES: u64 = 4096;
const TERMINATION_LOG_BYTES: u64 = 2048;
const TERMINATION_LOG_LINES: usize = 80;

/// How long the runtime may take over calls that only read. A runtime that hangs must not hang the pods' workers.
const READ_TIMEOUT: Duration = Duration::from_secs(120);

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Runtime {
    pub(crate) service: Arc<dyn RuntimeService>,
    pub(crate) images: Arc<dyn ImageService>,
    /// The scheme of container ids.
    pub(crate) name: Arc<str>,
}

impl Runtime {
    /// Everything the runtime holds of a pod.
    pub(crate) async fn observe(&self, uid: &str) -> Result<Observed, CriError> {
        within(self.observe_all(uid)).await
    }

    async fn observe_all(&self, uid: &str) -> Result<Observed, CriError> {
        let selector = BTreeMap::from([(labels::POD_UID.to_owned(), uid.to_owned())]);
        let filter = v1::PodSandboxFilter { label_selector: selector.clone(), ..Default::default() };
        let request = v1::ListPodSandboxRequest { filter: Some(filter) };
        let mut observed = Observed::default();
        for sandbox in self.service.list_pod_sandbox(request).await?.items {
            let request = v1::PodSandboxStatusRequest { pod_sandbox_id: sandbox.id, verbose: false };
            match self.service.pod_sandbox_status(request).await {
                Ok(answer) => observed.sandboxes.extend(answer.status.map(sandbox_seen)),
                // Removed since the list was made.
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        let filter = v1::ContainerFilter { label_selector: selector, ..Default::default() };
        let request = v1::ListContainersRequest { filter: Some(filter) };
        for container in self.service.list_containers(request).await?.containers {
            let request = v1::ContainerStatusRequest { container_id: container.id.clone(), verbose: false };
            match self.service.container_status(request).await {
                Ok(answer) => {
                    observed.containers.extend(answer.status.map(|s| container_seen(s, container.pod_sandbox_id)));
                }
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        observed.sandboxes.sort_by_key(|s| std::cmp::Reverse((s.created_at, s.attempt)));
        observed.containers.sort_by_key(|c| std::cmp::Reverse((c.created_at, c.restart_count)));
        Ok(observed)
    }

    /// Identity labels of every sandbox there is, one map for each.
    pub(crate) async fn all_sandboxes(&self) -> Result<Vec<v1::PodSandbox>, CriError> {
        let answer = self.service.list_pod_sandbox(v1::ListPodSandboxRequest { filter: None });
        Ok(within(answer).await?.items.into_iter().filter(|s| s.labels.contains_key(labels::POD_UID)).collect())
    }
}

async fn within<T>(call: impl Future<Output = Result<T, CriError>>) -> Result<T, CriError> {
    match tokio::time::timeout(READ_TIMEOUT, call).await {
        Ok(answer) => answer,
        Err(_) => Err(CriError::deadline_exceeded("the runtime did not answer in time")),
    }
}

fn time(nanos: i64) -> Option<Timestamp> {
    (nanos > 0).then(|| Timestamp::from_nanosecond(i128::from(nanos)).ok()).flatten()
}

fn sandbox_seen(status: v1::PodSandboxStatus) -> SandboxSeen {
    let network = status.network.unwrap_or_default();
    let first = Some(network.ip).filter(|ip| !ip.is_empty());
    let ips = first.into_iter().chain(network.additional_ips.into_iter().map(|ip| ip.ip)).collect();
    let options = status.linux.and_then(|l| l.namespaces).and_then(|n| n.options).unwrap_or_default();
    SandboxSeen {
        id: status.id,
        ready: status.state == v1::PodSandboxState::SandboxReady as i32,
        attempt: status.metadata.map(|m| m.attempt).unwrap_or_default(),
        created_at: time(status.created_at).unwrap_or(Timestamp::UNIX_EPOCH),
        ips,
        host_network: options.network == v1::NamespaceMode::Node as i32,
    }
}

fn container_seen(status: v1::ContainerStatus, sandbox_id: String) -> ContainerSeen {
    let state = match v1::ContainerState::try_from(status.state) {
        Ok(v1::ContainerState::ContainerCreated) => State::Created,
        Ok(v1::ContainerState::ContainerRunning) => State::Running,
        Ok(v1::ContainerState::ContainerExited) => State::Exited,
        Ok(v1::ContainerState::ContainerUnknown) | Err(_) => State::Unknown,
    };
    let message = if state == State::Exited { last_words(&status) } else { status.message.clone() };
    let note = |key: &str| status.annotations.get(key).cloned().unwrap_or_default();
    let spec_image =
        status.image.map(|i| if i.user_specified_image.is_empty() { i.image } else { i.user_specified_image });
    ContainerSeen {
        name: status.labels.get(labels::CONTAINER_NAME).cloned().unwrap_or_default(),
        sandbox_id,
        image: spec_image.unwrap_or_default(),
        image_id: if status.image_ref.is_empty() { status.image_id } else { status.image_ref },
        hash: note(labels::HASH),
        restart_count: note(labels::RESTART_COUNT).parse().unwrap_or_default(),
        state,
        created_at: time(status.created_at).unwrap_or(Timestamp::UNIX_EPOCH),
        started_at: time(status.started_at),
        finished_at: time(status.finished_at).filter(|_| state == State::Exited),
        exit_code: status.exit_code,
        reason: status.reason,
        message,
        log_path: status.log_path,
        id: status.id,
    }
}

/// What the container wrote to its termination message file or, where its policy says so, the end of its log.
fn last_words(status: &v1::ContainerStatus) -> String {
    let path = status.annotations.get(labels::TERMINATION_PATH).map(String::as_str).unwrap_or_default();
    let mount = status.mounts.iter().find(|m| !path.is_empty() && m.container_path == path);
    let own = mount.map(|m| match read_tail(&m.host_path, TERMINATION_MESSAGE_BYTES) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(e) => format!("Error on reading termination log {}: {e}", m.host_path),
    });
    let policy = status.annotations.get(labels::TERMINATION_POLICY).map(String::as_str);
    match own {
        Some(text) if !text.is_empty() => text,
        _ if policy == Some("FallbackToLogsOnError") && status.exit_code != 0 => {
            log_tail(&status.log_path).unwrap_or_else(|| status.message.clone())
        }
        _ => status.message.clone(),
    }
}

fn read_tail(path: &str, limit: u64) -> std::io::Result<String> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(limit)))?;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The last lines of a log, without times and streams. The file holds more than the text, so more of it is read.
fn log_tail(path: &str) -> Option<String> {
    let raw = read_tail(path, TERMINATION_LOG_BYTES * 4).ok()?;
    let lines: Vec<&str> = raw.lines().filter_map(|l| l.splitn(4, ' ').nth(3)).collect();
    let mut text = String::new();
    for line in lines.iter().skip(lines.len().saturating_sub(TERMINATION_LOG_LINES)) {
        text.push_str(line);
        text.push('\n');
    }
    let cut = text.len().saturating_sub(TERMINATION_LOG_BYTES as usize);
    let cut = (cut..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    Some(text[cut..].to_owned())
}
