//! From struct to tree as upstream's encoder would write it. The struct cannot say everything: upstream writes some
//! fields even when they are empty, and never writes an empty list or map that is optional.

use apimachinery::{Object, Quantity};
use schema::{Node, Shape};
use serde_json::{Map, Value};

use crate::Kind;

/// Writes a struct as a tree.
///
/// # Panics
/// If the struct is no JSON object, which no kind's is.
pub fn to_tree<K: Kind>(object: &K::Object) -> Object {
    let mut value = serde_json::to_value(object).expect("structs of kinds serialize");
    if let Some(node) = schema::builtin().definition(K::FACTS.definition) {
        finish(node, &mut value);
    }
    Object::from_value(value).expect("structs of kinds are JSON objects")
}

/// Reads a tree that has been decoded by schema.
pub fn from_tree<K: Kind>(object: Object) -> Result<K::Object, serde_json::Error> {
    serde_json::from_value(object.into_value())
}

/// What an always written field holds when nothing was said.
#[derive(Clone, Copy)]
enum Zero {
    Null,
    Text,
    Struct,
}

impl Zero {
    fn value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Text => Value::String(String::new()),
            Self::Struct => Value::Object(Map::new()),
        }
    }
}

/// Fields that upstream writes always, by type.
const ALWAYS: &[(&str, &[(&str, Zero)])] = &[
    ("io.k8s.api.apps.v1.Deployment", &[("status", Zero::Struct)]),
    ("io.k8s.api.apps.v1.DeploymentCondition", &[("lastTransitionTime", Zero::Null), ("lastUpdateTime", Zero::Null)]),
    ("io.k8s.api.apps.v1.ReplicaSetCondition", &[("lastTransitionTime", Zero::Null)]),
    ("io.k8s.api.core.v1.Container", &[("resources", Zero::Struct)]),
    ("io.k8s.api.core.v1.ContainerStateRunning", &[("startedAt", Zero::Null)]),
    ("io.k8s.api.core.v1.ContainerStateTerminated", &[("finishedAt", Zero::Null), ("startedAt", Zero::Null)]),
    ("io.k8s.api.core.v1.ContainerStatus", &[("lastState", Zero::Struct), ("state", Zero::Struct)]),
    ("io.k8s.api.core.v1.EphemeralContainer", &[("resources", Zero::Struct)]),
    (
        "io.k8s.api.core.v1.Event",
        &[
            ("eventTime", Zero::Null),
            ("firstTimestamp", Zero::Null),
            ("lastTimestamp", Zero::Null),
            ("reportingComponent", Zero::Text),
            ("reportingInstance", Zero::Text),
            ("source", Zero::Struct),
        ],
    ),
    ("io.k8s.api.core.v1.NamespaceCondition", &[("lastTransitionTime", Zero::Null)]),
    ("io.k8s.api.core.v1.NodeCondition", &[("lastHeartbeatTime", Zero::Null), ("lastTransitionTime", Zero::Null)]),
    ("io.k8s.api.core.v1.PersistentVolumeClaimTemplate", &[("metadata", Zero::Struct)]),
    ("io.k8s.api.core.v1.Pod", &[("spec", Zero::Struct), ("status", Zero::Struct)]),
    ("io.k8s.api.core.v1.PodCondition", &[("lastProbeTime", Zero::Null), ("lastTransitionTime", Zero::Null)]),
    ("io.k8s.api.core.v1.PodTemplateSpec", &[("metadata", Zero::Struct), ("spec", Zero::Struct)]),
    ("io.k8s.api.discovery.v1.Endpoint", &[("conditions", Zero::Struct)]),
    ("io.k8s.api.discovery.v1.EndpointSlice", &[("endpoints", Zero::Null), ("ports", Zero::Null)]),
    (
        "io.k8s.api.events.v1.Event",
        &[
            ("deprecatedFirstTimestamp", Zero::Null),
            ("deprecatedLastTimestamp", Zero::Null),
            ("deprecatedSource", Zero::Struct),
            ("eventTime", Zero::Null),
            ("regarding", Zero::Struct),
        ],
    ),
    ("io.k8s.api.rbac.v1.ClusterRole", &[("rules", Zero::Null)]),
    ("io.k8s.api.rbac.v1.Role", &[("rules", Zero::Null)]),
];

/// Types whose name upstream leaves out when it is empty, and the struct cannot.
const NAME_IF_ANY: &[&str] = &[
    "io.k8s.api.core.v1.ConfigMapEnvSource",
    "io.k8s.api.core.v1.ConfigMapKeySelector",
    "io.k8s.api.core.v1.ConfigMapProjection",
    "io.k8s.api.core.v1.ConfigMapVolumeSource",
    "io.k8s.api.core.v1.LocalObjectReference",
    "io.k8s.api.core.v1.SecretEnvSource",
    "io.k8s.api.core.v1.SecretKeySelector",
    "io.k8s.api.core.v1.SecretProjection",
];

/// Optional texts that are pointers upstream, so that an empty one is something said. All others vanish when empty.
const KEPT_WHEN_EMPTY: &[(&str, &str)] = &[
    ("io.k8s.api.core.v1.AppArmorProfile", "localhostProfile"),
    ("io.k8s.api.core.v1.AzureDiskVolumeSource", "cachingMode"),
    ("io.k8s.api.core.v1.AzureDiskVolumeSource", "fsType"),
    ("io.k8s.api.core.v1.AzureDiskVolumeSource", "kind"),
    ("io.k8s.api.core.v1.CSIVolumeSource", "fsType"),
    ("io.k8s.api.core.v1.ClusterTrustBundleProjection", "name"),
    ("io.k8s.api.core.v1.ClusterTrustBundleProjection", "signerName"),
    ("io.k8s.api.core.v1.Container", "restartPolicy"),
    ("io.k8s.api.core.v1.ContainerStatus", "stopSignal"),
    ("io.k8s.api.core.v1.EndpointAddress", "nodeName"),
    ("io.k8s.api.core.v1.EndpointPort", "appProtocol"),
    ("io.k8s.api.core.v1.EphemeralContainer", "restartPolicy"),
    ("io.k8s.api.core.v1.GRPCAction", "mode"),
    ("io.k8s.api.core.v1.GRPCAction", "service"),
    ("io.k8s.api.core.v1.HTTPGetAction", "protocol"),
    ("io.k8s.api.core.v1.HostPathVolumeSource", "type"),
    ("io.k8s.api.core.v1.ISCSIVolumeSource", "initiatorName"),
    ("io.k8s.api.core.v1.Lifecycle", "stopSignal"),
    ("io.k8s.api.core.v1.LoadBalancerIngress", "ipMode"),
    ("io.k8s.api.core.v1.PersistentVolumeClaimSpec", "storageClassName"),
    ("io.k8s.api.core.v1.PersistentVolumeClaimSpec", "volumeAttributesClassName"),
    ("io.k8s.api.core.v1.PersistentVolumeClaimSpec", "volumeMode"),
    ("io.k8s.api.core.v1.PodDNSConfigOption", "value"),
    ("io.k8s.api.core.v1.PodResourceClaim", "resourceClaimName"),
    ("io.k8s.api.core.v1.PodResourceClaim", "resourceClaimTemplateName"),
    ("io.k8s.api.core.v1.PodResourceClaimStatus", "resourceClaimName"),
    ("io.k8s.api.core.v1.PodSchedulingGroup", "podGroupName"),
    ("io.k8s.api.core.v1.PodSecurityContext", "fsGroupChangePolicy"),
    ("io.k8s.api.core.v1.PodSecurityContext", "seLinuxChangePolicy"),
    ("io.k8s.api.core.v1.PodSecurityContext", "supplementalGroupsPolicy"),
    ("io.k8s.api.core.v1.PodSpec", "hostnameOverride"),
    ("io.k8s.api.core.v1.PodSpec", "preemptionPolicy"),
    ("io.k8s.api.core.v1.PodSpec", "runtimeClassName"),
    ("io.k8s.api.core.v1.PortStatus", "error"),
    ("io.k8s.api.core.v1.SeccompProfile", "localhostProfile"),
    ("io.k8s.api.core.v1.SecurityContext", "procMount"),
    ("io.k8s.api.core.v1.ServicePort", "appProtocol"),
    ("io.k8s.api.core.v1.ServiceSpec", "internalTrafficPolicy"),
    ("io.k8s.api.core.v1.ServiceSpec", "ipFamilyPolicy"),
    ("io.k8s.api.core.v1.ServiceSpec", "loadBalancerClass"),
    ("io.k8s.api.core.v1.ServiceSpec", "trafficDistribution"),
    ("io.k8s.api.core.v1.TopologySpreadConstraint", "nodeAffinityPolicy"),
    ("io.k8s.api.core.v1.TopologySpreadConstraint", "nodeTaintsPolicy"),
    ("io.k8s.api.core.v1.TypedLocalObjectReference", "apiGroup"),
    ("io.k8s.api.core.v1.TypedObjectReference", "apiGroup"),
    ("io.k8s.api.core.v1.TypedObjectReference", "namespace"),
    ("io.k8s.api.core.v1.VolumeMount", "mountPropagation"),
    ("io.k8s.api.core.v1.VolumeMount", "recursiveReadOnly"),
    ("io.k8s.api.core.v1.VolumeMountStatus", "recursiveReadOnly"),
    ("io.k8s.api.core.v1.WindowsSecurityContextOptions", "gmsaCredentialSpec"),
    ("io.k8s.api.core.v1.WindowsSecurityContextOptions", "gmsaCredentialSpecName"),
    ("io.k8s.api.core.v1.WindowsSecurityContextOptions", "runAsUserName"),
    ("io.k8s.api.coordination.v1.LeaseSpec", "holderIdentity"),
    ("io.k8s.api.coordination.v1.LeaseSpec", "preferredHolder"),
    ("io.k8s.api.coordination.v1.LeaseSpec", "strategy"),
    ("io.k8s.api.discovery.v1.Endpoint", "hostname"),
    ("io.k8s.api.discovery.v1.Endpoint", "nodeName"),
    ("io.k8s.api.discovery.v1.Endpoint", "zone"),
    ("io.k8s.api.discovery.v1.EndpointPort", "appProtocol"),
    ("io.k8s.api.discovery.v1.EndpointPort", "name"),
    ("io.k8s.api.discovery.v1.EndpointPort", "protocol"),
    ("io.k8s.api.scheduling.v1.PriorityClass", "preemptionPolicy"),
];

fn finish(node: Node<'_>, value: &mut Value) {
    match (node.shape(), value) {
        (Shape::Object, Value::Object(fields)) => finish_object(node, fields),
        (Shape::List, Value::Array(items)) => {
            if let Some(node) = node.items() {
                items.iter_mut().for_each(|item| finish(node, item));
            }
        }
        (Shape::Map, Value::Object(entries)) => {
            if let Some(node) = node.values() {
                entries.values_mut().for_each(|entry| finish(node, entry));
            }
        }
        (Shape::Quantity, Value::String(text)) => {
            if let Ok(quantity) = text.trim().parse::<Quantity>() {
                *text = quantity.to_string();
            }
        }
        _ => {}
    }
}

fn finish_object(node: Node<'_>, fields: &mut Map<String, Value>) {
    fields.retain(|name, value| !is_empty(node, name, value));
    for (name, value) in fields.iter_mut() {
        if let Some(node) = node.field(name) {
            finish(node, value);
        }
    }
    let Some(definition) = node.definition() else { return };
    if NAME_IF_ANY.contains(&definition.name()) && fields.get("name").and_then(Value::as_str) == Some("") {
        fields.remove("name");
    }
    if let Ok(at) = ALWAYS.binary_search_by_key(&definition.name(), |(name, _)| name) {
        for (name, zero) in ALWAYS[at].1 {
            fields.entry(*name).or_insert_with(|| zero.value());
        }
    }
}

/// Whether a field is a list, map or text with nothing in it, which says no more than its absence.
fn is_empty(node: Node<'_>, name: &str, value: &Value) -> bool {
    let Some(field) = node.field_named(name).filter(|field| !field.required) else { return false };
    match (field.node.shape(), value) {
        (Shape::List, Value::Array(items)) => items.is_empty(),
        (Shape::Map, Value::Object(entries)) => entries.is_empty(),
        (Shape::String, Value::String(text)) if text.is_empty() => {
            let definition = node.definition().map_or("", |definition| definition.name());
            !KEPT_WHEN_EMPTY.contains(&(definition, name))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use serde_json::json;

    use super::*;
    use crate::{core, rbac};

    #[test]
    fn the_table_is_sorted_and_names_what_exists() {
        assert!(ALWAYS.is_sorted_by_key(|(name, _)| name));
        for (name, fields) in ALWAYS {
            let node = schema::builtin().definition(name).unwrap();
            assert!(fields.iter().all(|(field, _)| node.field(field).is_some()), "{name}");
        }
        for (name, field) in KEPT_WHEN_EMPTY {
            let node = schema::builtin().definition(name).unwrap();
            assert!(node.field_named(field).is_some_and(|field| !field.required), "{name} {field}");
        }
    }

    fn rewritten<K: Kind>(tree: Value) -> Value {
        let object = from_tree::<K>(Object::from_value(tree).unwrap()).unwrap();
        to_tree::<K>(&object).into_value()
    }

    #[test]
    fn empty_texts_vanish_unless_they_say_something() {
        let env = json!([{"name": "A", "value": ""}]);
        let pod = json!({"metadata": {}, "spec": {"nodeName": "", "containers": [{"name": "c", "env": env}],
            "volumes": [{"name": "v", "hostPath": {"path": "/", "type": ""}}]}});
        let pod = rewritten::<core::Pod>(pod);
        assert_eq!(pod["spec"]["containers"][0]["env"], json!([{"name": "A"}]));
        assert_eq!(pod["spec"].get("nodeName"), None);
        assert_eq!(pod["spec"]["volumes"][0]["hostPath"]["type"], "");
    }

    #[test]
    fn empty_lists_vanish_and_some_nulls_stay() {
        let role = rewritten::<rbac::Role>(json!({"metadata": {"name": "r", "labels": {}}, "rules": []}));
        assert_eq!(role["rules"], Value::Null);
        assert_eq!(role["metadata"], json!({"name": "r"}));
        let pod = json!({"metadata": {}, "spec": {"containers": [{"name": "c", "args": []}], "volumes": [{"name": "v",
            "emptyDir": {"sizeLimit": "1024Ki"}}]}});
        let pod = rewritten::<core::Pod>(pod);
        assert_eq!(pod["spec"]["containers"], json!([{"name": "c", "resources": {}}]));
        assert_eq!(pod["spec"]["volumes"][0]["emptyDir"], json!({"sizeLimit": "1Mi"}));
    }
}
