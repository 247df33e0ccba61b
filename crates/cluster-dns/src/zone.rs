//! All names of the cluster, each Service's on its own so that a change replaces only its own.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use controller_runtime::Key;

use crate::records::{Data, Entry};

#[derive(Default)]
pub(crate) struct Zone {
    services: HashMap<Key, Vec<Entry>>,
    names: HashMap<String, BTreeMap<Key, Vec<Data>>>,
    /// How many names end in this one: it exists even where nothing stands under it (RFC 8020).
    suffixes: HashMap<String, usize>,
    reverse: HashMap<IpAddr, BTreeMap<String, Key>>,
}

impl Zone {
    /// Replaces what a Service contributes; nothing when it is gone.
    pub(crate) fn set(&mut self, service: &Key, entries: Vec<Entry>) {
        for entry in self.services.remove(service).unwrap_or_default() {
            self.remove(service, &entry);
        }
        for entry in &entries {
            self.add(service, entry);
        }
        if !entries.is_empty() {
            self.services.insert(service.clone(), entries);
        }
    }

    fn add(&mut self, service: &Key, entry: &Entry) {
        let name = self.names.entry(entry.name.clone()).or_default();
        name.entry(service.clone()).or_default().push(entry.data.clone());
        for suffix in suffixes(&entry.name) {
            *self.suffixes.entry(suffix.to_owned()).or_default() += 1;
        }
        if let (true, Data::Address(address)) = (entry.reverse, &entry.data) {
            self.reverse.entry(*address).or_default().insert(entry.name.clone(), service.clone());
        }
    }

    fn remove(&mut self, service: &Key, entry: &Entry) {
        if let Some(name) = self.names.get_mut(&entry.name) {
            name.remove(service);
            if name.is_empty() {
                self.names.remove(&entry.name);
            }
        }
        for suffix in suffixes(&entry.name) {
            if let Some(count) = self.suffixes.get_mut(suffix) {
                *count -= 1;
                if *count == 0 {
                    self.suffixes.remove(suffix);
                }
            }
        }
        if let Data::Address(address) = &entry.data
            && let Some(names) = self.reverse.get_mut(address)
        {
            // Another Service may have the name by now.
            if names.get(&entry.name) == Some(service) {
                names.remove(&entry.name);
            }
            if names.is_empty() {
                self.reverse.remove(address);
            }
        }
    }

    /// What stands under the name; `None` when there is no such name.
    pub(crate) fn find(&self, name: &str) -> Option<Vec<Data>> {
        if let Some(address) = pod_address(name) {
            return Some(vec![Data::Address(address)]);
        }
        match self.names.get(name) {
            Some(found) => Some(found.values().flatten().cloned().collect()),
            None => self.suffixes.contains_key(name).then(Vec::new),
        }
    }

    pub(crate) fn reverse(&self, address: IpAddr) -> Vec<String> {
        self.reverse.get(&address).into_iter().flat_map(|names| names.keys().cloned()).collect()
    }
}

/// The name and every name above it.
fn suffixes(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |name| name.split_once('.').map(|(_, rest)| rest))
}

/// `10-42-0-3.ns.pod` is the address it says, whether or not there is such a pod, as upstream's default has it.
fn pod_address(name: &str) -> Option<IpAddr> {
    let (label, rest) = name.split_once('.')?;
    let (namespace, kind) = rest.split_once('.')?;
    if kind != "pod" || namespace.is_empty() {
        return None;
    }
    label.replace('-', ".").parse().ok().or_else(|| label.replace('-', ":").parse().ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use serde_json::{Value, json};

    use super::*;
    use crate::records::entries;

    fn zone(services: &[(Value, Value)]) -> Zone {
        let mut zone = Zone::default();
        for (spec, slice) in services {
            set(&mut zone, "web", spec, slice);
        }
        zone
    }

    fn set(zone: &mut Zone, name: &str, spec: &Value, slice: &Value) {
        let service = json!({"metadata": {"name": name, "namespace": "ns"}, "spec": spec});
        let slice = serde_json::from_value(slice.clone()).unwrap();
        let entries = entries(&serde_json::from_value(service).unwrap(), &[slice]);
        zone.set(&Key::new("ns", name), entries);
    }

    fn slice() -> Value {
        json!({"metadata": {"name": "web-1"}, "addressType": "IPv4",
            "ports": [{"name": "http", "protocol": "TCP", "port": 8080}],
            "endpoints": [
                {"addresses": ["10.42.0.3"], "hostname": "web-0", "conditions": {"ready": true}},
                {"addresses": ["10.42.0.4"], "conditions": {"ready": true}},
                {"addresses": ["10.42.0.5"], "conditions": {"ready": false}}]})
    }

    fn address(text: &str) -> Data {
        Data::Address(text.parse().unwrap())
    }

    #[test]
    fn a_cluster_ip_has_a_name_ports_and_a_reverse() {
        let spec = json!({"clusterIP": "10.96.0.5", "ports": [{"name": "http", "port": 80}, {"port": 81}]});
        let zone = zone(&[(spec, slice())]);
        assert_eq!(zone.find("web.ns.svc"), Some(vec![address("10.96.0.5")]));
        let server = Data::Server { port: 80, target: "web.ns.svc".to_owned() };
        assert_eq!(zone.find("_http._tcp.web.ns.svc"), Some(vec![server]));
        assert_eq!(zone.reverse("10.96.0.5".parse().unwrap()), ["web.ns.svc"]);
        // Above the name there are names without data; beside it there are none.
        assert_eq!(zone.find("ns.svc"), Some(vec![]));
        assert_eq!(zone.find("other.ns.svc"), None);
        assert_eq!(zone.find("x.web.ns.svc"), None);
    }

    #[test]
    fn headless_services_name_their_ready_endpoints() {
        let mut zone = zone(&[(json!({"clusterIP": "None"}), slice())]);
        assert_eq!(zone.find("web.ns.svc"), Some(vec![address("10.42.0.3"), address("10.42.0.4")]));
        assert_eq!(zone.find("web-0.web.ns.svc"), Some(vec![address("10.42.0.3")]));
        assert_eq!(zone.find("10-42-0-4.web.ns.svc"), Some(vec![address("10.42.0.4")]));
        assert_eq!(zone.find("_http._tcp.web.ns.svc").unwrap().len(), 2);
        assert_eq!(zone.reverse("10.42.0.3".parse().unwrap()), ["web-0.web.ns.svc"]);
        let all = json!({"clusterIP": "None", "publishNotReadyAddresses": true});
        set(&mut zone, "web", &all, &slice());
        assert_eq!(zone.find("web.ns.svc").unwrap().len(), 3);
    }

    #[test]
    fn a_service_that_goes_leaves_nothing() {
        let mut zone = zone(&[(json!({"clusterIP": "None"}), slice())]);
        zone.set(&Key::new("ns", "web"), Vec::new());
        assert!(zone.names.is_empty() && zone.suffixes.is_empty() && zone.reverse.is_empty());
    }

    #[test]
    fn pods_are_named_by_address() {
        let zone = Zone::default();
        assert_eq!(zone.find("10-42-0-3.ns.pod"), Some(vec![address("10.42.0.3")]));
        assert_eq!(zone.find("nonsense.ns.pod"), None);
    }
}
