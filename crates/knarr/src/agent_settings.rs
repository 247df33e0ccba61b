//! Settings of a node that joins a server.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use serde::Deserialize;
use supervisor::{AgentConfig, JoinToken};

use crate::{
    kubelet_settings::KubeletSettings,
    node_settings::NodeSettings,
    settings::{DEFAULT_DATA_DIR, read},
};

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
