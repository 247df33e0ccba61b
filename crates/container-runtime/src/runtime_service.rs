//! The CRI's `RuntimeService`, method by method.

use std::time::Duration;

use async_trait::async_trait;
use cri::{ContainerEvents, CriError, Result, RuntimeService, v1};

use crate::{
    disk,
    error::internal,
    protocol::{Call, now},
    resources,
    runtime::Runtime,
    status::matches,
    writable_layer,
};

const NAME: &str = "knarr";
const API_VERSION: &str = "v1";

fn not_offered<T>(what: &str) -> Result<T> {
    Err(CriError::unimplemented(format!("{what} is not implemented by this runtime")))
}

#[async_trait]
impl RuntimeService for Runtime {
    async fn version(&self, _: v1::VersionRequest) -> Result<v1::VersionResponse> {
        Ok(v1::VersionResponse {
            version: "0.1.0".into(),
            runtime_name: NAME.into(),
            runtime_version: env!("CARGO_PKG_VERSION").into(),
            runtime_api_version: API_VERSION.into(),
        })
    }

    async fn run_pod_sandbox(&self, request: v1::RunPodSandboxRequest) -> Result<v1::RunPodSandboxResponse> {
        let config = request.config.ok_or_else(|| CriError::invalid_argument("sandbox config is missing"))?;
        let runtime = self.clone();
        // Not to be torn apart by a caller that goes away half-way.
        let run = self.inner.tasks.spawn(async move { runtime.run_sandbox(config, request.runtime_handler).await });
        let pod_sandbox_id = run.await.map_err(internal("starting a sandbox died"))??;
        Ok(v1::RunPodSandboxResponse { pod_sandbox_id })
    }

    async fn stop_pod_sandbox(&self, request: v1::StopPodSandboxRequest) -> Result<v1::StopPodSandboxResponse> {
        self.stop_sandbox(&request.pod_sandbox_id).await?;
        Ok(v1::StopPodSandboxResponse {})
    }

    async fn remove_pod_sandbox(&self, request: v1::RemovePodSandboxRequest) -> Result<v1::RemovePodSandboxResponse> {
        self.remove_sandbox(&request.pod_sandbox_id).await?;
        Ok(v1::RemovePodSandboxResponse {})
    }

    async fn pod_sandbox_status(&self, request: v1::PodSandboxStatusRequest) -> Result<v1::PodSandboxStatusResponse> {
        let id = &request.pod_sandbox_id;
        let missing =
            || CriError::not_found(format!("an error occurred when try to find sandbox: not found: \"{id}\""));
        let sandbox = self.find_sandbox(id).ok_or_else(missing)?;
        let containers = self.containers_of(&sandbox.record.id);
        Ok(v1::PodSandboxStatusResponse {
            status: Some(sandbox.cri_status()),
            containers_statuses: containers.iter().map(|c| c.cri_status()).collect(),
            timestamp: now(),
            ..v1::PodSandboxStatusResponse::default()
        })
    }

    async fn list_pod_sandbox(&self, request: v1::ListPodSandboxRequest) -> Result<v1::ListPodSandboxResponse> {
        let filter = request.filter.unwrap_or_default();
        let items = self.sandboxes().values().map(|s| s.list_entry()).collect::<Vec<_>>();
        let wanted = |sandbox: &v1::PodSandbox| {
            (filter.id.is_empty() || sandbox.id.starts_with(&filter.id))
                && filter.state.as_ref().is_none_or(|state| state.state == sandbox.state)
                && matches(&sandbox.labels, &filter.label_selector)
        };
        Ok(v1::ListPodSandboxResponse { items: items.into_iter().filter(wanted).collect() })
    }

    async fn create_container(&self, request: v1::CreateContainerRequest) -> Result<v1::CreateContainerResponse> {
        let runtime = self.clone();
        let made = self.inner.tasks.spawn(async move { runtime.create_container(request).await });
        let container_id = made.await.map_err(internal("creating a container died"))??;
        Ok(v1::CreateContainerResponse { container_id })
    }

    async fn start_container(&self, request: v1::StartContainerRequest) -> Result<v1::StartContainerResponse> {
        let runtime = self.clone();
        let started = self.inner.tasks.spawn(async move { runtime.start_container(&request.container_id).await });
        started.await.map_err(internal("starting a container died"))??;
        Ok(v1::StartContainerResponse {})
    }

    async fn stop_container(&self, request: v1::StopContainerRequest) -> Result<v1::StopContainerResponse> {
        if let Some(container) = self.find_container(&request.container_id) {
            let grace = Duration::from_secs(u64::try_from(request.timeout).unwrap_or(0));
            self.stop(&container, grace).await?;
        }
        Ok(v1::StopContainerResponse {})
    }

    async fn remove_container(&self, request: v1::RemoveContainerRequest) -> Result<v1::RemoveContainerResponse> {
        if let Some(container) = self.find_container(&request.container_id) {
            self.remove(&container).await?;
        }
        Ok(v1::RemoveContainerResponse {})
    }

    async fn list_containers(&self, request: v1::ListContainersRequest) -> Result<v1::ListContainersResponse> {
        let filter = request.filter.unwrap_or_default();
        let all = self.containers().values().map(|c| c.list_entry()).collect::<Vec<_>>();
        let wanted = |container: &v1::Container| {
            (filter.id.is_empty() || container.id.starts_with(&filter.id))
                && (filter.pod_sandbox_id.is_empty() || container.pod_sandbox_id.starts_with(&filter.pod_sandbox_id))
                && filter.state.as_ref().is_none_or(|state| state.state == container.state)
                && matches(&container.labels, &filter.label_selector)
        };
        Ok(v1::ListContainersResponse { containers: all.into_iter().filter(wanted).collect() })
    }

    async fn container_status(&self, request: v1::ContainerStatusRequest) -> Result<v1::ContainerStatusResponse> {
        let status = Some(self.container(&request.container_id)?.cri_status());
        Ok(v1::ContainerStatusResponse { status, ..v1::ContainerStatusResponse::default() })
    }

    async fn update_container_resources(
        &self,
        request: v1::UpdateContainerResourcesRequest,
    ) -> Result<v1::UpdateContainerResourcesResponse> {
        let container = self.container(&request.container_id)?;
        let wanted = request.linux.ok_or_else(|| CriError::invalid_argument("no resources are given"))?;
        let hierarchies = &self.inner.hierarchies;
        resources::resources(&wanted, hierarchies).map_err(|error| CriError::invalid_argument(error.to_string()))?;
        if container.is_running() {
            let (hierarchies, group) = (self.inner.hierarchies.clone(), container.record.cgroup.clone());
            let new = wanted.clone();
            self.blocking(move || resources::update(&hierarchies, &group, &new))
                .await?
                .map_err(internal("failed to update resources"))?;
        }
        container.set_resources(wanted.clone());
        let mut record = container.record.clone();
        record.config.linux.get_or_insert_default().resources = Some(wanted);
        let path = self.inner.layout.container(&record.id).join("container.json");
        disk::write(&path, &record).map_err(internal("cannot write the container's record"))?;
        Ok(v1::UpdateContainerResourcesResponse {})
    }

    async fn reopen_container_log(
        &self,
        request: v1::ReopenContainerLogRequest,
    ) -> Result<v1::ReopenContainerLogResponse> {
        let container = self.container(&request.container_id)?;
        if !container.is_running() {
            return Err(CriError::failed_precondition("container is not running"));
        }
        let shim = self.find_sandbox(&container.record.sandbox).and_then(|s| s.shim());
        let shim = shim.ok_or_else(|| CriError::unavailable("the pod's shim is gone"))?;
        shim.call(Call::ReopenLog { container: container.record.id.clone() }).await?;
        Ok(v1::ReopenContainerLogResponse {})
    }

    async fn exec_sync(&self, request: v1::ExecSyncRequest) -> Result<v1::ExecSyncResponse> {
        self.exec_sync(request).await
    }

    async fn exec(&self, request: v1::ExecRequest) -> Result<v1::ExecResponse> {
        self.container(&request.container_id)?;
        Ok(v1::ExecResponse { url: self.streaming()?.exec(request) })
    }

    async fn attach(&self, request: v1::AttachRequest) -> Result<v1::AttachResponse> {
        self.container(&request.container_id)?;
        Ok(v1::AttachResponse { url: self.streaming()?.attach(request) })
    }

    async fn port_forward(&self, request: v1::PortForwardRequest) -> Result<v1::PortForwardResponse> {
        let id = &request.pod_sandbox_id;
        let found = self.find_sandbox(id).filter(|s| s.is_ready());
        found.ok_or_else(|| CriError::not_found(format!("sandbox \"{id}\" is not running")))?;
        Ok(v1::PortForwardResponse { url: self.streaming()?.port_forward(request) })
    }

    async fn container_stats(&self, request: v1::ContainerStatsRequest) -> Result<v1::ContainerStatsResponse> {
        let container = self.container(&request.container_id)?;
        let mut stats = self.stats_of(&container);
        // Counting files takes time, so only who asks for one container is told.
        let upper = self.inner.layout.upper(&container.record.id);
        let counted = self.blocking(move || writable_layer::usage(&upper)).await?;
        stats.writable_layer = Some(counted.map_err(internal("cannot count the container's writable layer"))?);
        Ok(v1::ContainerStatsResponse { stats: Some(stats) })
    }

    async fn list_container_stats(
        &self,
        request: v1::ListContainerStatsRequest,
    ) -> Result<v1::ListContainerStatsResponse> {
        let filter = request.filter.unwrap_or_default();
        let all: Vec<_> = self.containers().values().cloned().collect();
        let wanted = all.iter().filter(|c| {
            c.is_running()
                && (filter.id.is_empty() || c.record.id.starts_with(&filter.id))
                && (filter.pod_sandbox_id.is_empty() || c.record.sandbox.starts_with(&filter.pod_sandbox_id))
                && matches(&c.record.config.labels, &filter.label_selector)
        });
        Ok(v1::ListContainerStatsResponse { stats: wanted.map(|c| self.stats_of(c)).collect() })
    }

    async fn pod_sandbox_stats(&self, request: v1::PodSandboxStatsRequest) -> Result<v1::PodSandboxStatsResponse> {
        let id = &request.pod_sandbox_id;
        let missing = || CriError::not_found(format!("sandbox \"{id}\" not found"));
        let sandbox = self.find_sandbox(id).ok_or_else(missing)?;
        Ok(v1::PodSandboxStatsResponse { stats: Some(self.sandbox_stats(&sandbox)) })
    }

    async fn list_pod_sandbox_stats(
        &self,
        request: v1::ListPodSandboxStatsRequest,
    ) -> Result<v1::ListPodSandboxStatsResponse> {
        let filter = request.filter.unwrap_or_default();
        let all: Vec<_> = self.sandboxes().values().cloned().collect();
        let wanted = all.iter().filter(|s| {
            s.is_ready()
                && (filter.id.is_empty() || s.record.id.starts_with(&filter.id))
                && matches(&s.record.config.labels, &filter.label_selector)
        });
        Ok(v1::ListPodSandboxStatsResponse { stats: wanted.map(|s| self.sandbox_stats(s)).collect() })
    }

    async fn update_runtime_config(
        &self,
        request: v1::UpdateRuntimeConfigRequest,
    ) -> Result<v1::UpdateRuntimeConfigResponse> {
        let given = request.runtime_config.and_then(|c| c.network_config).map(|n| n.pod_cidr).unwrap_or_default();
        let ours = self.inner.network.config().range.to_string();
        if given.is_empty() || given == ours {
            return Ok(v1::UpdateRuntimeConfigResponse {});
        }
        Err(CriError::invalid_argument(format!(
            "the pod network uses {ours}; it cannot change to {given} while the runtime runs"
        )))
    }

    async fn status(&self, _: v1::StatusRequest) -> Result<v1::StatusResponse> {
        let ready = |kind: &str| v1::RuntimeCondition {
            r#type: kind.into(),
            status: true,
            reason: String::new(),
            message: String::new(),
        };
        Ok(v1::StatusResponse {
            status: Some(v1::RuntimeStatus { conditions: vec![ready("RuntimeReady"), ready("NetworkReady")] }),
            runtime_handlers: vec![v1::RuntimeHandler {
                name: String::new(),
                features: Some(v1::RuntimeHandlerFeatures { recursive_read_only_mounts: true, user_namespaces: false }),
            }],
            ..v1::StatusResponse::default()
        })
    }

    async fn checkpoint_container(&self, _: v1::CheckpointContainerRequest) -> Result<v1::CheckpointContainerResponse> {
        not_offered("CheckpointContainer")
    }

    async fn get_container_events(&self, _: v1::GetEventsRequest) -> Result<ContainerEvents> {
        Ok(self.inner.events.listen(self.inner.end.clone()))
    }

    async fn list_metric_descriptors(
        &self,
        _: v1::ListMetricDescriptorsRequest,
    ) -> Result<v1::ListMetricDescriptorsResponse> {
        not_offered("ListMetricDescriptors")
    }

    async fn list_pod_sandbox_metrics(
        &self,
        _: v1::ListPodSandboxMetricsRequest,
    ) -> Result<v1::ListPodSandboxMetricsResponse> {
        not_offered("ListPodSandboxMetrics")
    }

    async fn runtime_config(&self, _: v1::RuntimeConfigRequest) -> Result<v1::RuntimeConfigResponse> {
        let linux = v1::LinuxRuntimeConfiguration { cgroup_driver: v1::CgroupDriver::Cgroupfs as i32 };
        Ok(v1::RuntimeConfigResponse { linux: Some(linux) })
    }
}
