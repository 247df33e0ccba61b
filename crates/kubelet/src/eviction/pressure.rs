//! What the node is short of, for its conditions and for pods that come.

use std::collections::BTreeSet;

use api::{
    core::v1::{Pod, Taint},
    resources::{QosClass, qos_class},
};
use tokio::sync::watch;

use super::threshold::Condition;

/// From this priority on a pod is critical to the node: it is never evicted, and never turned away.
const CRITICAL_PRIORITY: i32 = 2_000_000_000;

pub(crate) fn is_critical(pod: &Pod) -> bool {
    pod.spec.as_ref().and_then(|s| s.priority).is_some_and(|p| p >= CRITICAL_PRIORITY)
}

/// Shared by the one who finds out and all who ask.
pub(crate) struct Pressure(watch::Sender<BTreeSet<Condition>>);

impl Default for Pressure {
    fn default() -> Self {
        Self(watch::Sender::new(BTreeSet::new()))
    }
}

impl Pressure {
    pub(super) fn set(&self, now: BTreeSet<Condition>) {
        self.0.send_if_modified(|before| {
            let changed = *before != now;
            *before = now;
            changed
        });
    }

    pub(crate) fn now(&self) -> BTreeSet<Condition> {
        self.0.borrow().clone()
    }

    pub(crate) fn changes(&self) -> watch::Receiver<BTreeSet<Condition>> {
        self.0.subscribe()
    }

    /// Why the pod may not begin here now, in upstream's words.
    pub(crate) fn refuse(&self, pod: &Pod) -> Option<String> {
        refuse(&self.now(), pod)
    }
}

fn refuse(now: &BTreeSet<Condition>, pod: &Pod) -> Option<String> {
    if now.is_empty() || is_critical(pod) {
        return None;
    }
    if now.iter().eq([&Condition::Memory]) {
        let taint = Taint {
            key: "node.kubernetes.io/memory-pressure".to_owned(),
            effect: "NoSchedule".to_owned(),
            ..Taint::default()
        };
        let mut tolerations = pod.spec.iter().flat_map(|s| s.tolerations.iter().flatten());
        if qos_class(pod) != QosClass::BestEffort || tolerations.any(|t| api::tolerates(t, &taint)) {
            return None;
        }
    }
    let names: Vec<&str> = now.iter().map(|c| c.as_str()).collect();
    Some(format!("The node had condition: [{}]. ", names.join(" ")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use serde_json::{Value, json};

    fn check(now: &[Condition], spec: Value) -> Option<String> {
        let mut spec = spec;
        spec["containers"] = spec.get("containers").cloned().unwrap_or(json!([{"name": "c"}]));
        let pod: Pod = serde_json::from_value(json!({"spec": spec})).unwrap();
        refuse(&now.iter().copied().collect(), &pod)
    }

    #[test]
    fn who_may_begin_under_pressure() {
        let (memory, disk) = (Condition::Memory, Condition::Disk);
        assert_eq!(check(&[], json!({})), None);
        assert_eq!(check(&[disk], json!({})).unwrap(), "The node had condition: [DiskPressure]. ");
        let both = check(&[memory, disk], json!({})).unwrap();
        assert_eq!(both, "The node had condition: [DiskPressure MemoryPressure]. ");
        assert_eq!(check(&[disk], json!({"priority": 2_000_000_000})), None);
        assert!(check(&[memory], json!({})).is_some());
        let some = json!([{"name": "c", "resources": {"requests": {"memory": "1Mi"}}}]);
        assert_eq!(check(&[memory], json!({"containers": some})), None);
        assert!(check(&[disk], json!({"containers": some})).is_some());
        let tolerant = json!([{"key": "node.kubernetes.io/memory-pressure", "operator": "Exists"}]);
        assert_eq!(check(&[memory], json!({"tolerations": tolerant})), None);
    }
}
