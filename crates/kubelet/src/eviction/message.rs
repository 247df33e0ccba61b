//! What an evicted pod is told, in upstream's words.

use api::{core::v1::Pod, resources::amounts};
use apimachinery::{Format, Quantity};

use super::{Met, threshold::Signal, usage::PodUsage};

pub(super) fn of(signal: Signal, pod: &Pod, usage: Option<&PodUsage>, met: &[Met]) -> String {
    let resource = signal.resource();
    let mut text = format!("The node was low on resource: {resource}. ");
    if let Some((threshold, seen)) = met.iter().find(|(t, _)| t.signal.resource() == resource) {
        let quantity = threshold.quantity(seen.capacity);
        text.push_str(&format!("Threshold quantity: {quantity}, available: {}. ", seen.quantity()));
    }
    let spec = pod.spec.iter();
    let all = spec.flat_map(|s| s.containers.iter().chain(s.init_containers.iter().flatten()));
    let all: Vec<_> = all.collect();
    for used in usage.iter().flat_map(|u| &u.containers) {
        let Some(container) = all.iter().find(|c| c.name == used.name) else { continue };
        let amount = match resource {
            "memory" => used.memory,
            "ephemeral-storage" => used.rootfs.bytes + used.logs.bytes,
            _ => continue,
        };
        let requests = amounts(container.resources.as_ref().and_then(|r| r.requests.as_ref()));
        let request = requests.get(resource).copied().unwrap_or_default();
        let amount = Quantity::from_units(i64::try_from(amount).unwrap_or(i64::MAX), Format::BinarySi);
        if amount > request {
            let name = &container.name;
            text.push_str(&format!(
                "Container {name} was using {amount}, request is {request}, has larger consumption of {resource}. "
            ));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::eviction::{Threshold, reading::Observation, usage::ContainerUsage};
    use serde_json::json;

    #[test]
    fn the_words_are_upstreams() {
        let requests = json!({"requests": {"memory": "64Mi"}});
        let containers = json!([{"name": "c", "resources": requests}, {"name": "small", "resources": requests}]);
        let pod: Pod = serde_json::from_value(json!({"spec": {"containers": containers}})).unwrap();
        let threshold = Threshold::parse_list("memory.available<100Mi").unwrap()[0];
        let seen = Observation { signal: threshold.signal, available: 90 << 20, capacity: 1 << 30 };
        let of_container = |name: &str, memory| ContainerUsage { name: name.to_owned(), memory, ..Default::default() };
        let usage = PodUsage {
            containers: vec![of_container("c", 65 << 20), of_container("small", 1 << 20)],
            ..PodUsage::default()
        };
        let text = of(threshold.signal, &pod, Some(&usage), &[(threshold, seen)]);
        assert_eq!(
            text,
            "The node was low on resource: memory. Threshold quantity: 100Mi, available: 90Mi. Container c was \
             using 65Mi, request is 64Mi, has larger consumption of memory. "
        );
    }
}
