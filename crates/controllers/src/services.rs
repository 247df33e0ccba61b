//! What endpoints and endpoint slices have in common: which services select a pod, and what a pod offers them.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use api::{
    IntOrString,
    conditions::is_pod_finished,
    core::v1::{Container, Pod, Service, ServicePort},
};
use controller_runtime::{Change, Entry, Key, Lister};

pub(crate) const HEADLESS_LABEL: &str = "service.kubernetes.io/headless";

type Selector = BTreeMap<String, String>;
/// Selectors, with the resource version they were read from.
type Known = HashMap<Key, (Box<str>, Option<Selector>)>;

/// The selectors of services, decoded once per revision: every change of a pod asks all of its namespace.
pub(crate) struct Selectors {
    services: Lister<Service>,
    known: Mutex<Known>,
}

impl Selectors {
    pub(crate) fn new(services: Lister<Service>) -> Self {
        Self { services, known: Mutex::default() }
    }

    /// The services that select the pod as it is or as it was.
    pub(crate) fn services_of(&self, change: &Change) -> Vec<Key> {
        let services = self.services.in_namespace(&change.key.namespace);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // Services that are gone are forgotten, so this is never larger than twice the lister.
        if known.len() > 2 * self.services.len() + 16 {
            known.retain(|key, _| self.services.get(key).is_some());
        }
        services
            .into_iter()
            .filter(|service| {
                let selector = selector_of(&mut known, service);
                selector.is_some_and(|selector| change.entries().any(|pod| selects(selector, pod)))
            })
            .map(|service| service.header.key.clone())
            .collect()
    }
}

fn selector_of<'a>(known: &'a mut HashMap<Key, (Box<str>, Option<Selector>)>, service: &Entry) -> Option<&'a Selector> {
    let header = &service.header;
    let stale = known.get(&header.key).is_none_or(|(version, _)| *version != header.resource_version);
    if stale {
        let selector = service.decode::<Service>().ok().and_then(|service| service.spec?.selector);
        known.insert(header.key.clone(), (header.resource_version.clone(), selector));
    }
    known.get(&header.key)?.1.as_ref()
}

fn selects(selector: &Selector, pod: &Entry) -> bool {
    !selector.is_empty() && selector.iter().all(|(key, value)| pod.header.label(key) == Some(value))
}

/// The selector of a service whose endpoints are made for it; none if somebody else makes them.
pub(crate) fn managed_selector(service: &Service) -> Option<apimachinery::LabelSelector> {
    let spec = service.spec.as_ref()?;
    if spec.type_.as_deref() == Some("ExternalName") {
        return None;
    }
    let selector = spec.selector.as_ref().filter(|selector| !selector.is_empty())?;
    Some(apimachinery::LabelSelector::from_map(selector.iter().map(|(k, v)| (k.as_str(), v.as_str()))))
}

pub(crate) fn is_headless(service: &Service) -> bool {
    service.spec.as_ref().and_then(|s| s.cluster_ip.as_deref()).is_some_and(|ip| ip == "None")
}

pub(crate) fn publishes_not_ready(service: &Service) -> bool {
    service.spec.as_ref().and_then(|s| s.publish_not_ready_addresses) == Some(true)
}

/// Whether the pod can serve at all: it has an address and has not ended; one that is being deleted counts only if
/// asked for.
pub(crate) fn may_serve(pod: &Pod, terminating_too: bool) -> bool {
    !is_pod_finished(pod) && !pod_ips(pod).is_empty() && (terminating_too || pod.metadata.deletion_timestamp.is_none())
}

/// The pod's addresses of all families, the primary first.
pub(crate) fn pod_ips(pod: &Pod) -> Vec<&str> {
    let Some(status) = &pod.status else { return Vec::new() };
    let listed: Vec<&str> = status.pod_ips.iter().flatten().map(|ip| ip.ip.as_str()).collect();
    if listed.is_empty() { status.pod_ip.iter().map(String::as_str).collect() } else { listed }
}

/// `IPv4` or `IPv6`.
pub(crate) fn family(address: &str) -> &'static str {
    if matches!(address.parse(), Ok(IpAddr::V6(_))) { "IPv6" } else { "IPv4" }
}

/// The container port a service port leads to; none if the pod has no port of that name.
pub(crate) fn target_port(pod: &Pod, port: &ServicePort) -> Option<i32> {
    match port.target_port.as_ref() {
        None => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(name)) => {
            let spec = pod.spec.as_ref()?;
            let protocol = |p: &Option<String>| p.clone().unwrap_or_else(|| "TCP".to_owned());
            let sidecar = |c: &&Container| c.restart_policy.as_deref() == Some("Always");
            let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten().filter(sidecar));
            containers
                .flat_map(|container| container.ports.iter().flatten())
                .find(|p| p.name.as_ref() == Some(name) && protocol(&p.protocol) == protocol(&port.protocol))
                .map(|p| p.container_port)
        }
    }
}

/// The name by which a headless service's DNS knows the pod.
pub(crate) fn hostname(service: &Service, pod: &Pod) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let hostname = spec.hostname.clone().filter(|name| !name.is_empty())?;
    (spec.subdomain == service.metadata.name && pod.metadata.namespace == service.metadata.namespace)
        .then_some(hostname)
}
