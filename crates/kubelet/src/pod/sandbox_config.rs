//! What the runtime is told to make a sandbox from.

use api::core::v1::Pod;
use cri::v1::{LinuxPodSandboxConfig, PodSandboxConfig, PodSandboxMetadata, PortMapping, Protocol};

use super::{dns, labels, names, security};
use crate::config::KubeletConfig;

#[derive(Debug, thiserror::Error)]
pub(crate) enum SandboxConfigError {
    #[error("reading the node's resolver configuration: {0}")]
    Resolver(#[from] std::io::Error),
    #[error(transparent)]
    Name(#[from] names::TooLong),
    #[error(transparent)]
    Security(#[from] security::SecurityError),
}

pub(crate) struct Made {
    pub(crate) config: PodSandboxConfig,
    pub(crate) missing_cluster_dns: bool,
}

pub(crate) fn sandbox_config(
    config: &KubeletConfig,
    pod: &Pod,
    attempt: u32,
    cgroup_parent: String,
) -> Result<Made, SandboxConfigError> {
    let of = |field: &Option<String>| field.clone().unwrap_or_default();
    let (name, namespace, uid) = (of(&pod.metadata.name), of(&pod.metadata.namespace), of(&pod.metadata.uid));
    let resolver = dns::resolver(config, pod)?;
    let spec = pod.spec.clone().unwrap_or_default();
    let host_network = spec.host_network == Some(true);
    let sysctls = spec.security_context.as_ref().and_then(|s| s.sysctls.clone()).unwrap_or_default();
    let linux = LinuxPodSandboxConfig {
        cgroup_parent,
        security_context: Some(security::sandbox_context(pod, config.seccomp_default, &config.root_dir)?),
        sysctls: sysctls.into_iter().map(|s| (s.name, s.value)).collect(),
        ..Default::default()
    };
    let made = PodSandboxConfig {
        // A pod on the node's network has the node's name.
        hostname: if host_network { String::new() } else { names::names(pod, &config.cluster_domain)?.hostname },
        log_directory: config.pod_log_dir(&namespace, &name, &uid).to_string_lossy().into_owned(),
        metadata: Some(PodSandboxMetadata { name, namespace, uid, attempt }),
        dns_config: Some(resolver.config),
        port_mappings: if host_network { Vec::new() } else { port_mappings(&spec) },
        labels: labels::pod_labels(pod),
        annotations: pod.metadata.annotations.clone().unwrap_or_default(),
        linux: Some(linux),
        ..Default::default()
    };
    Ok(Made { config: made, missing_cluster_dns: resolver.missing_cluster_dns })
}

fn port_mappings(spec: &api::core::v1::PodSpec) -> Vec<PortMapping> {
    let sidecars = spec.init_containers.iter().flatten().filter(|c| api::resources::is_restartable_init(c));
    let ports = spec.containers.iter().chain(sidecars).flat_map(|c| c.ports.iter().flatten());
    ports
        .filter_map(|port| {
            let host_port = port.host_port.filter(|p| *p > 0)?;
            let protocol = match port.protocol.as_deref() {
                Some("UDP") => Protocol::Udp,
                Some("SCTP") => Protocol::Sctp,
                _ => Protocol::Tcp,
            };
            Some(PortMapping {
                protocol: protocol as i32,
                container_port: port.container_port,
                host_port,
                host_ip: port.host_ip.clone().unwrap_or_default(),
            })
        })
        .collect()
}
