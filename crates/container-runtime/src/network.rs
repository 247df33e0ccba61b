//! From the CRI's words about a pod's network to `cni`'s.

use std::net::Ipv4Addr;

use cni::{HostPort, Protocol};
use cri::{CriError, v1};

/// The host ports of a pod; ports without a host port need nothing.
pub(crate) fn host_ports(config: &v1::PodSandboxConfig) -> Result<Vec<HostPort>, CriError> {
    let wanted = config.port_mappings.iter().filter(|mapping| mapping.host_port > 0);
    wanted.map(one).collect()
}

fn one(mapping: &v1::PortMapping) -> Result<HostPort, CriError> {
    let protocol = match v1::Protocol::try_from(mapping.protocol) {
        Ok(v1::Protocol::Tcp) => Protocol::Tcp,
        Ok(v1::Protocol::Udp) => Protocol::Udp,
        _ => return Err(CriError::invalid_argument("host ports are supported for TCP and UDP only")),
    };
    let port = |number: i32| {
        u16::try_from(number).map_err(|_| CriError::invalid_argument(format!("{number} is not a port number")))
    };
    let host_ip = match mapping.host_ip.as_str() {
        "" | "0.0.0.0" => None,
        text => Some(
            text.parse::<Ipv4Addr>()
                .map_err(|_| CriError::invalid_argument(format!("host IP {text:?} is not an IPv4 address")))?,
        ),
    };
    Ok(HostPort {
        protocol,
        host_ip,
        host_port: port(mapping.host_port)?,
        container_port: port(mapping.container_port)?,
    })
}

/// `resolv.conf` as the pod's DNS configuration has it; the host's own if the pod has none.
pub(crate) fn resolv_conf(config: &v1::PodSandboxConfig) -> std::io::Result<String> {
    let Some(dns) = &config.dns_config else { return std::fs::read_to_string("/etc/resolv.conf") };
    if dns.servers.is_empty() && dns.searches.is_empty() && dns.options.is_empty() {
        return std::fs::read_to_string("/etc/resolv.conf");
    }
    let mut text = String::new();
    if !dns.searches.is_empty() {
        text.push_str(&format!("search {}\n", dns.searches.join(" ")));
    }
    for server in &dns.servers {
        text.push_str(&format!("nameserver {server}\n"));
    }
    if !dns.options.is_empty() {
        text.push_str(&format!("options {}\n", dns.options.join(" ")));
    }
    Ok(text)
}
