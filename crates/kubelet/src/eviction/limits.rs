//! Limits of local storage: of an emptyDir, of a pod, of a container. Whoever is above one is evicted.

use api::{
    core::v1::{Pod, PodSpec},
    resources::{amounts, pod_limits},
};
use apimachinery::Quantity;

use super::usage::PodUsage;

const STORAGE: &str = "ephemeral-storage";

/// Whether the pod has a limit that only counting can enforce.
pub(super) fn has_limit(pod: &Pod) -> bool {
    let Some(spec) = &pod.spec else { return false };
    let dir = spec.volumes.iter().flatten().any(|v| dir_limit(v).is_some());
    dir || pod_limits(spec).contains_key(STORAGE)
}

/// A positive size limit of an emptyDir. One in memory is the kernel's to keep.
fn dir_limit(volume: &api::core::v1::Volume) -> Option<Quantity> {
    let source = volume.empty_dir.as_ref()?;
    let limit: Quantity = source.size_limit.as_ref()?.0.parse().ok()?;
    (source.medium.as_deref() != Some("Memory") && !limit.is_zero() && !limit.is_negative()).then_some(limit)
}

/// The first limit the pod is above, in upstream's words.
pub(super) fn exceeded(pod: &Pod, usage: &PodUsage) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    directory(spec, usage).or_else(|| whole(spec, usage)).or_else(|| container(spec, usage))
}

fn above(used: u64, limit: Quantity) -> bool {
    i64::try_from(used).unwrap_or(i64::MAX) > limit.units()
}

fn directory(spec: &PodSpec, usage: &PodUsage) -> Option<String> {
    for volume in spec.volumes.iter().flatten() {
        let Some(limit) = dir_limit(volume) else { continue };
        let used = usage.volumes.iter().find(|(name, _)| *name == volume.name);
        if used.is_some_and(|(_, space)| above(space.bytes, limit)) {
            return Some(format!("Usage of EmptyDir volume \"{}\" exceeds the limit \"{limit}\". ", volume.name));
        }
    }
    None
}

fn whole(spec: &PodSpec, usage: &PodUsage) -> Option<String> {
    let limit = *pod_limits(spec).get(STORAGE)?;
    let text = format!("Pod ephemeral local storage usage exceeds the total limit of containers {limit}. ");
    above(usage.disk().bytes, limit).then_some(text)
}

fn container(spec: &PodSpec, usage: &PodUsage) -> Option<String> {
    for container in &spec.containers {
        let limits = amounts(container.resources.as_ref().and_then(|r| r.limits.as_ref()));
        let Some(limit) = limits.get(STORAGE).filter(|q| !q.is_zero()) else { continue };
        let Some(used) = usage.containers.iter().find(|c| c.name == container.name) else { continue };
        if above(used.rootfs.bytes + used.logs.bytes, *limit) {
            let name = &container.name;
            return Some(format!("Container {name} exceeded its local ephemeral storage limit \"{limit}\". "));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::eviction::usage::ContainerUsage;
    use serde_json::{Value, json};
    use volumes::Space;

    fn check(spec: Value, dir: u64, [rootfs, logs]: [u64; 2]) -> Option<String> {
        let pod: Pod = serde_json::from_value(json!({"spec": spec})).unwrap();
        let space = |bytes| Space { bytes, inodes: 1 };
        let container = ContainerUsage {
            name: "c".to_owned(),
            rootfs: space(rootfs),
            logs: space(logs),
            ..ContainerUsage::default()
        };
        let usage = PodUsage {
            containers: vec![container],
            volumes: vec![("v".to_owned(), space(dir))],
            files: space(logs),
            processes: 1,
        };
        let found = exceeded(&pod, &usage);
        assert!(found.is_none() || has_limit(&pod));
        found
    }

    #[test]
    fn limits_and_their_messages() {
        let dir = |source: Value| json!({"containers": [], "volumes": [{"name": "v", "emptyDir": source}]});
        let limited = dir(json!({"sizeLimit": "1Mi"}));
        assert_eq!(check(limited.clone(), 1 << 20, [0, 0]), None);
        let message = check(limited, (1 << 20) + 1, [0, 0]).unwrap();
        assert_eq!(message, "Usage of EmptyDir volume \"v\" exceeds the limit \"1Mi\". ");
        assert_eq!(check(dir(json!({"sizeLimit": "1", "medium": "Memory"})), 9, [0, 0]), None);
        assert_eq!(check(dir(json!({})), 9, [0, 0]), None);

        let of = |name: &str, limit: &str| json!({"name": name, "resources": {"limits": {"ephemeral-storage": limit}}});
        let two = json!({"containers": [of("c", "1Ki"), of("d", "1Ki")]});
        assert_eq!(check(two.clone(), 0, [1000, 24]), None);
        let message = check(two.clone(), 0, [1000, 25]).unwrap();
        assert_eq!(message, "Container c exceeded its local ephemeral storage limit \"1Ki\". ");
        let message = check(two, 2000, [49, 0]).unwrap();
        assert_eq!(message, "Pod ephemeral local storage usage exceeds the total limit of containers 2Ki. ");
        assert_eq!(check(json!({"containers": [{"name": "c"}]}), 1 << 40, [1 << 40, 0]), None);
    }
}
