//! Settings of the API server.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use anyhow::Context;
use clap::Args;
use serde::Deserialize;
use supervisor::{ApiServerConfig, Cidr, S3, S3Config};

use crate::{datastore_settings::DatastoreSettings, settings::DEFAULT_DATA_DIR};

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
    /// File that says what is encrypted at rest, and how [default: secrets, with a key in the data folder]
    #[arg(long, value_name = "FILE")]
    pub(crate) encryption_provider_config: Option<PathBuf>,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) datastore: DatastoreSettings,
    /// Time between snapshots of the store, such as 12h; 0 for none [default: 12h]
    #[arg(long, value_name = "DURATION")]
    pub(crate) snapshot_interval: Option<String>,
    /// Snapshots that are kept, the latest [default: 5]
    #[arg(long, value_name = "N")]
    pub(crate) snapshot_retention: Option<usize>,
    /// Folder for snapshots [default: snapshots in the data folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) snapshot_dir: Option<PathBuf>,
    /// Bucket and folder in S3-compatible storage for scheduled snapshots too: s3://BUCKET/FOLDER
    #[arg(long, value_name = "PLACE")]
    pub(crate) snapshot_s3: Option<String>,
    /// Endpoint of that storage [default: Amazon's, in the region]
    #[arg(long, value_name = "URL")]
    pub(crate) s3_endpoint: Option<String>,
    /// Region of that storage [default: us-east-1]
    #[arg(long, value_name = "NAME")]
    pub(crate) s3_region: Option<String>,
    /// Authorities of the endpoint's certificate [default: those of the system]
    #[arg(long, value_name = "FILE")]
    pub(crate) s3_ca: Option<PathBuf>,
    /// File with the keys, in the form of ~/.aws/credentials [default: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY]
    #[arg(long, value_name = "FILE")]
    pub(crate) s3_credentials: Option<PathBuf>,
    /// File for the administrator's kubeconfig [default: admin.kubeconfig in the data folder]
    #[arg(long, value_name = "FILE")]
    pub(crate) write_kubeconfig: Option<PathBuf>,
}

impl ApiServerSettings {
    pub(crate) const NAMES: [&str; 26] = [
        "data-dir",
        "bind-address",
        "secure-port",
        "advertise-address",
        "service-cluster-ip-range",
        "cluster-cidr",
        "cluster-domain",
        "anonymous-auth",
        "encryption-provider-config",
        "datastore-endpoint",
        "datastore-cafile",
        "datastore-certfile",
        "datastore-keyfile",
        "datastore-username",
        "datastore-password-file",
        "etcd-prefix",
        "storage-media-type",
        "snapshot-interval",
        "snapshot-retention",
        "snapshot-dir",
        "snapshot-s3",
        "s3-endpoint",
        "s3-region",
        "s3-ca",
        "s3-credentials",
        "write-kubeconfig",
    ];

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
            encryption_provider_config: self.encryption_provider_config.or(file.encryption_provider_config),
            datastore: self.datastore.or(file.datastore),
            snapshot_interval: self.snapshot_interval.or(file.snapshot_interval),
            snapshot_retention: self.snapshot_retention.or(file.snapshot_retention),
            snapshot_dir: self.snapshot_dir.or(file.snapshot_dir),
            snapshot_s3: self.snapshot_s3.or(file.snapshot_s3),
            s3_endpoint: self.s3_endpoint.or(file.s3_endpoint),
            s3_region: self.s3_region.or(file.s3_region),
            s3_ca: self.s3_ca.or(file.s3_ca),
            s3_credentials: self.s3_credentials.or(file.s3_credentials),
            write_kubeconfig: self.write_kubeconfig.or(file.write_kubeconfig),
        }
    }

    pub(crate) fn config(self) -> anyhow::Result<ApiServerConfig> {
        let network = |flag: &str, text: Option<String>, default: Cidr| match text {
            Some(text) => text.parse::<Cidr>().with_context(|| format!("--{flag}")),
            None => Ok(default),
        };
        let datastore = self.datastore.config()?;
        let mut config = ApiServerConfig::new(self.data_dir.unwrap_or_else(|| DEFAULT_DATA_DIR.into()));
        config.datastore = datastore;
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
        config.encryption = self.encryption_provider_config;
        if let Some(text) = self.snapshot_interval {
            config.snapshots.every = interval(&text).context("--snapshot-interval")?;
        }
        if let Some(keep) = self.snapshot_retention {
            anyhow::ensure!(keep > 0, "--snapshot-retention: at least one must stay; --snapshot-interval 0 takes none");
            config.snapshots.keep = keep;
        }
        if let Some(dir) = self.snapshot_dir {
            config.snapshots.dir = dir;
        }
        config.snapshots.s3 = match self.snapshot_s3 {
            Some(place) => {
                let place = place.parse().context("--snapshot-s3")?;
                let mut s3 = S3Config { ca: self.s3_ca, credentials: self.s3_credentials, ..S3Config::new(place) };
                s3.endpoint = self.s3_endpoint;
                s3.region = self.s3_region.unwrap_or(s3.region);
                // What is wrong with it is better said now than at night.
                S3::open(&s3).context("--snapshot-s3")?;
                Some(s3)
            }
            None => {
                let given = [
                    ("s3-endpoint", self.s3_endpoint.is_some()),
                    ("s3-region", self.s3_region.is_some()),
                    ("s3-ca", self.s3_ca.is_some()),
                    ("s3-credentials", self.s3_credentials.is_some()),
                ];
                if let Some((flag, _)) = given.iter().find(|(_, given)| *given) {
                    anyhow::bail!("--{flag} says how S3 is used, and no --snapshot-s3 is given");
                }
                None
            }
        };
        config.anonymous_auth = self.anonymous_auth.unwrap_or_default();
        Ok(config)
    }
}

/// `12h`, `90m`, `1d12h`; none for zero.
fn interval(text: &str) -> anyhow::Result<Option<Duration>> {
    /// More often is no backup but a load.
    const SHORTEST: Duration = Duration::from_secs(60);
    if text == "0" {
        return Ok(None);
    }
    let span: jiff::SignedDuration = text.parse().with_context(|| format!("{text:?} is no duration such as 12h"))?;
    let duration = Duration::try_from(span).with_context(|| format!("{text} is negative"))?;
    anyhow::ensure!(duration.is_zero() || duration >= SHORTEST, "{text} is shorter than a minute");
    Ok((!duration.is_zero()).then_some(duration))
}
