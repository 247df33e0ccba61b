//! What a pod asks for: requests and limits summed as the scheduler and the kubelet count them, and the quality of
//! service class that follows.

use std::collections::BTreeMap;

use apimachinery::Quantity;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as WireQuantity;

/// Amounts by resource name.
pub type Amounts = BTreeMap<String, Quantity>;

/// The quality of service class of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QosClass {
    Guaranteed,
    Burstable,
    BestEffort,
}

impl QosClass {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Guaranteed => "Guaranteed",
            Self::Burstable => "Burstable",
            Self::BestEffort => "BestEffort",
        }
    }
}

/// Reads amounts; one that does not parse (validation lets none through) counts as nothing.
pub fn amounts(wire: Option<&BTreeMap<String, WireQuantity>>) -> Amounts {
    wire.into_iter().flatten().filter_map(|(name, q)| Some((name.clone(), q.0.parse().ok()?))).collect()
}

/// Whether an init container is a sidecar: it keeps running beside the containers that follow.
pub fn is_restartable_init(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// What the scheduler reserves for the pod: containers and sidecars together, or the largest step of initialization,
/// whichever is more; pod-level resources replace it; overhead comes on top.
pub fn pod_requests(spec: &PodSpec) -> Amounts {
    total(spec, |r| amounts(r.requests.as_ref()))
}

/// Limits, summed alike. A resource is only limited as a whole where every container has a limit; the caller checks.
pub fn pod_limits(spec: &PodSpec) -> Amounts {
    total(spec, |r| amounts(r.limits.as_ref()))
}

fn total(spec: &PodSpec, pick: impl Fn(&ResourceRequirements) -> Amounts) -> Amounts {
    let of = |c: &Container| c.resources.as_ref().map(&pick).unwrap_or_default();
    let mut sum = Amounts::new();
    for container in &spec.containers {
        add(&mut sum, &of(container));
    }
    let mut sidecars = Amounts::new();
    let mut peak = Amounts::new();
    for container in spec.init_containers.iter().flatten() {
        let mut step = of(container);
        if is_restartable_init(container) {
            add(&mut sum, &step);
            add(&mut sidecars, &step);
            step = sidecars.clone();
        } else {
            add(&mut step, &sidecars);
        }
        raise(&mut peak, &step);
    }
    raise(&mut sum, &peak);
    if let Some(whole) = spec.resources.as_ref().map(&pick) {
        sum.extend(whole);
    }
    add(&mut sum, &amounts(spec.overhead.as_ref()));
    sum
}

fn add(sum: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let entry = sum.entry(name.clone()).or_default();
        *entry = entry.plus(*amount);
    }
}

fn raise(floor: &mut Amounts, to: &Amounts) {
    for (name, amount) in to {
        let entry = floor.entry(name.clone()).or_default();
        *entry = (*entry).max(*amount);
    }
}

/// The class the pod's resources give it; the one its status bears wins, as it never changes.
pub fn qos_class(pod: &Pod) -> QosClass {
    match pod.status.as_ref().and_then(|s| s.qos_class.as_deref()) {
        Some("Guaranteed") => return QosClass::Guaranteed,
        Some("Burstable") => return QosClass::Burstable,
        Some("BestEffort") => return QosClass::BestEffort,
        _ => {}
    }
    pod.spec.as_ref().map_or(QosClass::BestEffort, computed_qos_class)
}

/// The class by the rules: Guaranteed when cpu and memory are limited everywhere and requests equal limits, BestEffort
/// when neither is requested or limited anywhere.
pub fn computed_qos_class(spec: &PodSpec) -> QosClass {
    let whole = spec.resources.as_ref().filter(|r| r.requests.is_some() || r.limits.is_some());
    let each: Vec<Option<&ResourceRequirements>> = match whole {
        Some(r) => vec![Some(r)],
        None => {
            spec.containers.iter().chain(spec.init_containers.iter().flatten()).map(|c| c.resources.as_ref()).collect()
        }
    };
    let (mut any, mut guaranteed) = (false, true);
    let (mut requested, mut limited) = (Amounts::new(), Amounts::new());
    for resources in each {
        let keep = |mut a: Amounts| {
            a.retain(|name, q| (name == "cpu" || name == "memory") && !q.is_zero());
            a
        };
        let requests = keep(amounts(resources.and_then(|r| r.requests.as_ref())));
        let limits = keep(amounts(resources.and_then(|r| r.limits.as_ref())));
        any |= !requests.is_empty() || !limits.is_empty();
        guaranteed &= limits.len() == 2;
        add(&mut requested, &requests);
        add(&mut limited, &limits);
    }
    if !any {
        QosClass::BestEffort
    } else if guaranteed && requested.iter().all(|(name, q)| limited.get(name) == Some(q)) && requested.len() == 2 {
        QosClass::Guaranteed
    } else {
        QosClass::Burstable
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use serde_json::json;

    fn spec(value: serde_json::Value) -> PodSpec {
        serde_json::from_value(value).unwrap()
    }

    fn resources(requests: serde_json::Value, limits: serde_json::Value) -> serde_json::Value {
        json!({"containers": [{"name": "c", "resources": {"requests": requests, "limits": limits}}]})
    }

    #[test]
    fn classes_follow_requests_and_limits() {
        let both = json!({"cpu": "1", "memory": "1Gi"});
        for (value, class) in [
            (resources(both.clone(), both.clone()), QosClass::Guaranteed),
            (
                resources(json!({"cpu": "1", "memory": "1Gi"}), json!({"cpu": "1000m", "memory": "1024Mi"})),
                QosClass::Guaranteed,
            ),
            (resources(json!({"cpu": "1"}), json!({})), QosClass::Burstable),
            (resources(json!({}), json!({"cpu": "1"})), QosClass::Burstable),
            (resources(json!({}), json!({})), QosClass::BestEffort),
            (resources(json!({"cpu": "0"}), json!({})), QosClass::BestEffort),
            (resources(json!({"ephemeral-storage": "1Gi"}), json!({})), QosClass::BestEffort),
        ] {
            assert_eq!(computed_qos_class(&spec(value.clone())), class, "{value}");
        }
    }

    #[test]
    fn initialization_counts_by_its_largest_step() {
        let pod = spec(json!({
            "initContainers": [
                {"name": "side", "restartPolicy": "Always", "resources": {"requests": {"cpu": "100m"}}},
                {"name": "init", "resources": {"requests": {"cpu": "1"}}},
            ],
            "containers": [{"name": "c", "resources": {"requests": {"cpu": "200m", "memory": "1Mi"}}}],
        }));
        let requests = pod_requests(&pod);
        assert_eq!(requests["cpu"].milli(), 1100);
        assert_eq!(requests["memory"].units(), 1 << 20);
    }
}
