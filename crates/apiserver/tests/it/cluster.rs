//! A server on a loopback socket over a store in a folder of its own, with an administrator's credentials in files.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use apiserver::{Anonymous, ApiServer, AuthorizationModes, Config, Gate, Listener};
use pki::{Folder, Leaf, ServingCertificate};
use registry::{Registry, Resources};
use store::{Store, StoreConfig};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A running server. Dropping it stops it.
pub(crate) struct Cluster {
    pub(crate) dir: PathBuf,
    pub(crate) address: SocketAddr,
    pub(crate) server: ApiServer,
    pub(crate) store: Store,
    stop: CancellationToken,
    /// The sockets are served as long as this stands.
    _serving: JoinSet<()>,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Cluster {
    pub(crate) async fn start(dir: PathBuf, port: u16, anonymous: Anonymous) -> anyhow::Result<Self> {
        let pki = Folder::open(dir.join("pki"))?;
        let authority = pki.authority("ca", "kubernetes-ca")?;
        let loopback = [std::net::Ipv4Addr::LOCALHOST.into()];
        let serving = pki.leaf("apiserver", &authority, &Leaf::server("kube-apiserver", &["localhost"], &loopback))?;
        pki.leaf("admin", &authority, &Leaf::client("kubernetes-admin", Some("system:masters")))?;
        let kubelet_client =
            pki.leaf("apiserver-kubelet-client", &authority, &Leaf::client("kube-apiserver-kubelet-client", None))?;
        let tls = pki::server_config(ServingCertificate::new(&serving)?, authority.certificate_pem())?;
        let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], port)), Arc::new(tls)).await?;
        let address = listener.address()?;

        let store = Store::open(StoreConfig::new(dir.join("store")))?;
        let gate = Gate::new();
        let registry_config = registry::Config::default();
        let registry = Registry::new(&registry_config, store.clone(), Resources::built_in(), Arc::new(gate.clone()));
        let issuer = "https://kubernetes.default.svc".to_owned();
        let config = Config {
            advertise_address: address.ip(),
            advertise_port: address.port(),
            anonymous,
            authorization: AuthorizationModes { node: true, rbac: true },
            api_audiences: vec![issuer.clone()],
            issuer,
            token_key: Arc::new(pki.token_key("sa")?),
            client_ca_pem: authority.certificate_pem().to_owned(),
            hostname: None,
            kubelet_tls: Arc::new(pki::client_config(authority.certificate_pem(), Some(&kubelet_client))?),
        };
        let stop = CancellationToken::new();
        let server = ApiServer::start(config, registry, &gate, stop.clone()).await?;
        let mut serving = JoinSet::new();
        serving.spawn(listener.serve(server.clone(), stop.clone()));
        Ok(Self { dir, address, server, store, stop, _serving: serving })
    }

    /// A file of the folder of keys and certificates.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.join("pki").join(name)
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Writes an administrator's kubeconfig and answers its path.
    pub(crate) fn kubeconfig(&self) -> anyhow::Result<PathBuf> {
        let path = self.dir.join("admin.conf");
        let config = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {
                "server": self.url(), "certificate-authority": self.file("ca.crt")}}],
            "users": [{"name": "u", "user": {
                "client-certificate": self.file("admin.crt"), "client-key": self.file("admin.key")}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        });
        std::fs::write(&path, config.to_string())?;
        Ok(path)
    }
}
