//! Logs of running containers, kept from growing without end: a log that is too large is renamed, the runtime goes on
//! in a new file, and the files before it are compressed and, beyond their number, removed.

mod files;

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use api::jiff::Timestamp;
use cri::v1;

use crate::agent::Agent;
pub(crate) use files::remove_all;

/// How often logs are measured. The kernel would tell of every single write instead.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
enum RotationError {
    #[error("{doing} {}: {source}", path.display())]
    Disk { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("failed to reopen container log {id:?}: {source}")]
    Reopen { id: String, source: cri::CriError },
    #[error("the kubelet is stopping")]
    Stopping,
}

/// Looks after logs, for ever.
pub(crate) async fn keep_logs_small(agent: Arc<Agent>) {
    let mut ticks = tokio::time::interval(LOOK_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let running = v1::ContainerStateValue { state: v1::ContainerState::ContainerRunning as i32 };
        let filter = v1::ContainerFilter { state: Some(running), ..Default::default() };
        let request = v1::ListContainersRequest { filter: Some(filter) };
        let containers = match agent.runtime.service.list_containers(request).await {
            Ok(answer) => answer.containers,
            Err(error) => {
                tracing::warn!(%error, "containers could not be listed to rotate their logs");
                continue;
            }
        };
        for container in containers {
            if let Err(error) = look_after(&agent, &container.id).await {
                tracing::warn!(container = container.id, %error, "the log of a container could not be rotated");
            }
        }
    }
}

async fn look_after(agent: &Agent, id: &str) -> Result<(), RotationError> {
    let request = v1::ContainerStatusRequest { container_id: id.to_owned(), verbose: false };
    // One that is gone has no log that grows.
    let Ok(answer) = agent.runtime.service.container_status(request).await else { return Ok(()) };
    let status = answer.status.unwrap_or_default();
    if status.state != v1::ContainerState::ContainerRunning as i32 || status.log_path.is_empty() {
        return Ok(());
    }
    let log = PathBuf::from(status.log_path);
    let size = match std::fs::metadata(&log) {
        Ok(metadata) => metadata.len(),
        // Somebody took it away, or a rotation was cut short before the new file.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return reopen(agent, id).await,
        Err(source) => return Err(RotationError::Disk { doing: "reading", path: log, source }),
    };
    let limits = &agent.config.housekeeping;
    if size < limits.log_max_bytes {
        return Ok(());
    }
    let (path, kept) = (log.clone(), limits.log_max_files);
    let tidied = agent.tasks.spawn_blocking("log-rotation", move || files::tidy(&path, kept));
    let disk = |doing| {
        let path = log.clone();
        move |source| RotationError::Disk { doing, path, source }
    };
    tidied.join().await.ok_or(RotationError::Stopping)?.map_err(disk("tidying up beside"))?;
    let away = files::away(&log, Timestamp::now());
    std::fs::rename(&log, &away).map_err(disk("renaming"))?;
    let done = reopen(agent, id).await;
    if done.is_err() {
        // The runtime still writes to it: under its own name it is found again.
        std::fs::rename(&away, &log).map_err(disk("naming back"))?;
    }
    done
}

async fn reopen(agent: &Agent, id: &str) -> Result<(), RotationError> {
    let request = v1::ReopenContainerLogRequest { container_id: id.to_owned() };
    match agent.runtime.service.reopen_container_log(request).await {
        // It ended meanwhile.
        Err(cri::CriError::NotFound { .. } | cri::CriError::FailedPrecondition { .. }) => Ok(()),
        Err(source) => Err(RotationError::Reopen { id: id.to_owned(), source }),
        Ok(_) => Ok(()),
    }
}
