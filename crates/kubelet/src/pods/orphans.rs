//! What an earlier kubelet left behind: sandboxes, logs and directories of pods the API no longer has.

use std::{collections::HashSet, path::Path, sync::Arc};

use api::{core::v1::Pod, meta::ObjectMeta};
use cri::v1::PodSandbox;

use super::begin;
use crate::{
    agent::Agent,
    pod::{labels, signal::Signal},
};

/// Ends and clears away every pod the runtime or the disk knows and the API does not. Call when the pods of this node
/// are known.
pub(crate) async fn adopt_orphans(agent: &Arc<Agent>) {
    let known: HashSet<String> = agent.pods.entries().iter().map(|e| e.header.uid.to_string()).collect();
    match agent.runtime.all_sandboxes().await {
        Ok(sandboxes) => {
            for sandbox in &sandboxes {
                adopt(agent, &known, rebuilt(sandbox));
            }
        }
        Err(error) => tracing::warn!(%error, "sandboxes of earlier pods could not be listed"),
    }
    // Logs tell more of a pod than its directory does, so they come first.
    for pod in names(&agent.config.log_dir).iter().filter_map(|name| logged(name)) {
        adopt(agent, &known, pod);
    }
    for uid in names(&agent.config.root_dir.join("pods")) {
        let metadata = ObjectMeta { uid: Some(uid), ..ObjectMeta::default() };
        adopt(agent, &known, Pod { metadata, ..Pod::default() });
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// As much of the pod as the name of its directory of logs tells; none of what is no such name.
fn logged(name: &str) -> Option<Pod> {
    let parts: Vec<&str> = name.split('_').collect();
    let [namespace, name, uid] = parts[..] else { return None };
    if !parts.iter().all(|part| apimachinery::validation::dns1123_subdomain(part).is_empty()) {
        return None;
    }
    let text = |text: &str| Some(text.to_owned());
    let metadata = ObjectMeta { namespace: text(namespace), name: text(name), uid: text(uid), ..ObjectMeta::default() };
    Some(Pod { metadata, ..Pod::default() })
}

fn adopt(agent: &Arc<Agent>, known: &HashSet<String>, pod: Pod) {
    let uid = pod.metadata.uid.clone().unwrap_or_default();
    if uid.is_empty() || known.contains(&uid) || agent.table.get(&uid).is_some() {
        return;
    }
    tracing::info!(pod = uid, "ending a pod that is no longer in the API");
    let signal = Arc::new(Signal::new(Arc::new(pod), None));
    signal.update(|input| input.gone = true);
    begin(agent, &uid, signal);
}

/// As much of the pod as its sandbox remembers.
fn rebuilt(sandbox: &PodSandbox) -> Pod {
    let label = |key: &str| sandbox.labels.get(key).cloned();
    let metadata = ObjectMeta {
        name: label(labels::POD_NAME),
        namespace: label(labels::POD_NAMESPACE),
        uid: label(labels::POD_UID),
        ..ObjectMeta::default()
    };
    Pod { metadata, ..Pod::default() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn a_directory_of_logs_tells_whose_they_are() {
        let meta = logged("kube-system_web-0_5d0c").unwrap().metadata;
        let of = |field: Option<String>| field.unwrap();
        assert_eq!(
            (of(meta.namespace), of(meta.name), of(meta.uid)),
            ("kube-system".into(), "web-0".into(), "5d0c".into())
        );
        assert!(logged("somebody-elses").is_none() && logged("a_b_c_d").is_none() && logged("a_b_..").is_none());
    }
}
