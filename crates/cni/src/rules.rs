//! Packet rules of the pod network, in a table of its own: masquerade, and host ports as elements of a map.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::Range;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// A port of the host that leads to a port of a pod. Without an address it means all of the host's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HostPort {
    pub protocol: Protocol,
    pub host_ip: Option<Ipv4Addr>,
    pub host_port: u16,
    pub container_port: u16,
}

impl HostPort {
    /// Whether both could not be served at once.
    pub(crate) fn clashes(&self, other: &Self) -> bool {
        self.protocol == other.protocol
            && self.host_port == other.host_port
            && (self.host_ip.is_none() || other.host_ip.is_none() || self.host_ip == other.host_ip)
    }
}

fn element(port: &HostPort, pod: Ipv4Addr) -> (&'static str, String, String) {
    let key = format!("{} . {}", port.protocol.name(), port.host_port);
    let value = format!("{pod} . {}", port.container_port);
    match port.host_ip {
        Some(ip) => ("ports_of_address", format!("{ip} . {key}"), value),
        None => ("ports", key, value),
    }
}

/// Lines that add the host ports of a pod.
pub(crate) fn add_ports(table: &str, ports: &[HostPort], pod: Ipv4Addr) -> String {
    let mut text = String::new();
    for port in ports {
        let (map, key, value) = element(port, pod);
        text.push_str(&format!("add element ip {table} {map} {{ {key} : {value} }}\n"));
    }
    if !ports.is_empty() {
        // A pod that reaches itself through the host must see the host as the source, or its answer goes astray.
        text.push_str(&format!("add element ip {table} selves {{ {pod} . {pod} }}\n"));
    }
    text
}

pub(crate) fn remove_ports(table: &str, ports: &[HostPort], pod: Ipv4Addr) -> String {
    let mut text = String::new();
    for port in ports {
        let (map, key, _) = element(port, pod);
        text.push_str(&format!("delete element ip {table} {map} {{ {key} }}\n"));
    }
    if !ports.is_empty() {
        text.push_str(&format!("delete element ip {table} selves {{ {pod} . {pod} }}\n"));
    }
    text
}

/// The table whole, replacing what was there.
pub(crate) fn table(table: &str, bridge: &str, range: Range, not_masqueraded: &[Range]) -> String {
    let mut inside = vec![range.to_string(), "224.0.0.0/4".to_owned()];
    inside.extend(not_masqueraded.iter().filter(|other| **other != range).map(ToString::to_string));
    let inside = inside.join(", ");
    format!(
        "table ip {table}\ndelete table ip {table}\n\
table ip {table} {{
 map ports {{ type inet_proto . inet_service : ipv4_addr . inet_service ; }}
 set selves {{ type ipv4_addr . ipv4_addr ; }}
 map ports_of_address {{ type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service ; }}
 chain to_pod {{
  meta l4proto {{ tcp, udp }} dnat ip to ip daddr . meta l4proto . th dport map @ports_of_address
  meta l4proto {{ tcp, udp }} dnat ip to meta l4proto . th dport map @ports
 }}
 chain from_outside {{ type nat hook prerouting priority dstnat ; fib daddr type local jump to_pod ; }}
 chain from_host {{ type nat hook output priority -100 ; fib daddr type local jump to_pod ; }}
 chain leaving {{ type nat hook postrouting priority srcnat ;
  ip saddr 127.0.0.0/8 oifname \"{bridge}\" masquerade
  ip saddr {range} ip daddr {range} ct status dnat ip saddr . ip daddr @selves masquerade
  ip saddr {range} ip daddr != {{ {inside} }} masquerade
 }}
}}
"
    )
}
