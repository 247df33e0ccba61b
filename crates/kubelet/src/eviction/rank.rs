//! Whom to evict first: who uses more than was asked for, then who matters less, then who uses more beyond the request.

use std::{collections::HashMap, sync::Arc};

use api::{core::v1::Pod, resources::pod_requests};

use super::{threshold::Signal, usage::PodUsage};

/// How much of what is short a pod uses.
fn used(signal: Signal, usage: &PodUsage) -> i64 {
    let amount = match signal.resource() {
        "memory" => usage.memory(),
        "ephemeral-storage" => usage.disk().bytes,
        "inodes" => usage.disk().inodes,
        _ => usage.processes,
    };
    i64::try_from(amount).unwrap_or(i64::MAX)
}

/// Sorts the pods, the one to evict first at the front. One that nothing is known of goes before all others.
pub(super) fn rank(pods: &mut [Arc<Pod>], signal: Signal, usage: &HashMap<String, PodUsage>) {
    pods.sort_by_cached_key(|pod| {
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        let requests = pod.spec.as_ref().map(pod_requests).unwrap_or_default();
        let requested = requests.get(signal.resource()).map(|q| q.units()).unwrap_or_default();
        let priority = pod.spec.as_ref().and_then(|s| s.priority).unwrap_or_default();
        let Some(usage) = usage.get(uid) else { return (false, false, priority, 0) };
        let beyond = used(signal, usage) - requested;
        // Processes are not requested: only how much a pod matters and how many it has count.
        let exceeds = signal.resource() == "pids" || beyond > 0;
        (true, !exceeds, priority, -beyond)
    });
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::eviction::usage::ContainerUsage;
    use serde_json::json;
    use volumes::Space;

    #[test]
    fn order_of_eviction() {
        // Name, priority, request, use.
        let table = [
            ("modest", 0, "100", 50),
            ("greedy", 0, "100", 150),
            ("greedier", 0, "100", 250),
            ("important", 10, "100", 900),
            ("least", -1, "100", 101),
            ("free", 0, "0", 140),
        ];
        let mut pods = Vec::new();
        let (mut memory, mut disk) = (HashMap::new(), HashMap::new());
        for (name, priority, request, use_) in table {
            let requests = json!({"requests": {"memory": request, "ephemeral-storage": request}});
            let spec = json!({"priority": priority, "containers": [{"name": "c", "resources": requests}]});
            let pod: Pod =
                serde_json::from_value(json!({"metadata": {"name": name, "uid": name}, "spec": spec})).unwrap();
            pods.push(Arc::new(pod));
            let of = |container| PodUsage { containers: vec![container], ..PodUsage::default() };
            memory.insert(name.to_owned(), of(ContainerUsage { memory: use_, ..ContainerUsage::default() }));
            let rootfs = Space { bytes: use_, inodes: 1 };
            disk.insert(name.to_owned(), of(ContainerUsage { rootfs, ..ContainerUsage::default() }));
        }
        let mut order = |signal, usage: &HashMap<String, PodUsage>| {
            rank(&mut pods, signal, usage);
            pods.iter().map(|p| p.metadata.name.clone().unwrap()).collect::<Vec<_>>().join(" ")
        };
        let expect = "least greedier free greedy important modest";
        assert_eq!(order(Signal::MemoryAvailable, &memory), expect);
        assert_eq!(order(Signal::NodefsAvailable, &disk), expect);
        memory.remove("modest");
        assert!(order(Signal::MemoryAvailable, &memory).starts_with("modest least"));
    }
}
