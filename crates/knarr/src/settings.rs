//! Flags, and the same names in one YAML file. A flag wins over the file, the file over the default.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{datastore_settings::DatastoreSettings, kubelet_settings::KubeletSettings};
use anyhow::Context;
use clap::Args;
use serde::{Deserialize, de::DeserializeOwned};
use supervisor::{AgentConfig, ApiServerConfig, Cidr, JoinToken, NodeConfig, S3, S3Config, ServerConfig};

pub(crate) const DEFAULT_DATA_DIR: &str = "/var/lib/knarr";
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
    const NAMES: [&str; 26] = [
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

/// Settings of the node.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct NodeSettings {
    /// Name of this node [default: the machine's name]
    #[arg(long, value_name = "NAME")]
    pub(crate) node_name: Option<String>,
    /// Address of this node [default: the machine's main address]
    #[arg(long, value_name = "IP")]
    pub(crate) node_ip: Option<IpAddr>,
    /// Folder for sockets and what else ends with the machine's uptime [default: /run/knarr]
    #[arg(long, value_name = "DIR")]
    pub(crate) runtime_dir: Option<PathBuf>,
    /// Folder for the logs of containers [default: logs in the data folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) log_dir: Option<PathBuf>,
    /// Bridge that pods are attached to [default: knarr0]
    #[arg(long, value_name = "NAME")]
    pub(crate) bridge: Option<String>,
    /// Control group under which pods are [default: /]
    #[arg(long, value_name = "PATH")]
    pub(crate) cgroup_root: Option<String>,
    /// Port of the kubelet [default: 10250]
    #[arg(long, value_name = "PORT")]
    pub(crate) kubelet_port: Option<u16>,
    /// Pods this node takes at most [default: 110]
    #[arg(long, value_name = "N")]
    pub(crate) max_pods: Option<u32>,
    /// Resolver configuration for names outside the cluster [default: /etc/resolv.conf]
    #[arg(long, value_name = "FILE")]
    pub(crate) resolv_conf: Option<PathBuf>,
}

impl NodeSettings {
    fn or(self, file: Self) -> Self {
        Self {
            node_name: self.node_name.or(file.node_name),
            node_ip: self.node_ip.or(file.node_ip),
            runtime_dir: self.runtime_dir.or(file.runtime_dir),
            log_dir: self.log_dir.or(file.log_dir),
            bridge: self.bridge.or(file.bridge),
            cgroup_root: self.cgroup_root.or(file.cgroup_root),
            kubelet_port: self.kubelet_port.or(file.kubelet_port),
            max_pods: self.max_pods.or(file.max_pods),
            resolv_conf: self.resolv_conf.or(file.resolv_conf),
        }
    }

    fn config(self, data_dir: &Path) -> anyhow::Result<NodeConfig> {
        let name = match self.node_name {
            Some(name) => name,
            None => nix::unistd::gethostname().context("ask for the machine's name")?.to_string_lossy().to_lowercase(),
        };
        let mut config = NodeConfig::new(name, data_dir);
        if let Some(address) = self.node_ip {
            config.address = address;
        }
        if let Some(dir) = self.runtime_dir {
            config.runtime_dir = dir;
        }
        if let Some(dir) = self.log_dir {
            config.log_dir = dir;
        }
        if let Some(bridge) = self.bridge {
            config.bridge = bridge;
        }
        if let Some(root) = self.cgroup_root {
            config.cgroup_root = root;
        }
        if let Some(port) = self.kubelet_port {
            config.kubelet_port = port;
        }
        if let Some(max) = self.max_pods {
            config.max_pods = max;
        }
        if let Some(path) = self.resolv_conf {
            config.resolv_conf = path;
        }
        Ok(config)
    }
}

/// All settings of a cluster on this machine.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ClusterSettings {
    /// YAML file with the same names as the flags
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    apiserver: ApiServerSettings,
    #[command(flatten)]
    node: NodeSettings,
    #[command(flatten)]
    kubelet: KubeletSettings,
    #[command(flatten)]
    joining: JoiningSettings,
}

/// How the server treats nodes.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct JoiningSettings {
    /// How long the certificates of nodes that joined are valid, such as 24h or 90d [default: 365d]
    #[arg(long, value_name = "TIME")]
    cluster_signing_duration: Option<String>,
    /// A node that has been silent for so long is not known to be ready [default: 50s]
    #[arg(long, value_name = "TIME")]
    node_monitor_grace_period: Option<String>,
}

impl JoiningSettings {
    const NAMES: [&str; 2] = ["cluster-signing-duration", "node-monitor-grace-period"];
    /// A shorter life would end before it is renewed on a slow machine.
    const SHORTEST: Duration = Duration::from_secs(60);
    /// Nodes speak every ten seconds; one that is late once is not gone.
    const SHORTEST_GRACE: Duration = Duration::from_secs(20);

    fn grace(&self, file: &Self) -> anyhow::Result<Duration> {
        let given = self.node_monitor_grace_period.as_ref().or(file.node_monitor_grace_period.as_ref());
        let Some(text) = given else { return Ok(ServerConfig::NODE_MONITOR_GRACE) };
        let grace = crate::token::duration(text).context("--node-monitor-grace-period")?;
        let least = Self::SHORTEST_GRACE;
        anyhow::ensure!(grace >= least, "--node-monitor-grace-period {text} is shorter than {}s", least.as_secs());
        Ok(grace)
    }

    fn duration(self, file: Self) -> anyhow::Result<Duration> {
        let Some(text) = self.cluster_signing_duration.or(file.cluster_signing_duration) else {
            return Ok(ServerConfig::SIGNING_DURATION);
        };
        let duration = crate::token::duration(&text).context("--cluster-signing-duration")?;
        anyhow::ensure!(duration >= Self::SHORTEST, "--cluster-signing-duration {text} is shorter than a minute");
        Ok(duration)
    }
}

/// All settings of a node that joins.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct AgentSettings {
    /// YAML file with the same names as the flags
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    joined: JoinedSettings,
    #[command(flatten)]
    node: NodeSettings,
    #[command(flatten)]
    kubelet: KubeletSettings,
}

/// Which server to join.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct JoinedSettings {
    /// URL of the server, such as https://192.0.2.1:6443
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Token that `knarr token create` printed on the server; needed for the first start only
    #[arg(long, value_name = "TOKEN", env = "KNARR_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Folder for everything that must survive [default: /var/lib/knarr]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl JoinedSettings {
    const NAMES: [&str; 3] = ["server", "token", "data-dir"];
}

impl AgentSettings {
    pub(crate) fn config(self) -> anyhow::Result<AgentConfig> {
        let whole: serde_json::Map<String, serde_json::Value> =
            self.config.as_deref().map(read).transpose()?.unwrap_or_default();
        let [joined, kubelet, node] = shared_out(whole, [&JoinedSettings::NAMES, &KubeletSettings::NAMES]);
        let file = |_| "configuration file";
        let from: JoinedSettings = serde_json::from_value(joined).with_context(|| file(()))?;
        let node_file: NodeSettings = serde_json::from_value(node).with_context(|| file(()))?;
        let kubelet_file: KubeletSettings = serde_json::from_value(kubelet).with_context(|| file(()))?;
        let server = self.joined.server.or(from.server);
        let server =
            server.context("which server? give its URL by --server, such as --server https://192.0.2.1:6443")?;
        let token = self.joined.token.or(from.token).map(|t| t.parse::<JoinToken>()).transpose().context("--token")?;
        let data_dir = self.joined.data_dir.or(from.data_dir).unwrap_or_else(|| DEFAULT_DATA_DIR.into());
        let mut node = self.node.or(node_file).config(&data_dir)?;
        self.kubelet.or(kubelet_file).apply(&mut node)?;
        Ok(AgentConfig { server, token, node })
    }
}

/// Gives each name to the first list that has it; the rest comes last.
fn shared_out(
    whole: serde_json::Map<String, serde_json::Value>,
    [first, second]: [&[&str]; 2],
) -> [serde_json::Value; 3] {
    let mut out: [serde_json::Map<_, _>; 3] = Default::default();
    for (name, value) in whole {
        let place = if first.contains(&name.as_str()) {
            0
        } else if second.contains(&name.as_str()) {
            1
        } else {
            2
        };
        out[place].insert(name, value);
    }
    out.map(serde_json::Value::Object)
}

/// The file of [`ClusterSettings`]: the names of all in one mapping.
#[derive(Debug, Default)]
struct ClusterFile {
    apiserver: ApiServerSettings,
    node: NodeSettings,
    kubelet: KubeletSettings,
    joining: JoiningSettings,
}

impl<'de> Deserialize<'de> for ClusterFile {
    /// Gives each name to the settings that know it; a name nobody knows is refused by the node's.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let whole = serde_json::Map::deserialize(deserializer)?;
        let known = |name: &str| ApiServerSettings::NAMES.contains(&name);
        let (apiserver, rest): (Vec<_>, Vec<_>) = whole.into_iter().partition(|(name, _)| known(name));
        let known = |name: &str| JoiningSettings::NAMES.contains(&name);
        let (joining, rest): (Vec<_>, Vec<_>) = rest.into_iter().partition(|(name, _)| known(name));
        let known = |name: &str| KubeletSettings::NAMES.contains(&name);
        let (kubelet, node): (Vec<_>, Vec<_>) = rest.into_iter().partition(|(name, _)| known(name));
        let object = |pairs: Vec<_>| serde_json::Value::Object(pairs.into_iter().collect());
        Ok(Self {
            apiserver: serde_json::from_value(object(apiserver)).map_err(D::Error::custom)?,
            node: serde_json::from_value(object(node)).map_err(D::Error::custom)?,
            kubelet: serde_json::from_value(object(kubelet)).map_err(D::Error::custom)?,
            joining: serde_json::from_value(object(joining)).map_err(D::Error::custom)?,
        })
    }
}

impl ClusterSettings {
    pub(crate) fn config(self) -> anyhow::Result<ServerConfig> {
        let file: ClusterFile = self.config.as_deref().map(read).transpose()?.unwrap_or_default();
        let apiserver = self.apiserver.or(file.apiserver).config()?;
        let mut node = self.node.or(file.node).config(&apiserver.data_dir)?;
        self.kubelet.or(file.kubelet).apply(&mut node)?;
        let node_monitor_grace = self.joining.grace(&file.joining)?;
        let signing_duration = self.joining.duration(file.joining)?;
        Ok(ServerConfig { signing_duration, node_monitor_grace, apiserver, node })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use std::io::Write;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        settings: ClusterSettings,
    }

    fn config(file: &str, flags: &[&str]) -> anyhow::Result<ServerConfig> {
        let mut on_disk = tempfile::NamedTempFile::new().unwrap();
        on_disk.write_all(file.as_bytes()).unwrap();
        let path = on_disk.path().to_str().unwrap();
        Line::parse_from([&["knarr", "--config", path], flags].concat()).settings.config()
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let file = "secure-port: 7000\nmax-pods: 7\ncluster-cidr: 10.1.0.0/16\n";
        let config = config(file, &["--secure-port", "8000"]).unwrap();
        assert_eq!((config.apiserver.secure_port, config.node.max_pods), (8000, 7));
        assert_eq!(config.apiserver.cluster.pod_cidr.to_string(), "10.1.0.0/16");
        assert_eq!(config.node.kubelet_port, 10250);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |file: &str, flags: &[&str]| format!("{:#}", config(file, flags).unwrap_err());
        assert!(error("max-pod: 7\n", &[]).contains("max-pod"));
        assert!(error("", &["--cluster-cidr", "10.1.0.0"]).contains("--cluster-cidr"));
        assert!(error("", &["--snapshot-interval", "soon"]).contains("--snapshot-interval"));
        assert!(error("snapshot-interval: 5s\n", &[]).contains("shorter than a minute"));
        assert!(error("", &["--snapshot-s3", "bucket"]).contains("s3://BUCKET"));
        assert!(error("", &["--s3-endpoint", "https://s3.local"]).contains("--snapshot-s3"));
        let unread = ["--snapshot-s3", "s3://b/f", "--s3-credentials", "/nonexistent"];
        assert!(error("", &unread).contains("/nonexistent"));
        assert!(error("", &["--snapshot-retention", "0"]).contains("--snapshot-retention"));
        let absent = Line::parse_from(["knarr", "--config", "/nowhere"]).settings.config();
        assert!(format!("{:#}", absent.unwrap_err()).contains("/nowhere"));
    }

    #[test]
    fn the_list_of_names_is_complete() {
        let all = ApiServerSettings::NAMES.iter().chain(&KubeletSettings::NAMES).map(|n| format!("{n}: x\n"));
        // Every name is known; that the values are nonsense comes after.
        let all: String = all.collect();
        assert!(!format!("{:#}", config(&all, &[]).unwrap_err()).contains("unknown field"));
        let parsed = <Line as clap::CommandFactory>::command();
        let longs = parsed.get_arguments().filter_map(|a| a.get_long()).count();
        assert_eq!(
            longs,
            ApiServerSettings::NAMES.len() + KubeletSettings::NAMES.len() + JoiningSettings::NAMES.len() + 9 + 1
        );
    }
}
