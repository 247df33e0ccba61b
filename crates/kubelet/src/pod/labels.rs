//! How a container of a pod is recognized in the runtime: upstream's labels and annotations, so that a daemon that
//! starts anew (or upstream's tools) finds what runs.

use std::collections::BTreeMap;

use api::core::v1::{Container, Pod};

pub(crate) const POD_NAME: &str = "io.kubernetes.pod.name";
pub(crate) const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
pub(crate) const POD_UID: &str = "io.kubernetes.pod.uid";
pub(crate) const CONTAINER_NAME: &str = "io.kubernetes.container.name";
pub(crate) const HASH: &str = "io.kubernetes.container.hash";
pub(crate) const RESTART_COUNT: &str = "io.kubernetes.container.restartCount";
pub(crate) const TERMINATION_PATH: &str = "io.kubernetes.container.terminationMessagePath";
pub(crate) const TERMINATION_POLICY: &str = "io.kubernetes.container.terminationMessagePolicy";
pub(crate) const GRACE: &str = "io.kubernetes.pod.terminationGracePeriod";
pub(crate) const PRE_STOP: &str = "io.kubernetes.container.preStopHandler";

pub(crate) fn pod_labels(pod: &Pod) -> BTreeMap<String, String> {
    let mut labels: BTreeMap<String, String> = pod.metadata.labels.clone().unwrap_or_default().into_iter().collect();
    labels.extend(identity(pod));
    labels
}

pub(crate) fn container_labels(pod: &Pod, container: &Container) -> BTreeMap<String, String> {
    let mut labels: BTreeMap<String, String> = identity(pod).into();
    labels.insert(CONTAINER_NAME.to_owned(), container.name.clone());
    labels
}

fn identity(pod: &Pod) -> [(String, String); 3] {
    let of = |field: &Option<String>| field.clone().unwrap_or_default();
    [
        (POD_NAME.to_owned(), of(&pod.metadata.name)),
        (POD_NAMESPACE.to_owned(), of(&pod.metadata.namespace)),
        (POD_UID.to_owned(), of(&pod.metadata.uid)),
    ]
}

pub(crate) fn container_annotations(pod: &Pod, container: &Container, restart_count: u32) -> BTreeMap<String, String> {
    let mut notes = BTreeMap::from([
        (HASH.to_owned(), container_hash(container)),
        (RESTART_COUNT.to_owned(), restart_count.to_string()),
        (TERMINATION_PATH.to_owned(), container.termination_message_path.clone().unwrap_or_default()),
        (TERMINATION_POLICY.to_owned(), container.termination_message_policy.clone().unwrap_or_default()),
    ]);
    if let Some(seconds) = pod.spec.as_ref().and_then(|s| s.termination_grace_period_seconds) {
        notes.insert(GRACE.to_owned(), seconds.to_string());
    }
    // The hook must still be known when the object is gone from the API.
    if let Some(hook) = container.lifecycle.as_ref().and_then(|l| l.pre_stop.as_ref())
        && let Ok(text) = serde_json::to_string(hook)
    {
        notes.insert(PRE_STOP.to_owned(), text);
    }
    notes
}

/// A change of this means a new container: of what may change in a running pod, only the image calls for one.
/// FNV-1a, which never changes between builds, as the runtime keeps the value over an upgrade.
pub(crate) fn container_hash(container: &Container) -> String {
    let image = container.image.as_deref().unwrap_or_default();
    let bytes = container.name.bytes().chain([0]).chain(image.bytes());
    let hash = bytes.fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{hash:x}")
}
