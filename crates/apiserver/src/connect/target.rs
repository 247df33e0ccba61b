//! Where a connection leads, found in the objects.

use std::net::IpAddr;

use apimachinery::{Object, Status, field::quote};
use serde_json::Value;

/// The kubelet of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kubelet {
    pub(super) host: String,
    pub(super) port: u16,
}

const KUBELET_PORT: u16 = 10250;
/// The kinds of node address, the best first, as upstream's `--kubelet-preferred-address-types`.
const ADDRESS_TYPES: [&str; 5] = ["Hostname", "InternalDNS", "InternalIP", "ExternalDNS", "ExternalIP"];

impl Kubelet {
    pub(super) fn of(node: &Object) -> Result<Self, Status> {
        let addresses =
            node.get(&["status", "addresses"]).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let of_type = |wanted: &str| {
            addresses.iter().find(|a| a["type"] == wanted).and_then(|a| a["address"].as_str()).map(str::to_owned)
        };
        // Addresses before names: on a single machine nothing resolves the node's name.
        let host = ["InternalIP", "ExternalIP"].into_iter().chain(ADDRESS_TYPES).find_map(of_type);
        let host = host.ok_or_else(|| {
            Status::internal(format!("no preferred addresses found; known addresses: {}", addresses.len()))
        })?;
        let port = node.get(&["status", "daemonEndpoints", "kubeletEndpoint", "Port"]).and_then(Value::as_u64);
        let port = port.and_then(|p| u16::try_from(p).ok()).filter(|p| *p != 0).unwrap_or(KUBELET_PORT);
        Ok(Self { host, port })
    }
}

/// Containers of all kinds of a pod.
fn containers(pod: &Object) -> impl Iterator<Item = &str> {
    ["containers", "initContainers", "ephemeralContainers"].into_iter().flat_map(|list| {
        let list = pod.get(&["spec", list]).and_then(Value::as_array).into_iter().flatten();
        list.filter_map(|c| c["name"].as_str())
    })
}

/// The container that is meant: the named one, or the only one.
pub(super) fn container(pod: &Object, asked: &str) -> Result<String, Status> {
    let name = pod.name();
    if !asked.is_empty() {
        if containers(pod).any(|c| c == asked) {
            return Ok(asked.to_owned());
        }
        return Err(Status::bad_request(format!("container {asked} is not valid for pod {name}")));
    }
    if let Some(default) = pod.annotation("kubectl.kubernetes.io/default-container")
        && containers(pod).any(|c| c == default)
    {
        return Ok(default.to_owned());
    }
    let names = |list: &str| -> Vec<&str> {
        let list = pod.get(&["spec", list]).and_then(Value::as_array).into_iter().flatten();
        list.filter_map(|c| c["name"].as_str()).collect()
    };
    let (main, init) = (names("containers"), names("initContainers"));
    if let [only] = main.as_slice()
        && init.is_empty()
        && names("ephemeralContainers").is_empty()
    {
        return Ok((*only).to_owned());
    }
    if let [only] = main.as_slice()
        && init.is_empty()
    {
        return Ok((*only).to_owned());
    }
    if main.is_empty() {
        return Err(Status::bad_request(format!("a container name must be specified for pod {name}")));
    }
    let mut message = format!("a container name must be specified for pod {name}, choose one of: [{}]", main.join(" "));
    if !init.is_empty() {
        message.push_str(&format!(" or one of the init containers: [{}]", init.join(" ")));
    }
    Err(Status::bad_request(message))
}

/// A scheme, a name and a port, as proxied names write them: `https:web:8443`, `web:http`, `web`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proxied {
    pub(super) tls: bool,
    pub(super) name: String,
    pub(super) port: String,
}

impl Proxied {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split(':').collect();
        let (scheme, name, port) = match parts.as_slice() {
            [name] => ("", *name, ""),
            [name, port] => ("", *name, *port),
            [scheme, name, port] => (*scheme, *name, *port),
            _ => return None,
        };
        (matches!(scheme, "" | "http" | "https") && !name.is_empty()).then(|| Self {
            tls: scheme == "https",
            name: name.to_owned(),
            port: port.to_owned(),
        })
    }
}

/// A pod's address and the port that is meant: a number, a port's name, or the first one.
pub(super) fn pod_address(pod: &Object, port: &str) -> Result<(IpAddr, u16), Status> {
    let address = pod.get_str(&["status", "podIP"]).unwrap_or_default();
    let Ok(address) = address.parse::<IpAddr>() else {
        return Err(Status::bad_request("address not allowed"));
    };
    if address.is_loopback() || address.is_multicast() || address.is_unspecified() || is_link_local(address) {
        return Err(Status::bad_request("address not allowed"));
    }
    let ports = pod.get(&["spec", "containers"]).and_then(Value::as_array).into_iter().flatten();
    let mut ports = ports.flat_map(|c| c["ports"].as_array().into_iter().flatten());
    let found = match port {
        "" => ports.next().and_then(|p| p["containerPort"].as_u64()),
        port => match port.parse::<u64>() {
            Ok(number) => Some(number),
            Err(_) => ports.find(|p| p["name"] == port).and_then(|p| p["containerPort"].as_u64()),
        },
    };
    let found = found.or((port.is_empty()).then_some(80)).and_then(|p| u16::try_from(p).ok());
    match found {
        Some(port) => Ok((address, port)),
        None => Err(Status::bad_request(format!("no port {} found for pod {}", quote(port), quote(pod.name())))),
    }
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// An address behind a service's port, and its port: the first ready one.
pub(super) fn service_address(service: &Object, slices: &[Object], port: &str) -> Result<(IpAddr, u16), Status> {
    let ports = service.get(&["spec", "ports"]).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let chosen = match (port, ports) {
        ("", [only]) => Some(only),
        (port, ports) => {
            ports.iter().find(|p| p["name"] == port || p["port"].as_u64().is_some_and(|n| port.parse() == Ok(n)))
        }
    };
    let unavailable =
        || Status::service_unavailable(format!("no endpoints available for service {}", quote(service.name())));
    let chosen = chosen.ok_or_else(|| {
        Status::service_unavailable(format!(
            "no service port {} found for service {}",
            quote(port),
            quote(service.name())
        ))
    })?;
    let port_name = chosen["name"].as_str().unwrap_or_default();
    for slice in slices {
        let number = slice
            .get(&["ports"])
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .find(|p| p["name"].as_str().unwrap_or_default() == port_name)
            .and_then(|p| p["port"].as_u64())
            .and_then(|p| u16::try_from(p).ok());
        let ready = slice.get(&["endpoints"]).and_then(Value::as_array).into_iter().flatten();
        let address = ready
            .filter(|e| e["conditions"]["ready"] != Value::Bool(false))
            .find_map(|e| e["addresses"][0].as_str()?.parse::<IpAddr>().ok());
        if let (Some(number), Some(address)) = (number, address) {
            if address.is_loopback() || is_link_local(address) || address.is_unspecified() {
                return Err(Status::bad_request("address not allowed"));
            }
            return Ok((address, number));
        }
    }
    Err(unavailable())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use serde_json::json;

    use super::*;

    fn pod(spec: Value) -> Object {
        Object::from_value(json!({"metadata": {"name": "p"}, "spec": spec, "status": {"podIP": "10.0.0.9"}})).unwrap()
    }

    #[test]
    fn the_only_container_is_meant() {
        let one = pod(json!({"containers": [{"name": "a"}]}));
        assert_eq!(container(&one, "").unwrap(), "a");
        assert_eq!(container(&one, "b").unwrap_err().message, "container b is not valid for pod p");
        let two = pod(json!({"containers": [{"name": "a"}, {"name": "b"}]}));
        assert_eq!(
            container(&two, "").unwrap_err().message,
            "a container name must be specified for pod p, choose one of: [a b]"
        );
    }

    #[test]
    fn proxied_names_and_ports() {
        let parsed = Proxied::parse("https:p:x").unwrap();
        assert_eq!((parsed.tls, parsed.name.as_str(), parsed.port.as_str()), (true, "p", "x"));
        assert!(Proxied::parse("ftp:p:x").is_none());
        let pod = pod(json!({"containers": [{"name": "a", "ports": [{"name": "x", "containerPort": 81}]}]}));
        assert_eq!(pod_address(&pod, "x").unwrap().1, 81);
        assert_eq!(pod_address(&pod, "").unwrap().1, 81);
        assert!(pod_address(&pod, "y").is_err());
    }
}
