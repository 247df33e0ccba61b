//! Resources of containers in the kernel's units.

use api::{
    core::v1::{Container, Pod},
    resources::{QosClass, amounts, qos_class},
};
use cri::v1::LinuxContainerResources;

pub(crate) const MIN_SHARES: i64 = 2;
const MAX_SHARES: i64 = 262_144;
const SHARES_PER_CPU: i64 = 1024;
/// The period quotas are counted in, in microseconds.
pub(crate) const QUOTA_PERIOD: i64 = 100_000;
const MIN_QUOTA: i64 = 1000;

const GUARANTEED_OOM: i64 = -997;
const BEST_EFFORT_OOM: i64 = 1000;
/// From this priority on a pod is critical to the node.
const CRITICAL_PRIORITY: i32 = 2_000_000_000;

pub(crate) fn shares(milli_cpu: i64) -> i64 {
    if milli_cpu == 0 { MIN_SHARES } else { (milli_cpu * SHARES_PER_CPU / 1000).clamp(MIN_SHARES, MAX_SHARES) }
}

/// None where nothing is limited.
pub(crate) fn quota(milli_cpu: i64) -> Option<i64> {
    (milli_cpu > 0).then(|| (milli_cpu * QUOTA_PERIOD / 1000).max(MIN_QUOTA))
}

pub(crate) fn container_resources(
    pod: &Pod,
    container: &Container,
    memory_capacity: i64,
    cfs_quota: bool,
) -> LinuxContainerResources {
    let resources = container.resources.as_ref();
    let requests = amounts(resources.and_then(|r| r.requests.as_ref()));
    let limits = amounts(resources.and_then(|r| r.limits.as_ref()));
    let cpu_limit = limits.get("cpu").map(|q| q.milli()).unwrap_or_default();
    let cpu_request = requests.get("cpu").map(|q| q.milli());
    let memory = limits.get("memory").map(|q| q.units()).unwrap_or_default();
    let quota = quota(cpu_limit).filter(|_| cfs_quota);
    LinuxContainerResources {
        cpu_shares: shares(cpu_request.unwrap_or(cpu_limit)),
        cpu_period: if quota.is_some() { QUOTA_PERIOD } else { 0 },
        cpu_quota: quota.unwrap_or_default(),
        memory_limit_in_bytes: memory,
        oom_score_adj: oom_score(pod, requests.get("memory").map(|q| q.units()).unwrap_or_default(), memory_capacity),
        ..Default::default()
    }
}

/// Who dies first when memory is short: what asked for less of the machine than it uses.
fn oom_score(pod: &Pod, memory_request: i64, capacity: i64) -> i64 {
    let critical = pod.spec.as_ref().and_then(|s| s.priority).is_some_and(|p| p >= CRITICAL_PRIORITY);
    match qos_class(pod) {
        _ if critical => GUARANTEED_OOM,
        QosClass::Guaranteed => GUARANTEED_OOM,
        QosClass::BestEffort => BEST_EFFORT_OOM,
        QosClass::Burstable => {
            let score = 1000 - (1000 * i128::from(memory_request) / i128::from(capacity.max(1))) as i64;
            // Above every guaranteed container, below every best-effort one.
            score.clamp(1000 + GUARANTEED_OOM, BEST_EFFORT_OOM - 1)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use serde_json::{Value, json};

    fn made(resources: Value) -> LinuxContainerResources {
        let spec = json!({"containers": [{"name": "c", "resources": resources}]});
        let pod: Pod = serde_json::from_value(json!({"spec": spec})).unwrap();
        container_resources(&pod, &pod.spec.as_ref().unwrap().containers[0], 1000 << 20, true)
    }

    #[test]
    fn kernel_units() {
        let none = made(json!({}));
        assert_eq!((none.cpu_shares, none.cpu_quota, none.memory_limit_in_bytes, none.oom_score_adj), (2, 0, 0, 1000));
        let some = made(json!({"requests": {"cpu": "250m", "memory": "100Mi"}, "limits": {"cpu": "500m"}}));
        assert_eq!((some.cpu_shares, some.cpu_quota, some.cpu_period), (256, 50_000, 100_000));
        assert_eq!(some.oom_score_adj, 900);
        let all = json!({"cpu": "2", "memory": "1Gi"});
        let full = made(json!({"requests": all, "limits": all}));
        assert_eq!((full.cpu_shares, full.oom_score_adj, full.memory_limit_in_bytes), (2048, -997, 1 << 30));
        assert_eq!(made(json!({"limits": {"cpu": "1m"}})).cpu_quota, 1000);
    }
}
