//! Writes the status of one pod to the API: what changed, when it changed, the newest first.

use std::{sync::Arc, time::Duration};

use api::core::v1::{Pod, PodStatus};
use client::{ApiError, Client, Patch, PatchParams};
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::told::{Told, own};

const FIRST_RETRY: Duration = Duration::from_millis(200);
const LONGEST_RETRY: Duration = Duration::from_secs(10);

/// Where a status is put; the task of [`run`] takes it from there.
pub(crate) struct StatusSlot {
    wanted: watch::Sender<Option<Arc<PodStatus>>>,
    done: watch::Receiver<Option<Arc<PodStatus>>>,
}

impl StatusSlot {
    /// The slot, and the task that empties it.
    pub(crate) fn new(client: Client, pod: &Pod, told: Arc<Told>) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (wanted, wanted_receiver) = watch::channel(None);
        let (done, done_receiver) = watch::channel(None);
        let writer = Writer {
            client,
            namespace: pod.metadata.namespace.clone().unwrap_or_default(),
            name: pod.metadata.name.clone().unwrap_or_default(),
            uid: pod.metadata.uid.clone().unwrap_or_default(),
            told,
        };
        (Self { wanted, done: done_receiver }, run(Arc::new(writer), wanted_receiver, done))
    }

    pub(crate) fn put(&self, status: Arc<PodStatus>) {
        self.wanted.send_if_modified(|now| {
            let changed = now.as_ref() != Some(&status);
            *now = Some(status);
            changed
        });
    }

    /// Returns when the last status put is in the API, or the pod is no longer there.
    pub(crate) async fn flushed(&mut self) {
        let wanted = self.wanted.borrow().clone();
        if wanted.is_none() {
            return;
        }
        // The writer ends only with the worker that asks.
        drop(self.done.wait_for(|done| *done == wanted).await);
    }
}

struct Writer {
    client: Client,
    namespace: String,
    name: String,
    uid: String,
    told: Arc<Told>,
}

async fn run(
    writer: Arc<Writer>,
    mut wanted: watch::Receiver<Option<Arc<PodStatus>>>,
    done: watch::Sender<Option<Arc<PodStatus>>>,
) {
    loop {
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() { return },
            () = writer.told.overwritten() => {}
        }
        let mut delay = FIRST_RETRY;
        loop {
            let status = wanted.borrow_and_update().clone();
            let Some(status) = status else { break };
            match writer.write(&status).await {
                Ok(()) => {
                    done.send_replace(Some(status));
                    break;
                }
                Err(error) => {
                    let pod = format!("{}/{}", writer.namespace, writer.name);
                    tracing::warn!(pod, %error, "the status of the pod could not be written; trying again");
                    tokio::time::sleep(delay).await;
                    delay = (delay * 2).min(LONGEST_RETRY);
                }
            }
        }
    }
}

impl Writer {
    /// A pod that is gone, or another one of the same name, has no use for the status.
    async fn write(&self, status: &PodStatus) -> Result<(), client::Error> {
        let patch = difference(&self.told.status(), &own(Some(status)));
        let Some(patch) = patch else { return Ok(()) };
        let patch = json!({"metadata": {"uid": self.uid}, "status": patch});
        let api = self.client.namespaced::<Pod>(&self.namespace);
        match api.patch_status(&self.name, &PatchParams::default(), &Patch::Strategic(patch)).await {
            Ok(pod) => {
                self.told.wrote(&pod);
                Ok(())
            }
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Lists that are merged by a key, and must here be replaced as a whole.
const KEYED_LISTS: [(&str, &str); 2] = [("podIPs", "ip"), ("hostIPs", "ip")];

/// The strategic merge patch from one status to the other; none where they are the same. Conditions of others stay.
pub(crate) fn difference(old: &Value, new: &Value) -> Option<Value> {
    let empty = Map::new();
    let (old, new) = (old.as_object().unwrap_or(&empty), new.as_object().unwrap_or(&empty));
    let mut patch = Map::new();
    for (key, value) in new {
        if old.get(key) == Some(value) {
            continue;
        }
        if key == "conditions" {
            let changed = changed_conditions(old.get(key), value);
            if !changed.is_empty() {
                patch.insert(key.clone(), Value::Array(changed));
            }
        } else if KEYED_LISTS.iter().any(|(list, _)| list == key) {
            let mut list = value.as_array().cloned().unwrap_or_default();
            list.push(json!({"$patch": "replace"}));
            patch.insert(key.clone(), Value::Array(list));
        } else if let (Some(Value::Object(before)), Value::Object(_)) = (old.get(key), value) {
            // Nothing of ours is a map that somebody else also writes: set what is new, remove what is gone.
            let mut whole = value.clone();
            for gone in before.keys().filter(|k| value.get(k).is_none()) {
                whole[gone.as_str()] = Value::Null;
            }
            patch.insert(key.clone(), whole);
        } else {
            patch.insert(key.clone(), value.clone());
        }
    }
    for key in old.keys().filter(|key| !new.contains_key(*key) && *key != "conditions") {
        // What this kubelet does not know of is not its to remove.
        if OWN_FIELDS.contains(&key.as_str()) {
            patch.insert(key.clone(), Value::Null);
        }
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

const OWN_FIELDS: [&str; 9] = [
    "message",
    "reason",
    "podIP",
    "podIPs",
    "hostIP",
    "hostIPs",
    "containerStatuses",
    "initContainerStatuses",
    "ephemeralContainerStatuses",
];

fn changed_conditions(old: Option<&Value>, new: &Value) -> Vec<Value> {
    let before = old.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let same_kind = |a: &Value, b: &Value| a.get("type") == b.get("type");
    let mut changed = Vec::new();
    for condition in new.as_array().into_iter().flatten() {
        let was = before.iter().find(|c| same_kind(c, condition));
        if was == Some(condition) {
            continue;
        }
        let mut patch = condition.clone();
        if let Some(Value::Object(was)) = was {
            for gone in was.keys().filter(|k| condition.get(k).is_none()) {
                patch[gone.as_str()] = Value::Null;
            }
        }
        changed.push(patch);
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed() {
        let old = json!({"phase": "Pending", "podIPs": [{"ip": "a"}], "reason": "x", "resize": "y",
            "conditions": [{"type": "Ready", "status": "False", "reason": "r"}, {"type": "Other", "status": "True"}]});
        assert_eq!(difference(&old, &old), None);
        let new = json!({"phase": "Running", "podIPs": [{"ip": "b"}],
            "conditions": [{"type": "Ready", "status": "True"}, {"type": "Other", "status": "True"}]});
        let expect = json!({"phase": "Running", "podIPs": [{"ip": "b"}, {"$patch": "replace"}], "reason": null,
            "conditions": [{"type": "Ready", "status": "True", "reason": null}]});
        assert_eq!(difference(&old, &new), Some(expect));
    }
}
