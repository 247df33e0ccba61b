//! From configuration to a server that answers.

use std::sync::{Arc, atomic::Ordering};

use apimachinery::Status;
use arc_swap::ArcSwap;
use auth::{BootstrapTokens, Chain, Graph, NodeAuthorizer, Rbac, ServiceAccountTokens};
use registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::{
    bootstrap,
    config::Config,
    discovery::Catalog,
    feeds,
    flow::Flow,
    gate::Gate,
    health::Health,
    live::Live,
    metrics::Metrics,
    openapi::Documents,
    peers,
    server::{ApiServer, Inner},
    tasks::Tasks,
};

/// Why the server did not come up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("what Services hold could not be repaired: {0}")]
    Services(#[source] Status),
    #[error("the cluster's default objects could not be written: {0}")]
    Bootstrap(#[source] Status),
}

impl ApiServer {
    /// Brings a server up over `registry`, which was made with `gate` as its admission. Returns when the default
    /// objects stand and authorization knows its rules. `stop` ends its background work and its watches.
    pub async fn start(
        config: Config,
        registry: Registry,
        gate: &Gate,
        stop: CancellationToken,
    ) -> Result<Self, StartError> {
        let live = Live { registry };
        let (rbac, graph) = (Arc::new(Rbac::new()), Arc::new(Graph::new()));
        let node =
            config.authorization.node.then(|| NodeAuthorizer::new(Arc::clone(&graph), bootstrap::rbac::node_rules()));
        let chain = Chain::new(node, config.authorization.rbac.then(|| Arc::clone(&rbac)));
        let reader = Arc::new(live.clone());
        let bootstrap_tokens = BootstrapTokens::new(reader.clone());
        let tokens = ServiceAccountTokens::new(Arc::clone(&config.token_key), config.issuer.clone(), reader);
        let catalog = Catalog::of(live.registry.resources());
        let server = Self {
            inner: Arc::new(Inner {
                peers: peers::Peers::of(&config),
                config,
                live,
                chain,
                rbac,
                graph,
                tokens,
                bootstrap_tokens,
                catalog: ArcSwap::from_pointee(catalog),
                openapi: Documents::default(),
                flow: Flow::default(),
                feeds: feeds::Feeds::default(),
                health: Health::default(),
                metrics: Metrics::default(),
                tasks: Tasks::new(stop),
            }),
        };
        gate.open(&server);
        server.inner.live.registry.repair_services().await.map_err(StartError::Services)?;
        server.bootstrap().await.map_err(StartError::Bootstrap)?;
        server.inner.health.bootstrapped.store(true, Ordering::Release);
        feeds::start(&server).await;
        server.join_peers().await.map_err(StartError::Bootstrap)?;
        let registry = server.inner.live.registry.clone();
        server.inner.tasks.spawn("event expiry", async move { registry.expire_events().await });
        Ok(server)
    }

    /// Makes the metrics of others part of `/metrics`.
    pub fn register_metrics(&self, register: impl FnOnce(&mut prometheus_client::registry::Registry)) {
        self.inner.metrics.register(register);
    }

    /// Whether `/readyz` answers ok, as far as was last asked of the store.
    pub fn is_ready(&self) -> bool {
        self.inner.health.stopping.store(self.inner.tasks.stopping().is_cancelled(), Ordering::Release);
        self.inner.health.is_ready()
    }

    /// What the health checks look at, as it is now.
    pub(crate) async fn health(&self) -> &Health {
        let health = &self.inner.health;
        health.stored.store(self.inner.live.registry.is_store_well().await, Ordering::Release);
        health.stopping.store(self.inner.tasks.stopping().is_cancelled(), Ordering::Release);
        health
    }
}
