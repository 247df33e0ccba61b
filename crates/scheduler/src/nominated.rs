//! Pods for which a node is being cleared. They count on it already when pods of no higher priority are tried.

use std::{collections::HashMap, sync::Arc};

use crate::pod_info::PodInfo;

#[derive(Default)]
pub(crate) struct Nominated(HashMap<String, Nomination>);

struct Nomination {
    pod: Arc<PodInfo>,
    node: String,
    /// Whether the API has shown it: only then does its absence there mean that it was withdrawn.
    seen: bool,
}

impl Nominated {
    /// The API shows a pod that waits.
    pub(crate) fn see(&mut self, pod: &Arc<PodInfo>) {
        match (&pod.nominated, self.0.get_mut(&pod.uid)) {
            (Some(node), _) => {
                let nomination = Nomination { pod: pod.clone(), node: node.clone(), seen: true };
                self.0.insert(pod.uid.clone(), nomination);
            }
            (None, Some(known)) if known.seen => self.remove(&pod.uid),
            (None, Some(known)) => known.pod = pod.clone(),
            (None, None) => {}
        }
    }

    /// A node was chosen, and the API is yet to be told.
    pub(crate) fn set(&mut self, pod: &Arc<PodInfo>, node: &str) {
        self.0.insert(pod.uid.clone(), Nomination { pod: pod.clone(), node: node.to_owned(), seen: false });
    }

    pub(crate) fn remove(&mut self, uid: &str) {
        self.0.remove(uid);
    }

    pub(crate) fn node_of(&self, uid: &str) -> Option<&str> {
        self.0.get(uid).map(|n| n.node.as_str())
    }

    /// Those that `pod` must leave room for on the node.
    pub(crate) fn before(&self, pod: &PodInfo, node: &str) -> Vec<Arc<PodInfo>> {
        let counts = |n: &&Nomination| n.node == node && n.pod.uid != pod.uid && n.pod.priority >= pod.priority;
        self.0.values().filter(counts).map(|n| n.pod.clone()).collect()
    }

    /// Those that lose the node to `pod`.
    pub(crate) fn behind(&self, pod: &PodInfo, node: &str) -> Vec<Arc<PodInfo>> {
        let loses = |n: &&Nomination| n.node == node && n.pod.priority < pod.priority;
        self.0.values().filter(loses).map(|n| n.pod.clone()).collect()
    }
}
