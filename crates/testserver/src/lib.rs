//! An API server in this process, with keys and a store in a folder of its own: for the component tests of those who
//! speak to it. Everything is as in the real one but sockets.

use std::{path::Path, sync::Arc};

use apimachinery::UserInfo;
use apiserver::{Anonymous, ApiServer, AuthorizationModes, Config, Gate};
use client::Client;
use pki::{Folder, Leaf};
use registry::{Registry, Resources};
use store::{Store, StoreConfig};
use tokio_util::sync::CancellationToken;

/// Ends when it is dropped, with its folder.
pub struct TestServer {
    server: ApiServer,
    folder: tempfile::TempDir,
    stop: CancellationToken,
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl TestServer {
    /// Returns when it is ready.
    ///
    /// # Panics
    /// When it cannot start: the test has failed.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let stop = CancellationToken::new();
        let gate = Gate::new();
        let store = Store::open(StoreConfig::new(folder.path().join("store"))).expect("a new store opens");
        let admission = Arc::new(gate.clone());
        let registry = Registry::new(&registry::Config::default(), store, Resources::built_in(), admission);
        let server = ApiServer::start(config(folder.path()), registry, &gate, stop.clone()).await;
        Self { server: server.expect("the API server starts"), folder, stop }
    }

    /// For those who put something between it and a client.
    pub fn server(&self) -> ApiServer {
        self.server.clone()
    }

    /// A client that acts as this user.
    pub fn client(&self, user: UserInfo) -> Client {
        Client::in_process(self.server(), user)
    }

    /// A client that may do everything.
    pub fn admin(&self) -> Client {
        self.client(UserInfo::new("kubernetes-admin", &["system:masters"]))
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

fn config(folder: &Path) -> Config {
    let pki = Folder::open(folder.join("pki")).expect("a new folder opens");
    let authority = pki.authority("ca", "kubernetes-ca").expect("an authority can be made");
    let kubelet_client = Leaf::client("kube-apiserver-kubelet-client", None);
    let kubelet_client = pki.leaf("apiserver-kubelet-client", &authority, &kubelet_client);
    let kubelet_client = kubelet_client.expect("a certificate can be made");
    let kubelet_tls = pki::client_config(authority.certificate_pem(), Some(&kubelet_client));
    let issuer = "https://kubernetes.default.svc".to_owned();
    Config {
        advertise_address: [127, 0, 0, 1].into(),
        advertise_port: 6443,
        anonymous: Anonymous::Nothing,
        authorization: AuthorizationModes { node: true, rbac: true },
        api_audiences: vec![issuer.clone()],
        issuer,
        token_key: Arc::new(pki.token_key("sa").expect("a key can be made")),
        client_ca_pem: authority.certificate_pem().to_owned(),
        hostname: None,
        kubelet_tls: Arc::new(kubelet_tls.expect("the certificates fit")),
    }
}
