//! Sandboxes and containers.

use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::{Result, v1};

/// Events in the order in which they happened. A receiver too slow for the bounded buffer gets one error and must list again.
pub type ContainerEvents = BoxStream<'static, Result<v1::ContainerEventResponse>>;

/// `runtime.v1.RuntimeService`. A method that an implementation does not have answers `Unimplemented`.
#[async_trait]
pub trait RuntimeService: Send + Sync + 'static {
    /// The runtime's name and version.
    async fn version(&self, request: v1::VersionRequest) -> Result<v1::VersionResponse>;
    /// Makes a sandbox and starts it: namespaces, network, cgroup. It is ready when this returns.
    async fn run_pod_sandbox(&self, request: v1::RunPodSandboxRequest) -> Result<v1::RunPodSandboxResponse>;
    /// Stops every process of the sandbox and gives back its network. Idempotent; forcibly kills containers still running.
    async fn stop_pod_sandbox(&self, request: v1::StopPodSandboxRequest) -> Result<v1::StopPodSandboxResponse>;
    /// Removes the sandbox and its containers. Idempotent; kills what still runs.
    async fn remove_pod_sandbox(&self, request: v1::RemovePodSandboxRequest) -> Result<v1::RemovePodSandboxResponse>;
    /// NotFound if the sandbox is unknown.
    async fn pod_sandbox_status(&self, request: v1::PodSandboxStatusRequest) -> Result<v1::PodSandboxStatusResponse>;
    async fn list_pod_sandbox(&self, request: v1::ListPodSandboxRequest) -> Result<v1::ListPodSandboxResponse>;
    async fn create_container(&self, request: v1::CreateContainerRequest) -> Result<v1::CreateContainerResponse>;
    async fn start_container(&self, request: v1::StartContainerRequest) -> Result<v1::StartContainerResponse>;
    /// Stops with a grace period in seconds, then kills. Idempotent.
    async fn stop_container(&self, request: v1::StopContainerRequest) -> Result<v1::StopContainerResponse>;
    /// Removes the container, killing it if it runs. Idempotent.
    async fn remove_container(&self, request: v1::RemoveContainerRequest) -> Result<v1::RemoveContainerResponse>;
    async fn list_containers(&self, request: v1::ListContainersRequest) -> Result<v1::ListContainersResponse>;
    /// NotFound if the container is unknown.
    async fn container_status(&self, request: v1::ContainerStatusRequest) -> Result<v1::ContainerStatusResponse>;
    /// Synchronously changes limits of a running container.
    async fn update_container_resources(
        &self,
        request: v1::UpdateContainerResourcesRequest,
    ) -> Result<v1::UpdateContainerResourcesResponse>;
    /// Opens the log file anew, after the kubelet has renamed it.
    async fn reopen_container_log(
        &self,
        request: v1::ReopenContainerLogRequest,
    ) -> Result<v1::ReopenContainerLogResponse>;
    /// Runs a command and answers its whole output, bounded, and exit code. DeadlineExceeded after `timeout` seconds.
    async fn exec_sync(&self, request: v1::ExecSyncRequest) -> Result<v1::ExecSyncResponse>;
    /// Prepares a streaming endpoint and answers its address; the token in it works once.
    async fn exec(&self, request: v1::ExecRequest) -> Result<v1::ExecResponse>;
    /// See [`RuntimeService::exec`].
    async fn attach(&self, request: v1::AttachRequest) -> Result<v1::AttachResponse>;
    /// See [`RuntimeService::exec`].
    async fn port_forward(&self, request: v1::PortForwardRequest) -> Result<v1::PortForwardResponse>;
    async fn container_stats(&self, request: v1::ContainerStatsRequest) -> Result<v1::ContainerStatsResponse>;
    async fn list_container_stats(
        &self,
        request: v1::ListContainerStatsRequest,
    ) -> Result<v1::ListContainerStatsResponse>;
    async fn pod_sandbox_stats(&self, request: v1::PodSandboxStatsRequest) -> Result<v1::PodSandboxStatsResponse>;
    async fn list_pod_sandbox_stats(
        &self,
        request: v1::ListPodSandboxStatsRequest,
    ) -> Result<v1::ListPodSandboxStatsResponse>;
    async fn update_runtime_config(
        &self,
        request: v1::UpdateRuntimeConfigRequest,
    ) -> Result<v1::UpdateRuntimeConfigResponse>;
    async fn status(&self, request: v1::StatusRequest) -> Result<v1::StatusResponse>;
    async fn checkpoint_container(
        &self,
        request: v1::CheckpointContainerRequest,
    ) -> Result<v1::CheckpointContainerResponse>;
    /// What happens to containers, as it happens: created, started, stopped, deleted.
    async fn get_container_events(&self, request: v1::GetEventsRequest) -> Result<ContainerEvents>;
    async fn list_metric_descriptors(
        &self,
        request: v1::ListMetricDescriptorsRequest,
    ) -> Result<v1::ListMetricDescriptorsResponse>;
    async fn list_pod_sandbox_metrics(
        &self,
        request: v1::ListPodSandboxMetricsRequest,
    ) -> Result<v1::ListPodSandboxMetricsResponse>;
    async fn runtime_config(&self, request: v1::RuntimeConfigRequest) -> Result<v1::RuntimeConfigResponse>;
}
