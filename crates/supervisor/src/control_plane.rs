//! The API server over its store: what answers requests.

pub(crate) mod encryption;

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context;
use apimachinery::UserInfo;
use apiserver::{Anonymous, ApiServer, AuthorizationModes, Gate, Listener};
use client::Client;
use controller_runtime::Tasks;
use registry::{Registry, Resources};
use store::{Store, StoreConfig};

use crate::{
    ApiServerConfig, DatastoreConfig, certificates::Certificates, datastore, open_files, snapshots, store_control,
};

pub(crate) struct ControlPlane {
    server: ApiServer,
    store: Store,
    pub(crate) certificates: Arc<Certificates>,
}

impl ControlPlane {
    /// Returns when the server answers on its port and is ready.
    pub(crate) async fn start(mut config: ApiServerConfig, tasks: &Tasks) -> anyhow::Result<Self> {
        match &config.datastore {
            Some(datastore) => {
                datastore::check_folder(datastore, &config.data_dir, config.encryption.is_some()).await?;
            }
            None => datastore::check_not_elsewhere(&config.data_dir)?,
        }
        let certificates = Arc::new(Certificates::open(&config)?);
        let bind = SocketAddr::new(config.bind_address, config.secure_port);
        let tls = pki::server_config(certificates.serving.clone(), certificates.ca_pem())?;
        // Before anything is written: a taken port is the most frequent mistake.
        open_files::raise();
        let listener = Listener::bind(bind, Arc::new(tls)).await.with_context(|| {
            format!("listen on {bind}; another server may have the port: choose one by --secure-port")
        })?;
        let listener = listener.with_at_most(open_files::connections());
        let address = listener.address().context("ask for the port")?;
        config.secure_port = address.port();

        let store = open_store(&config, &certificates).await?;
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
        certificates.write_kubeconfig(&config, &certificates.admin)?;
        let serving = server.clone();
        tasks.spawn_graceful("apiserver", |stop| listener.serve(serving, stop));
        certificates.clone().keep_fresh(config, tasks);
        tracing::info!(%address, "API server ready");
        Ok(Self { server, store, certificates })
    }

    /// A client in this process, which passes the same authorization and admission as every other.
    pub(crate) fn client(&self, user: UserInfo) -> Client {
        self.clients()(user)
    }

    /// Makes such clients.
    pub(crate) fn clients(&self) -> impl Fn(UserInfo) -> Client + Clone + Send + Sync + 'static {
        let server = self.server.clone();
        move |user| Client::in_process(server.clone(), user)
    }

    pub(crate) async fn close(self) {
        self.server.leave().await;
        self.store.close().await;
    }
}

/// The store of the configuration, local or on etcd, with this server's right to it.
async fn open_store(config: &ApiServerConfig, certificates: &Certificates) -> anyhow::Result<Store> {
    let prefix = config.datastore.as_ref().map(DatastoreConfig::prefix);
    let seal = encryption::open(config.encryption.as_deref(), &config.data_dir, prefix, &Resources::built_in())?;
    let Some(datastore) = &config.datastore else {
        let config = StoreConfig::new(store_control::store_dir(&config.data_dir));
        return Ok(Store::open(StoreConfig { seal: Some(seal), ..config })?);
    };
    let store = datastore::connect(datastore, Some(seal)).await?;
    datastore::claim(&store, datastore, &config.data_dir, certificates).await?;
    Ok(store)
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
        hostname: config.datastore.is_some().then(hostname).transpose()?,
        kubelet_tls: Arc::new(kubelet_tls),
    })
}

fn hostname() -> anyhow::Result<String> {
    Ok(nix::unistd::gethostname().context("ask for the machine's name")?.to_string_lossy().to_lowercase())
}
