//! Which objects the pods of a node refer to.

use std::{
    collections::{HashMap, HashSet},
    sync::{PoisonError, RwLock},
};

use apimachinery::Object;
use serde_json::Value;

/// Mirror pods are written by nodes themselves, so nothing they refer to may be opened by them.
const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReferentKind {
    Pod,
    Secret,
    ConfigMap,
    Claim,
    ServiceAccount,
}

/// Something a pod refers to, the pod itself included.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Referent {
    pub kind: ReferentKind,
    pub namespace: String,
    pub name: String,
}

type PodKey = (String, String);

#[derive(Default)]
struct State {
    node_of_pod: HashMap<PodKey, String>,
    /// Node, then pod, then what it refers to. A node has hundreds of pods at most.
    nodes: HashMap<String, HashMap<PodKey, HashSet<Referent>>>,
}

/// The graph from nodes over pods to what they refer to.
#[derive(Default)]
pub struct Graph {
    state: RwLock<State>,
}

impl Graph {
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a new or changed pod.
    pub fn put_pod(&self, pod: &Object) {
        self.state.write().unwrap_or_else(PoisonError::into_inner).put(pod);
    }

    /// Takes a fresh list in place of everything. Nobody sees less than was there before and is there now.
    pub fn replace(&self, pods: &[Object]) {
        let mut fresh = State::default();
        pods.iter().for_each(|pod| fresh.put(pod));
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = fresh;
    }

    pub fn delete_pod(&self, namespace: &str, name: &str) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.remove(&(namespace.to_owned(), name.to_owned()));
    }

    pub fn reaches(&self, node: &str, referent: &Referent) -> bool {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.nodes.get(node).is_some_and(|pods| pods.values().any(|referents| referents.contains(referent)))
    }
}

impl State {
    fn put(&mut self, pod: &Object) {
        let key = (pod.namespace().to_owned(), pod.name().to_owned());
        self.remove(&key);
        let node = pod.get_str(&["spec", "nodeName"]).unwrap_or_default();
        if node.is_empty() {
            return;
        }
        let mut referents =
            HashSet::from([Referent { kind: ReferentKind::Pod, namespace: key.0.clone(), name: key.1.clone() }]);
        if pod.annotation(MIRROR_ANNOTATION).is_none() {
            referents.extend(referents_of(pod));
        }
        self.node_of_pod.insert(key.clone(), node.to_owned());
        self.nodes.entry(node.to_owned()).or_default().insert(key, referents);
    }

    fn remove(&mut self, key: &PodKey) {
        let Some(node) = self.node_of_pod.remove(key) else { return };
        if let Some(pods) = self.nodes.get_mut(&node) {
            pods.remove(key);
            if pods.is_empty() {
                self.nodes.remove(&node);
            }
        }
    }
}

/// Volume sources that name a secret in `secretRef.name`.
const SECRET_REF_SOURCES: [&str; 7] = ["rbd", "cephfs", "iscsi", "flexVolume", "scaleIO", "storageos", "cinder"];

fn referents_of(pod: &Object) -> Vec<Referent> {
    let namespace = pod.namespace();
    let mut found = Vec::new();
    let mut add = |kind, name: Option<&Value>| {
        if let Some(name) = name.and_then(Value::as_str).filter(|name| !name.is_empty()) {
            found.push(Referent { kind, namespace: namespace.to_owned(), name: name.to_owned() });
        }
    };
    let spec = pod.get(&["spec"]).unwrap_or(&Value::Null);
    add(ReferentKind::ServiceAccount, spec.get("serviceAccountName"));
    for reference in list(spec, "imagePullSecrets") {
        add(ReferentKind::Secret, reference.get("name"));
    }
    for kind in ["containers", "initContainers", "ephemeralContainers"] {
        for container in list(spec, kind) {
            for variable in list(container, "env") {
                add(ReferentKind::Secret, variable.pointer("/valueFrom/secretKeyRef/name"));
                add(ReferentKind::ConfigMap, variable.pointer("/valueFrom/configMapKeyRef/name"));
            }
            for source in list(container, "envFrom") {
                add(ReferentKind::Secret, source.pointer("/secretRef/name"));
                add(ReferentKind::ConfigMap, source.pointer("/configMapRef/name"));
            }
        }
    }
    for volume in list(spec, "volumes") {
        add(ReferentKind::Secret, volume.pointer("/secret/secretName"));
        add(ReferentKind::ConfigMap, volume.pointer("/configMap/name"));
        add(ReferentKind::Claim, volume.pointer("/persistentVolumeClaim/claimName"));
        add(ReferentKind::Secret, volume.pointer("/azureFile/secretName"));
        add(ReferentKind::Secret, volume.pointer("/csi/nodePublishSecretRef/name"));
        for source in SECRET_REF_SOURCES {
            add(ReferentKind::Secret, volume.get(source).and_then(|s| s.pointer("/secretRef/name")));
        }
        for source in volume.get("projected").map(|p| list(p, "sources")).unwrap_or_default() {
            add(ReferentKind::Secret, source.pointer("/secret/name"));
            add(ReferentKind::ConfigMap, source.pointer("/configMap/name"));
        }
    }
    // A generic ephemeral volume's claim is named after pod and volume.
    for volume in list(spec, "volumes").iter().filter(|v| v.get("ephemeral").is_some()) {
        let name = volume.get("name").and_then(Value::as_str).unwrap_or_default();
        let claim = Value::String(format!("{}-{name}", pod.name()));
        add(ReferentKind::Claim, Some(&claim));
    }
    found
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}
