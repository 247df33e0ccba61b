//! Flags, and the same names in one YAML file. A flag wins over the file, the file over the default.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Args;
use serde::{Deserialize, de::DeserializeOwned};
use supervisor::{ApiServerConfig, Cidr};

const DEFAULT_DATA_DIR: &str = "/var/lib/knarr";
/// A configuration file is short; a larger one is a mistake.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Reads a YAML file of settings. Unknown names are refused.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let failed = || format!("configuration file {}", path.display());
    let size = std::fs::metadata(path).with_context(failed)?.len();
    anyhow::ensure!(size <= MAX_FILE_BYTES, "{}: {size} bytes are too many", failed());
    let text = std::fs::read_to_string(path).with_context(failed)?;
    serde_saphyr::from_str(&text).with_context(failed)
}

/// Settings of the API server and of what all parts agree on.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct ApiServerSettings {
    /// Folder for everything that must survive [default: /var/lib/knarr]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Address to listen on [default: all]
    #[arg(long, value_name = "IP")]
    pub(crate) bind_address: Option<IpAddr>,
    /// Port of the API [default: 6443]
    #[arg(long, value_name = "PORT")]
    pub(crate) secure_port: Option<u16>,
    /// Address by which others reach this server [default: the machine's main address]
    #[arg(long, value_name = "IP")]
    pub(crate) advertise_address: Option<IpAddr>,
    /// Network of the addresses of Services [default: 10.96.0.0/16]
    #[arg(long, value_name = "CIDR")]
    pub(crate) service_cluster_ip_range: Option<String>,
    /// Network of the addresses of pods [default: 10.244.0.0/16]
    #[arg(long, value_name = "CIDR")]
    pub(crate) cluster_cidr: Option<String>,
    /// Domain of the cluster's names [default: cluster.local]
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster_domain: Option<String>,
    /// Let clients without credentials ask for what authorization allows them, not only for health and version
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub(crate) anonymous_auth: Option<bool>,
    /// File for the administrator's kubeconfig [default: admin.kubeconfig in the data folder]
    #[arg(long, value_name = "FILE")]
    pub(crate) write_kubeconfig: Option<PathBuf>,
}

impl ApiServerSettings {
    /// These, and where they say nothing what `file` says.
    pub(crate) fn or(self, file: Self) -> Self {
        Self {
            data_dir: self.data_dir.or(file.data_dir),
            bind_address: self.bind_address.or(file.bind_address),
            secure_port: self.secure_port.or(file.secure_port),
            advertise_address: self.advertise_address.or(file.advertise_address),
            service_cluster_ip_range: self.service_cluster_ip_range.or(file.service_cluster_ip_range),
            cluster_cidr: self.cluster_cidr.or(file.cluster_cidr),
            cluster_domain: self.cluster_domain.or(file.cluster_domain),
            anonymous_auth: self.anonymous_auth.or(file.anonymous_auth),
            write_kubeconfig: self.write_kubeconfig.or(file.write_kubeconfig),
        }
    }

    pub(crate) fn config(self) -> anyhow::Result<ApiServerConfig> {
        let network = |flag: &str, text: Option<String>, default: Cidr| match text {
            Some(text) => text.parse::<Cidr>().with_context(|| format!("--{flag}")),
            None => Ok(default),
        };
        let mut config = ApiServerConfig::new(self.data_dir.unwrap_or_else(|| DEFAULT_DATA_DIR.into()));
        let cluster = &mut config.cluster;
        cluster.service_cidr =
            network("service-cluster-ip-range", self.service_cluster_ip_range, cluster.service_cidr)?;
        cluster.pod_cidr = network("cluster-cidr", self.cluster_cidr, cluster.pod_cidr)?;
        if let Some(domain) = self.cluster_domain {
            cluster.domain = domain.trim_matches('.').to_owned();
        }
        if let Some(address) = self.bind_address {
            config.bind_address = address;
        }
        if let Some(port) = self.secure_port {
            config.secure_port = port;
        }
        if let Some(address) = self.advertise_address {
            config.advertise_address = address;
        }
        if let Some(path) = self.write_kubeconfig {
            config.kubeconfig = path;
        }
        config.anonymous_auth = self.anonymous_auth.unwrap_or_default();
        Ok(config)
    }
}
