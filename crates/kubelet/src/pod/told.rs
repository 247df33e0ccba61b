//! What the API was told of a pod's status, and whether somebody else has changed it since.

use api::core::v1::{Pod, PodStatus};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{status::OWN_CONDITIONS, writer::difference};

/// The part of the status that is the kubelet's, as the API has it.
pub(crate) struct Told {
    said: Mutex<Said>,
    overwritten: Notify,
}

struct Said {
    status: Value,
    revision: u64,
}

impl Told {
    /// Of a pod as the API shows it.
    pub(crate) fn new(pod: &Pod) -> Self {
        let said = Said { status: own(pod.status.as_ref()), revision: revision(pod) };
        Self { said: Mutex::new(said), overwritten: Notify::new() }
    }

    pub(crate) fn status(&self) -> Value {
        self.said.lock().status.clone()
    }

    /// The API has taken a status.
    pub(crate) fn wrote(&self, pod: &Pod) {
        let mut said = self.said.lock();
        if revision(pod) >= said.revision {
            *said = Said { status: own(pod.status.as_ref()), revision: revision(pod) };
        }
    }

    /// The API shows a pod. The controller of nodes says that pods are not ready while it hears nothing of their node,
    /// and nobody but the kubelet takes that back.
    pub(crate) fn shown(&self, pod: &Pod) {
        let mut said = self.said.lock();
        if revision(pod) <= said.revision {
            return;
        }
        let status = own(pod.status.as_ref());
        let is_other = difference(&status, &said.status).is_some();
        *said = Said { status, revision: revision(pod) };
        drop(said);
        if is_other {
            self.overwritten.notify_one();
        }
    }

    /// Returns when somebody else has written what is ours.
    pub(crate) async fn overwritten(&self) {
        self.overwritten.notified().await;
    }
}

fn revision(pod: &Pod) -> u64 {
    pod.metadata.resource_version.as_deref().and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// Others write this condition too, and the kubelet when it evicts.
const SHARED_CONDITION: &str = "DisruptionTarget";

/// Without the conditions of others, which are theirs to change.
pub(crate) fn own(status: Option<&PodStatus>) -> Value {
    let value = status.map(|s| serde_json::to_value(s).expect("a status is plain data"));
    let mut value = value.filter(Value::is_object).unwrap_or_else(|| json!({}));
    if let Some(Value::Array(conditions)) = value.get_mut("conditions") {
        let is_written = |kind: &str| kind == SHARED_CONDITION || OWN_CONDITIONS.contains(&kind);
        conditions.retain(|c| c["type"].as_str().is_some_and(is_written));
    }
    value
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use futures::FutureExt;

    use super::*;

    fn pod(revision: u64, ready: &str, foreign: &str) -> Pod {
        let conditions = json!([{"type": "Ready", "status": ready}, {"type": "example.com/gate", "status": foreign}]);
        let pod = json!({"metadata": {"resourceVersion": revision.to_string()},
            "status": {"phase": "Running", "conditions": conditions}});
        serde_json::from_value(pod).unwrap()
    }

    #[test]
    fn only_others_changes_of_our_part_count() {
        let told = Told::new(&pod(5, "False", "False"));
        let is_overwritten = || told.overwritten().now_or_never().is_some();
        told.wrote(&pod(7, "True", "False"));
        told.shown(&pod(6, "False", "False"));
        assert!(!is_overwritten(), "older than our own write");
        told.shown(&pod(8, "True", "True"));
        assert!(!is_overwritten(), "a condition of others");
        told.shown(&pod(9, "False", "True"));
        assert!(is_overwritten());
        assert_eq!(told.status()["conditions"][0]["status"], "False");
    }
}
