//! Flags, and the same names in one YAML file. A flag wins over the file, the file over the default.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use clap::Args;
use serde::{Deserialize, de::DeserializeOwned};
use supervisor::ServerConfig;

use crate::{apiserver_settings::ApiServerSettings, kubelet_settings::KubeletSettings, node_settings::NodeSettings};

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
