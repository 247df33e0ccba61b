//! The names one Service gives rise to.

use std::net::IpAddr;

use api::{
    core::v1::Service,
    discovery::v1::{Endpoint, EndpointSlice},
};

/// What stands under a name. Names are relative to the cluster's domain, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Data {
    Address(IpAddr),
    /// Another name, complete.
    Alias(String),
    Server {
        port: u16,
        target: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) data: Data,
    /// The address answers to this name in reverse.
    pub(crate) reverse: bool,
}

impl Entry {
    fn address(name: &str, address: IpAddr, reverse: bool) -> Self {
        Self { name: name.to_owned(), data: Data::Address(address), reverse }
    }

    fn server(service: &str, port_name: &str, protocol: &str, port: u16, target: &str) -> Self {
        let name = format!("_{port_name}._{}.{service}", protocol.to_ascii_lowercase());
        Self { name, data: Data::Server { port, target: target.to_owned() }, reverse: false }
    }
}

pub(crate) fn entries(service: &Service, slices: &[EndpointSlice]) -> Vec<Entry> {
    let meta = &service.metadata;
    let (Some(name), Some(namespace), Some(spec)) = (&meta.name, &meta.namespace, &service.spec) else {
        return Vec::new();
    };
    let base = format!("{name}.{namespace}.svc");
    if spec.type_.as_deref() == Some("ExternalName") {
        let target = spec.external_name.clone().unwrap_or_default();
        return vec![Entry { name: base, data: Data::Alias(target), reverse: false }];
    }
    let addresses: Vec<IpAddr> = match &spec.cluster_ips {
        Some(ips) => ips.iter().filter_map(|ip| ip.parse().ok()).collect(),
        None => spec.cluster_ip.iter().filter_map(|ip| ip.parse().ok()).collect(),
    };
    if addresses.is_empty() {
        let unready = spec.publish_not_ready_addresses.unwrap_or_default();
        return headless(&base, slices, unready);
    }
    let mut entries: Vec<Entry> = addresses.iter().map(|a| Entry::address(&base, *a, true)).collect();
    for port in spec.ports.iter().flatten() {
        if let (Some(port_name), Ok(number)) = (&port.name, u16::try_from(port.port)) {
            let protocol = port.protocol.as_deref().unwrap_or("TCP");
            entries.push(Entry::server(&base, port_name, protocol, number, &base));
        }
    }
    entries
}

/// A name for each endpoint, and all endpoints under the Service's own.
fn headless(base: &str, slices: &[EndpointSlice], unready: bool) -> Vec<Entry> {
    let mut entries = Vec::new();
    for slice in slices {
        for endpoint in slice.endpoints.iter().flatten() {
            let ready = endpoint.conditions.as_ref().and_then(|c| c.ready).unwrap_or(true);
            if !ready && !unready {
                continue;
            }
            for address in endpoint.addresses.iter().filter_map(|a| a.parse::<IpAddr>().ok()) {
                let own = format!("{}.{base}", endpoint_label(endpoint, address));
                entries.push(Entry::address(base, address, false));
                entries.push(Entry::address(&own, address, true));
                for port in slice.ports.iter().flatten() {
                    let port_name = port.name.as_deref().filter(|n| !n.is_empty());
                    if let (Some(port_name), Some(Ok(number))) = (port_name, port.port.map(u16::try_from)) {
                        let protocol = port.protocol.as_deref().unwrap_or("TCP");
                        entries.push(Entry::server(base, port_name, protocol, number, &own));
                    }
                }
            }
        }
    }
    entries.sort();
    entries.dedup();
    entries
}

/// The endpoint's hostname, else its address with dashes.
fn endpoint_label(endpoint: &Endpoint, address: IpAddr) -> String {
    match endpoint.hostname.as_deref().filter(|h| !h.is_empty()) {
        Some(hostname) => hostname.to_ascii_lowercase(),
        None => address.to_string().replace(['.', ':'], "-"),
    }
}
