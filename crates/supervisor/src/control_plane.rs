//! The API server over its store: what answers requests.

mod encryption;

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context;
use apimachinery::UserInfo;
use apiserver::{Anonymous, ApiServer, AuthorizationModes, Gate, Listener};
use client::Client;
use controller_runtime::Tasks;
use registry::{Registry, Resources};
use store::{Store, StoreConfig};

use crate::{ApiServerConfig, certificates::Certificates, snapshots, store_control};

pub(crate) struct ControlPlane {
    server: ApiServer,
    store: Store,
    pub(crate) certificates: Arc<Certificates>,
}

impl ControlPlane {
    /// Returns when the server answers on its port and is ready.
    pub(crate) async fn start(mut config: ApiServerConfig, tasks: &Tasks) -> anyhow::Result<Self> {
        let certificates = Arc::new(Certificates::open(&config)?);
        let bind = SocketAddr::new(config.bind_address, config.secure_port);
        let tls = pki::server_config(certificates.serving.clone(), certificates.ca_pem())?;
        // Before anything is written: a taken port is the most frequent mistake.
        let listener = Listener::bind(bind, Arc::new(tls)).await.with_context(|| {
            format!("listen on {bind}; another server may have the port: choose one by --secure-port")
        })?;
        let address = listener.address().context("ask for the port")?;
        config.secure_port = address.port();

        let store = Store::open(StoreConfig {
            seal: Some(encryption::open(config.encryption.as_deref(), &config.data_dir, &Resources::built_in())?),
            ..StoreConfig::new(store_control::store_dir(&config.data_dir))
        })?;
        store_control::listen(&store, &config.data_dir, tasks)?;
        snapshots::start(&store, config.snapshots.clone(), tasks);
        let gate = Gate::new();
        let service_cidr = config.cluster.service_cidr;
        let registry_config = registry::Config {
            service_cluster_ip_range: (service_cidr.address.into(), service_cidr.prefix),
            ..registry::Config::default()
        };
        let admission = Arc::new(gate.clone());
        let registry = Registry::new(&registry_config, store.clone(), Resources::built_in(), admission);
        let server =
            ApiServer::start(server_config(&config, &certificates)?, registry, &gate, tasks.shutdown()).await?;
        server.register_metrics(controller_runtime::register_metrics);
        certificates.write_kubeconfig(&config)?;
        let serving = server.clone();
        tasks.spawn_graceful("apiserver", |stop| listener.serve(serving, stop));
        certificates.clone().keep_fresh(config, tasks);
        tracing::info!(%address, "API server ready");
        Ok(Self { server, store, certificates })
    }

    /// A client in this process, which passes the same authorization and admission as every other.
    pub(crate) fn client(&self, user: UserInfo) -> Client {
        Client::in_process(self.server.clone(), user)
    }

    pub(crate) async fn close(self) {
        self.store.close().await;
    }
}

fn server_config(config: &ApiServerConfig, certificates: &Certificates) -> anyhow::Result<apiserver::Config> {
    let issuer = format!("https://kubernetes.default.svc.{}", config.cluster.domain);
    let kubelet_tls = pki::renewable_client_config(certificates.kubelet_ca_pem(), certificates.kubelet_client.clone())?;
    Ok(apiserver::Config {
        advertise_address: config.advertise_address,
        advertise_port: config.secure_port,
        anonymous: if config.anonymous_auth { Anonymous::Everything } else { Anonymous::HealthAndVersion },
        authorization: AuthorizationModes { node: true, rbac: true },
        api_audiences: vec![issuer.clone()],
        issuer,
        token_key: certificates.token_key.clone(),
        client_ca_pem: certificates.ca_pem().to_owned(),
        kubelet_tls: Arc::new(kubelet_tls),
    })
}
