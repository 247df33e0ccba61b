//! A container runtime in memory: it keeps what it is told, and containers run until the test ends them.

use std::sync::Arc;

use async_trait::async_trait;
use cri::{ContainerEvents, CriError, ImageService, Result, RuntimeService, v1::*};
use futures::StreamExt;
use parking_lot::Mutex;
use tokio::sync::broadcast;

#[derive(Default)]
struct Held {
    sandboxes: Vec<PodSandboxStatus>,
    containers: Vec<(String, ContainerStatus)>,
    made: usize,
}

#[derive(Clone)]
pub(crate) struct FakeRuntime {
    held: Arc<Mutex<Held>>,
    events: broadcast::Sender<ContainerEventResponse>,
}

fn now() -> i64 {
    api::jiff::Timestamp::now().as_nanosecond() as i64
}

impl FakeRuntime {
    pub(crate) fn new() -> Self {
        Self { held: Arc::default(), events: broadcast::channel(1024).0 }
    }

    /// Every container there is, as `name:attempt:state`.
    pub(crate) fn containers(&self) -> Vec<String> {
        let held = self.held.lock();
        let all = held.containers.iter().map(|(_, c)| {
            let meta = c.metadata.clone().unwrap();
            format!("{}:{}:{}", meta.name, meta.attempt, c.state)
        });
        all.collect()
    }

    pub(crate) fn sandboxes(&self) -> usize {
        self.held.lock().sandboxes.len()
    }

    /// Ends every running container of that name.
    pub(crate) fn exit(&self, name: &str, code: i32) {
        let ids: Vec<String> = {
            let held = self.held.lock();
            let running = held.containers.iter().filter(|(_, c)| c.metadata.as_ref().unwrap().name == name);
            running.filter(|(_, c)| c.state == 1).map(|(_, c)| c.id.clone()).collect()
        };
        ids.iter().for_each(|id| self.end(id, code));
    }

    fn end(&self, id: &str, code: i32) {
        self.change(id, |c| {
            if c.state == ContainerState::ContainerRunning as i32 {
                c.state = ContainerState::ContainerExited as i32;
                c.exit_code = code;
                c.finished_at = now();
            }
        });
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut ContainerStatus)) {
        let mut held = self.held.lock();
        let Some((sandbox, container)) = held.containers.iter_mut().find(|(_, c)| c.id == id) else { return };
        change(container);
        let (sandbox, container) = (sandbox.clone(), container.clone());
        let status = held.sandboxes.iter().find(|s| s.id == sandbox).cloned();
        drop(held);
        let event = ContainerEventResponse {
            container_id: container.id.clone(),
            pod_sandbox_status: status,
            containers_statuses: vec![container],
            ..Default::default()
        };
        // Nobody may be listening.
        self.events.send(event).ok();
    }
}

fn unimplemented<T>(call: &str) -> Result<T> {
    Err(CriError::unimplemented(call))
}

#[async_trait]
impl RuntimeService for FakeRuntime {
    async fn version(&self, _: VersionRequest) -> Result<VersionResponse> {
        Ok(VersionResponse { runtime_name: "fake".into(), runtime_version: "1".into(), ..Default::default() })
    }

    async fn status(&self, _: StatusRequest) -> Result<StatusResponse> {
        let good = |kind: &str| RuntimeCondition { r#type: kind.into(), status: true, ..Default::default() };
        let conditions = vec![good("RuntimeReady"), good("NetworkReady")];
        Ok(StatusResponse { status: Some(RuntimeStatus { conditions }), ..Default::default() })
    }

    async fn update_runtime_config(&self, _: UpdateRuntimeConfigRequest) -> Result<UpdateRuntimeConfigResponse> {
        Ok(UpdateRuntimeConfigResponse {})
    }

    async fn run_pod_sandbox(&self, request: RunPodSandboxRequest) -> Result<RunPodSandboxResponse> {
        let config = request.config.unwrap_or_default();
        let mut held = self.held.lock();
        held.made += 1;
        let id = format!("sandbox-{}", held.made);
        let network = PodSandboxNetworkStatus { ip: format!("10.0.0.{}", held.made), ..Default::default() };
        held.sandboxes.push(PodSandboxStatus {
            id: id.clone(),
            metadata: config.metadata,
            created_at: now(),
            network: Some(network),
            labels: config.labels,
            ..Default::default()
        });
        Ok(RunPodSandboxResponse { pod_sandbox_id: id })
    }

    async fn stop_pod_sandbox(&self, request: StopPodSandboxRequest) -> Result<StopPodSandboxResponse> {
        for sandbox in self.held.lock().sandboxes.iter_mut().filter(|s| s.id == request.pod_sandbox_id) {
            sandbox.state = PodSandboxState::SandboxNotready as i32;
        }
        Ok(StopPodSandboxResponse {})
    }

    async fn remove_pod_sandbox(&self, request: RemovePodSandboxRequest) -> Result<RemovePodSandboxResponse> {
        let mut held = self.held.lock();
        held.sandboxes.retain(|s| s.id != request.pod_sandbox_id);
        held.containers.retain(|(sandbox, _)| *sandbox != request.pod_sandbox_id);
        Ok(RemovePodSandboxResponse {})
    }

    async fn pod_sandbox_status(&self, request: PodSandboxStatusRequest) -> Result<PodSandboxStatusResponse> {
        let held = self.held.lock();
        let found = held.sandboxes.iter().find(|s| s.id == request.pod_sandbox_id).cloned();
        let status = found.ok_or_else(|| CriError::not_found("sandbox"))?;
        Ok(PodSandboxStatusResponse { status: Some(status), ..Default::default() })
    }

    async fn list_pod_sandbox(&self, request: ListPodSandboxRequest) -> Result<ListPodSandboxResponse> {
        let wanted = request.filter.unwrap_or_default().label_selector;
        let held = self.held.lock();
        let fits = held.sandboxes.iter().filter(|s| wanted.iter().all(|(k, v)| s.labels.get(k) == Some(v)));
        let items = fits.map(|s| PodSandbox { id: s.id.clone(), labels: s.labels.clone(), ..Default::default() });
        Ok(ListPodSandboxResponse { items: items.collect() })
    }

    async fn create_container(&self, request: CreateContainerRequest) -> Result<CreateContainerResponse> {
        let config = request.config.unwrap_or_default();
        let mut held = self.held.lock();
        held.made += 1;
        let id = format!("container-{}", held.made);
        let status = ContainerStatus {
            id: id.clone(),
            metadata: config.metadata,
            created_at: now(),
            image: config.image,
            labels: config.labels,
            annotations: config.annotations,
            mounts: config.mounts,
            ..Default::default()
        };
        held.containers.push((request.pod_sandbox_id, status));
        Ok(CreateContainerResponse { container_id: id })
    }

    async fn start_container(&self, request: StartContainerRequest) -> Result<StartContainerResponse> {
        self.change(&request.container_id, |c| {
            c.state = ContainerState::ContainerRunning as i32;
            c.started_at = now();
        });
        Ok(StartContainerResponse {})
    }

    async fn stop_container(&self, request: StopContainerRequest) -> Result<StopContainerResponse> {
        self.end(&request.container_id, 0);
        Ok(StopContainerResponse {})
    }

    async fn remove_container(&self, request: RemoveContainerRequest) -> Result<RemoveContainerResponse> {
        self.held.lock().containers.retain(|(_, c)| c.id != request.container_id);
        Ok(RemoveContainerResponse {})
    }

    async fn list_containers(&self, request: ListContainersRequest) -> Result<ListContainersResponse> {
        let wanted = request.filter.unwrap_or_default().label_selector;
        let held = self.held.lock();
        let fits = held.containers.iter().filter(|(_, c)| wanted.iter().all(|(k, v)| c.labels.get(k) == Some(v)));
        let containers = fits.map(|(sandbox, c)| Container {
            id: c.id.clone(),
            pod_sandbox_id: sandbox.clone(),
            state: c.state,
            ..Default::default()
        });
        Ok(ListContainersResponse { containers: containers.collect() })
    }

    async fn container_status(&self, request: ContainerStatusRequest) -> Result<ContainerStatusResponse> {
        let held = self.held.lock();
        let found = held.containers.iter().find(|(_, c)| c.id == request.container_id).map(|(_, c)| c.clone());
        let status = found.ok_or_else(|| CriError::not_found("container"))?;
        Ok(ContainerStatusResponse { status: Some(status), ..Default::default() })
    }

    async fn get_container_events(&self, _: GetEventsRequest) -> Result<ContainerEvents> {
        let events = futures::stream::unfold(self.events.subscribe(), |mut events| async move {
            let event = events.recv().await.ok()?;
            Some((Ok(event), events))
        });
        Ok(events.boxed())
    }

    async fn update_container_resources(
        &self,
        _: UpdateContainerResourcesRequest,
    ) -> Result<UpdateContainerResourcesResponse> {
        unimplemented("update_container_resources")
    }

    async fn reopen_container_log(&self, _: ReopenContainerLogRequest) -> Result<ReopenContainerLogResponse> {
        unimplemented("reopen_container_log")
    }

    async fn exec_sync(&self, _: ExecSyncRequest) -> Result<ExecSyncResponse> {
        unimplemented("exec_sync")
    }

    async fn exec(&self, _: ExecRequest) -> Result<ExecResponse> {
        unimplemented("exec")
    }

    async fn attach(&self, _: AttachRequest) -> Result<AttachResponse> {
        unimplemented("attach")
    }

    async fn port_forward(&self, _: PortForwardRequest) -> Result<PortForwardResponse> {
        unimplemented("port_forward")
    }

    async fn container_stats(&self, _: ContainerStatsRequest) -> Result<ContainerStatsResponse> {
        unimplemented("container_stats")
    }

    async fn list_container_stats(&self, _: ListContainerStatsRequest) -> Result<ListContainerStatsResponse> {
        unimplemented("list_container_stats")
    }

    async fn pod_sandbox_stats(&self, _: PodSandboxStatsRequest) -> Result<PodSandboxStatsResponse> {
        unimplemented("pod_sandbox_stats")
    }

    async fn list_pod_sandbox_stats(&self, _: ListPodSandboxStatsRequest) -> Result<ListPodSandboxStatsResponse> {
        unimplemented("list_pod_sandbox_stats")
    }

    async fn checkpoint_container(&self, _: CheckpointContainerRequest) -> Result<CheckpointContainerResponse> {
        unimplemented("checkpoint_container")
    }

    async fn list_metric_descriptors(&self, _: ListMetricDescriptorsRequest) -> Result<ListMetricDescriptorsResponse> {
        unimplemented("list_metric_descriptors")
    }

    async fn list_pod_sandbox_metrics(&self, _: ListPodSandboxMetricsRequest) -> Result<ListPodSandboxMetricsResponse> {
        unimplemented("list_pod_sandbox_metrics")
    }

    async fn runtime_config(&self, _: RuntimeConfigRequest) -> Result<RuntimeConfigResponse> {
        unimplemented("runtime_config")
    }
}

#[async_trait]
impl ImageService for FakeRuntime {
    async fn list_images(&self, _: ListImagesRequest) -> Result<ListImagesResponse> {
        Ok(ListImagesResponse::default())
    }

    async fn image_status(&self, request: ImageStatusRequest) -> Result<ImageStatusResponse> {
        let id = request.image.unwrap_or_default().image;
        Ok(ImageStatusResponse { image: Some(Image { id, ..Default::default() }), ..Default::default() })
    }

    async fn pull_image(&self, _: PullImageRequest) -> Result<PullImageResponse> {
        Err(CriError::unavailable("no registry"))
    }

    async fn remove_image(&self, _: RemoveImageRequest) -> Result<RemoveImageResponse> {
        Ok(RemoveImageResponse {})
    }

    async fn image_fs_info(&self, _: ImageFsInfoRequest) -> Result<ImageFsInfoResponse> {
        Err(CriError::unimplemented("image_fs_info"))
    }
}
