//! The order of boot.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::ensure;
use controller_runtime::Tasks;

use crate::{ApiServerConfig, control_plane::ControlPlane};

/// How long everything together has to end; then it is cut off. Nothing acknowledged depends on it.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// What was started. Dropping it does not stop it; [`Running::stop`] does.
pub struct Running {
    control_plane: ControlPlane,
    tasks: Tasks,
    kubeconfig: PathBuf,
}

impl Running {
    /// Where the API server listens.
    pub fn address(&self) -> SocketAddr {
        self.control_plane.address
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> &PathBuf {
        &self.kubeconfig
    }

    /// Stops everything and closes the store. Containers go on running.
    pub async fn stop(self) {
        if !self.tasks.stop(STOP_LIMIT).await {
            tracing::warn!("some tasks did not end within {STOP_LIMIT:?}");
        }
        self.control_plane.close().await;
    }
}

/// The API server alone: no controller, no scheduler, no node.
pub async fn apiserver(config: ApiServerConfig) -> anyhow::Result<Running> {
    check(&config)?;
    let tasks = Tasks::new();
    let kubeconfig = config.kubeconfig.clone();
    let control_plane = ControlPlane::start(config, &tasks).await?;
    Ok(Running { control_plane, tasks, kubeconfig })
}

/// What would fail late is refused early.
fn check(config: &ApiServerConfig) -> anyhow::Result<()> {
    let cluster = &config.cluster;
    ensure!(
        !cluster.service_cidr.overlaps(cluster.pod_cidr),
        "the networks of Services ({}) and of pods ({}) overlap: change --service-cluster-ip-range or --cluster-cidr",
        cluster.service_cidr,
        cluster.pod_cidr
    );
    Ok(())
}
