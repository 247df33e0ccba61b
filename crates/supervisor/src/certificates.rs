//! Who gets which certificate. Two authorities: one for the API and its clients, one for what the API server and the
//! kubelets say to each other, so that no user's certificate opens a kubelet.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use anyhow::Context;
use controller_runtime::Tasks;
use pki::{Authority, Folder, Leaf, Pair, ServingCertificate, TokenKey};

use crate::{ApiServerConfig, config::NodeConfig};

/// Certificates are looked at so often, however far off their end is: the clock may be set, as on machines that boot
/// without one, and a machine may have slept for a year.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Renewal that failed is tried again after this time.
const RENEWAL_RETRY: Duration = Duration::from_secs(10 * 60);
/// When an authority has less than this left, the next start renews it.
const AUTHORITY_LEFT: Duration = Duration::from_secs(2 * 365 * 24 * 60 * 60);
const ADMIN: &str = "kubernetes-admin";

/// The keys of a control plane.
pub(crate) struct Certificates {
    folder: Folder,
    pub(crate) ca: Arc<Authority>,
    pub(crate) kubelet_ca: Arc<Authority>,
    serving_leaf: Leaf,
    pub(crate) serving: Arc<ServingCertificate>,
    pub(crate) admin: Pair,
    /// What the API server shows kubelets.
    pub(crate) kubelet_client: Arc<ServingCertificate>,
    /// What this machine's kubelet serves with, once it does.
    kubelet_serving: OnceLock<(Arc<ServingCertificate>, Leaf)>,
    pub(crate) token_key: Arc<TokenKey>,
}

impl Certificates {
    pub(crate) fn open(config: &ApiServerConfig) -> anyhow::Result<Self> {
        let folder = Folder::open(config.data_dir.join("pki"))?;
        let ca = Arc::new(folder.authority("ca", "kubernetes")?);
        let kubelet_ca = Arc::new(folder.authority("kubelet-ca", "kubelet")?);
        let serving_leaf = serving_leaf(config)?;
        let serving = ServingCertificate::new(&with_authority(folder.leaf("apiserver", &ca, &serving_leaf)?, &ca))?;
        let admin = folder.leaf("admin", &ca, &Leaf::client(ADMIN, Some("system:masters")))?;
        let kubelet_client = folder.leaf("apiserver-kubelet-client", &kubelet_ca, &kubelet_client_leaf())?;
        let kubelet_client = ServingCertificate::new(&kubelet_client)?;
        let token_key = Arc::new(folder.token_key("sa")?);
        Ok(Self {
            folder,
            ca,
            kubelet_ca,
            serving_leaf,
            serving,
            admin,
            kubelet_client,
            kubelet_serving: OnceLock::new(),
            token_key,
        })
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
        let serving = ServingCertificate::new(&self.folder.leaf("kubelet", &self.kubelet_ca, &leaf)?)?;
        let (serving, _) = self.kubelet_serving.get_or_init(|| (serving, leaf));
        Ok(serving.clone())
    }

    /// Writes the administrator's kubeconfig, readable by its owner alone.
    pub(crate) fn write_kubeconfig(&self, config: &ApiServerConfig, admin: &Pair) -> anyhow::Result<()> {
        let host = match config.bind_address {
            address if address.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
            address => address,
        };
        let server = format!("https://{}", std::net::SocketAddr::new(host, config.secure_port));
        let credentials = client::kubeconfig::Credentials::Certificate {
            certificate_pem: admin.certificate_pem.clone(),
            key_pem: admin.key_pem.clone(),
        };
        let kubeconfig = client::kubeconfig::single("knarr", &server, self.ca_pem(), ADMIN, credentials);
        client::kubeconfig::write(&config.kubeconfig, &kubeconfig)?;
        Ok(())
    }

    /// Renews certificates in place for as long as the server runs.
    pub(crate) fn keep_fresh(self: Arc<Self>, config: ApiServerConfig, tasks: &Tasks) {
        tasks.spawn("certificate-renewal", async move {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                if !self.is_due() {
                    continue;
                }
                match self.renew(&config) {
                    Ok(()) => tracing::info!("certificates renewed"),
                    Err(error) => {
                        tracing::error!(error = format!("{error:#}"), "certificates could not be renewed");
                        tokio::time::sleep(RENEWAL_RETRY).await;
                    }
                }
            }
        });
    }

    /// Whether any leaf in use is to be made anew, or is not there as it should.
    fn is_due(&self) -> bool {
        let of_node = self.kubelet_serving.get().map(|_| "kubelet");
        ["apiserver", "admin", "apiserver-kubelet-client"].into_iter().chain(of_node).any(|name| {
            let pair = self.folder.pair(name).ok().flatten();
            pair.is_none_or(|pair| pki::is_due(&pair.certificate_pem))
        })
    }

    fn renew(&self, config: &ApiServerConfig) -> anyhow::Result<()> {
        let pair = self.folder.leaf("apiserver", &self.ca, &self.serving_leaf)?;
        self.serving.replace(&with_authority(pair, &self.ca))?;
        if let Some((serving, leaf)) = self.kubelet_serving.get() {
            serving.replace(&self.folder.leaf("kubelet", &self.kubelet_ca, leaf)?)?;
        }
        let client = self.folder.leaf("apiserver-kubelet-client", &self.kubelet_ca, &kubelet_client_leaf())?;
        self.kubelet_client.replace(&client)?;
        let admin = self.folder.leaf("admin", &self.ca, &Leaf::client(ADMIN, Some("system:masters")))?;
        self.write_kubeconfig(config, &admin)?;
        for (file, authority) in [("ca.crt", &self.ca), ("kubelet-ca.crt", &self.kubelet_ca)] {
            let ends = pki::end_time(authority.certificate_pem());
            if ends.is_none_or(|ends| ends < SystemTime::now() + AUTHORITY_LEFT) {
                tracing::warn!(file, "the certificate of an authority ends within two years: a start renews it");
            }
        }
        Ok(())
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

/// Sends the authority along, for nodes that join knowing only its hash.
fn with_authority(mut pair: Pair, authority: &Authority) -> Pair {
    pair.certificate_pem.push_str(authority.certificate_pem());
    pair
}
