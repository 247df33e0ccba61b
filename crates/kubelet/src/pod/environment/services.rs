//! The variables by which containers found Services before there was DNS.

use std::collections::BTreeMap;

use api::core::v1::Service;

/// `NAME_SERVICE_HOST` and the family, for every Service with an address.
pub(crate) fn service_variables(services: &[Service]) -> BTreeMap<String, String> {
    let mut made = BTreeMap::new();
    for service in services {
        let Some(spec) = &service.spec else { continue };
        let Some(address) = spec.cluster_ip.as_deref().filter(|ip| !ip.is_empty() && *ip != "None") else { continue };
        let Some(first) = spec.ports.iter().flatten().next() else { continue };
        let name = variable_name(service.metadata.name.as_deref().unwrap_or_default());
        let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        made.insert(format!("{name}_SERVICE_HOST"), address.to_owned());
        made.insert(format!("{name}_SERVICE_PORT"), first.port.to_string());
        for (index, port) in spec.ports.iter().flatten().enumerate() {
            if let Some(port_name) = port.name.as_deref().filter(|n| !n.is_empty()) {
                made.insert(format!("{name}_SERVICE_PORT_{}", variable_name(port_name)), port.port.to_string());
            }
            let protocol = port.protocol.as_deref().unwrap_or("TCP");
            let url = format!("{}://{host}:{}", protocol.to_lowercase(), port.port);
            if index == 0 {
                made.insert(format!("{name}_PORT"), url.clone());
            }
            let prefix = format!("{name}_PORT_{}_{}", port.port, protocol.to_uppercase());
            made.insert(prefix.clone(), url);
            made.insert(format!("{prefix}_PROTO"), protocol.to_lowercase());
            made.insert(format!("{prefix}_PORT"), port.port.to_string());
            made.insert(format!("{prefix}_ADDR"), address.to_owned());
        }
    }
    made
}

fn variable_name(name: &str) -> String {
    name.to_uppercase().replace('-', "_")
}
