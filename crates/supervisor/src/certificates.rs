//! Who gets which certificate. Two authorities: one for the API and its clients, one for what the API server and the
//! kubelets say to each other, so that no user's certificate opens a kubelet.

use std::{net::IpAddr, sync::Arc, time::Duration};

use anyhow::Context;
use controller_runtime::Tasks;
use pki::{Authority, Folder, Leaf, Pair, ServingCertificate, TokenKey};

use crate::{ApiServerConfig, config::NodeConfig};

/// Certificates are looked at so often; those due are made anew.
const RENEWAL: Duration = Duration::from_secs(24 * 60 * 60);
const ADMIN: &str = "kubernetes-admin";

/// The keys of a control plane.
pub(crate) struct Certificates {
    folder: Folder,
    ca: Authority,
    kubelet_ca: Authority,
    serving_leaf: Leaf,
    pub(crate) serving: Arc<ServingCertificate>,
    pub(crate) admin: Pair,
    pub(crate) kubelet_client: Pair,
    pub(crate) token_key: Arc<TokenKey>,
}

impl Certificates {
    pub(crate) fn open(config: &ApiServerConfig) -> anyhow::Result<Self> {
        let folder = Folder::open(config.data_dir.join("pki"))?;
        let ca = folder.authority("ca", "kubernetes")?;
        let kubelet_ca = folder.authority("kubelet-ca", "kubelet")?;
        let serving_leaf = serving_leaf(config)?;
        let serving = ServingCertificate::new(&folder.leaf("apiserver", &ca, &serving_leaf)?)?;
        let admin = folder.leaf("admin", &ca, &Leaf::client(ADMIN, Some("system:masters")))?;
        let kubelet_client = folder.leaf("apiserver-kubelet-client", &kubelet_ca, &kubelet_client_leaf())?;
        let token_key = Arc::new(folder.token_key("sa")?);
        Ok(Self { folder, ca, kubelet_ca, serving_leaf, serving, admin, kubelet_client, token_key })
    }

    pub(crate) fn ca_pem(&self) -> &str {
        self.ca.certificate_pem()
    }

    pub(crate) fn kubelet_ca_pem(&self) -> &str {
        self.kubelet_ca.certificate_pem()
    }

    /// What the kubelet of this node serves with.
    pub(crate) fn kubelet_serving(&self, node: &NodeConfig) -> anyhow::Result<Arc<ServingCertificate>> {
        let name = format!("system:node:{}", node.name);
        let leaf = Leaf::server(name, &[&node.name], &[node.address, IpAddr::from([127, 0, 0, 1])]);
        Ok(ServingCertificate::new(&self.folder.leaf("kubelet", &self.kubelet_ca, &leaf)?)?)
    }

    /// Writes the administrator's kubeconfig, readable by its owner alone.
    pub(crate) fn write_kubeconfig(&self, config: &ApiServerConfig) -> anyhow::Result<()> {
        let host = match config.bind_address {
            address if address.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
            address => address,
        };
        let server = format!("https://{}", std::net::SocketAddr::new(host, config.secure_port));
        let credentials = client::kubeconfig::Credentials::Certificate {
            certificate_pem: self.admin.certificate_pem.clone(),
            key_pem: self.admin.key_pem.clone(),
        };
        let kubeconfig = client::kubeconfig::single("knarr", &server, self.ca_pem(), ADMIN, credentials);
        client::kubeconfig::write(&config.kubeconfig, &kubeconfig)?;
        Ok(())
    }

    /// Renews the serving certificate in place for as long as the server runs. Others are renewed at the next start,
    /// of which there is one within their last four months or they belong to no server that matters.
    pub(crate) fn keep_fresh(self: Arc<Self>, config: ApiServerConfig, tasks: &Tasks) {
        tasks.spawn("certificate-renewal", async move {
            loop {
                tokio::time::sleep(RENEWAL).await;
                if let Err(error) = self.renew(&config) {
                    tracing::error!(error = format!("{error:#}"), "certificates could not be renewed");
                }
            }
        });
    }

    fn renew(&self, config: &ApiServerConfig) -> anyhow::Result<()> {
        self.serving.replace(&self.folder.leaf("apiserver", &self.ca, &self.serving_leaf)?)?;
        self.folder.leaf("admin", &self.ca, &Leaf::client(ADMIN, Some("system:masters")))?;
        self.write_kubeconfig(config)
    }
}

fn kubelet_client_leaf() -> Leaf {
    Leaf::client("kube-apiserver-kubelet-client", None)
}

/// Every name by which clients may call the API server.
fn serving_leaf(config: &ApiServerConfig) -> anyhow::Result<Leaf> {
    let service = config.cluster.service_cidr.nth(1).context("the address of the Service kubernetes")?;
    let full = format!("kubernetes.default.svc.{}", config.cluster.domain);
    let host = nix::unistd::gethostname().context("ask for the machine's name")?;
    let mut names = vec!["kubernetes", "kubernetes.default", "kubernetes.default.svc", &full, "localhost"];
    let host = host.to_string_lossy();
    if !names.contains(&host.as_ref()) && apimachinery::validation::dns1123_subdomain(&host).is_empty() {
        names.push(&host);
    }
    let mut addresses: Vec<IpAddr> = vec![IpAddr::from([127, 0, 0, 1]), service.into()];
    for address in [config.advertise_address, config.bind_address] {
        if !address.is_unspecified() && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(Leaf::server("kube-apiserver", &names, &addresses))
}
