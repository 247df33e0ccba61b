//! What the CRI wants to know of a container or sandbox, from what we keep.

use std::collections::BTreeMap;

use cri::v1;

use crate::{
    container::{Container, State},
    sandbox::Sandbox,
};

impl State {
    pub(crate) fn cri(&self) -> v1::ContainerState {
        if self.status.finished_at != 0 {
            v1::ContainerState::ContainerExited
        } else if self.status.started_at != 0 {
            v1::ContainerState::ContainerRunning
        } else {
            v1::ContainerState::ContainerCreated
        }
    }

    /// The reason word the kubelet passes on.
    fn reason(&self) -> String {
        if self.status.finished_at == 0 {
            return String::new();
        }
        let reason = if !self.status.reason.is_empty() {
            &self.status.reason
        } else if self.status.oom_killed {
            "OOMKilled"
        } else if self.status.exit_code == 0 {
            "Completed"
        } else {
            "Error"
        };
        reason.to_owned()
    }
}

impl Container {
    pub(crate) fn list_entry(&self) -> v1::Container {
        let record = &self.record;
        v1::Container {
            id: record.id.clone(),
            pod_sandbox_id: record.sandbox.clone(),
            metadata: record.config.metadata.clone(),
            image: record.config.image.clone(),
            image_ref: record.image_ref.clone(),
            state: self.state().cri() as i32,
            created_at: record.created_at,
            labels: record.config.labels.clone(),
            annotations: record.config.annotations.clone(),
            image_id: record.image_id.clone(),
        }
    }

    pub(crate) fn cri_status(&self) -> v1::ContainerStatus {
        let record = &self.record;
        let state = self.state();
        v1::ContainerStatus {
            id: record.id.clone(),
            metadata: record.config.metadata.clone(),
            state: state.cri() as i32,
            created_at: record.created_at,
            started_at: state.status.started_at,
            finished_at: state.status.finished_at,
            exit_code: state.status.exit_code,
            image: record.config.image.clone(),
            image_ref: record.image_ref.clone(),
            image_id: record.image_id.clone(),
            reason: state.reason(),
            message: state.status.message.clone(),
            labels: record.config.labels.clone(),
            annotations: record.config.annotations.clone(),
            mounts: record.config.mounts.clone(),
            log_path: record.log.as_ref().map(|p| p.display().to_string()).unwrap_or_default(),
            resources: Some(v1::ContainerResources { linux: Some(self.resources()), windows: None }),
            ..v1::ContainerStatus::default()
        }
    }
}

impl Sandbox {
    pub(crate) fn list_entry(&self) -> v1::PodSandbox {
        v1::PodSandbox {
            id: self.record.id.clone(),
            metadata: self.record.config.metadata.clone(),
            state: self.cri_state() as i32,
            created_at: self.record.created_at,
            labels: self.record.config.labels.clone(),
            annotations: self.record.config.annotations.clone(),
            runtime_handler: self.record.runtime_handler.clone(),
        }
    }

    fn cri_state(&self) -> v1::PodSandboxState {
        if self.is_ready() { v1::PodSandboxState::SandboxReady } else { v1::PodSandboxState::SandboxNotready }
    }

    pub(crate) fn cri_status(&self) -> v1::PodSandboxStatus {
        let ip = self.record.ip.filter(|_| self.is_ready()).map(|ip| ip.to_string()).unwrap_or_default();
        let options = self.namespace_options();
        v1::PodSandboxStatus {
            id: self.record.id.clone(),
            metadata: self.record.config.metadata.clone(),
            state: self.cri_state() as i32,
            created_at: self.record.created_at,
            network: Some(v1::PodSandboxNetworkStatus { ip, additional_ips: Vec::new() }),
            linux: Some(v1::LinuxPodSandboxStatus { namespaces: Some(v1::Namespace { options: Some(options) }) }),
            labels: self.record.config.labels.clone(),
            annotations: self.record.config.annotations.clone(),
            runtime_handler: self.record.runtime_handler.clone(),
        }
    }
}

/// Whether all of `wanted` are among `labels`.
pub(crate) fn matches(labels: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>) -> bool {
    wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
}
