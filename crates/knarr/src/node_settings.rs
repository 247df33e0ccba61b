//! Settings of a node, of which the kubelet's are in [`crate::kubelet_settings`].

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Args;
use serde::Deserialize;
use supervisor::NodeConfig;

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
    pub(crate) fn or(self, file: Self) -> Self {
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

    pub(crate) fn config(self, data_dir: &Path) -> anyhow::Result<NodeConfig> {
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
