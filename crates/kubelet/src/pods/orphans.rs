//! What an earlier kubelet left behind: sandboxes and directories of pods the API no longer has.

use std::{collections::HashSet, sync::Arc};

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
    let dir = agent.config.root_dir.join("pods");
    for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
        let uid = entry.file_name().to_string_lossy().into_owned();
        adopt(
            agent,
            &known,
            Pod { metadata: ObjectMeta { uid: Some(uid), ..ObjectMeta::default() }, ..Pod::default() },
        );
    }
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
