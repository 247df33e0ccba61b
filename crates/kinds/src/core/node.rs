//! `Node`: a machine that runs pods.

mod validate;

use std::collections::BTreeSet;

use api::core::v1;
use apimachinery::Object;
use serde_json::Value;

use crate::{Column, Facts, Kind, Now, Subresource};
use crate::{print, quantities};
use apimachinery::field::ErrorList;

pub struct Node;

impl Kind for Node {
    type Object = v1::Node;

    const KEEPS_STATUS_ON_CREATE: bool = true;

    const FACTS: Facts = Facts {
        kind: "Node",
        plural: "nodes",
        singular: "node",
        short_names: &["no"],
        subresources: &[Subresource::Proxy, Subresource::Status],
        definition: "io.k8s.api.core.v1.Node",
        storage: "minions",
        selectable: &["spec.unschedulable"],
        columns: &[
            Column::name(),
            Column::new("Status", "string", "Whether the node is ready and takes pods."),
            Column::new("Roles", "string", "What the node is for, from its labels."),
            Column::age(),
            Column::new("Version", "string", "Version of the kubelet."),
            Column::wide("Internal-IP", "string", "Address within the cluster."),
            Column::wide("External-IP", "string", "Address for the outside."),
            Column::wide("OS-Image", "string", "Operating system as it names itself."),
            Column::wide("Kernel-Version", "string", "Version of the kernel."),
            Column::wide("Container-Runtime", "string", "Name and version of the container runtime."),
        ],
        ..Facts::CLUSTER
    };

    fn default(node: &mut v1::Node) {
        let spec = node.spec.get_or_insert_default();
        first_of_both(&mut spec.pod_cidr, &mut spec.pod_cidrs);
        // Behind a feature gate that is off.
        spec.pod_preemption_policy = None;
        spec.unschedulable = spec.unschedulable.filter(|set| *set);
        let status = node.status.get_or_insert_default();
        status.daemon_endpoints.get_or_insert_default().kubelet_endpoint.get_or_insert_default();
        status.node_info.get_or_insert_default();
        quantities::canonicalize(&mut status.capacity);
        quantities::canonicalize(&mut status.allocatable);
        if status.allocatable.is_none() {
            status.allocatable = status.capacity.clone();
        }
    }

    fn validate(node: &v1::Node) -> ErrorList {
        validate::node(node)
    }

    fn validate_update(new: &v1::Node, old: &v1::Node) -> ErrorList {
        validate::update(new, old)
    }

    fn validate_status_update(new: &v1::Node, old: &v1::Node) -> ErrorList {
        validate::update(new, old)
    }

    fn warnings(node: &v1::Node) -> Vec<String> {
        let Some(spec) = &node.spec else { return Vec::new() };
        let external = spec.external_id.as_deref().is_some_and(|id| !id.is_empty());
        let fields = [
            (spec.config_source.is_some(), "spec.configSource: the feature is removed"),
            (external, "spec.externalID: this field is deprecated, and is unused by Kubernetes"),
        ];
        fields.iter().filter(|(is_set, _)| *is_set).map(|(_, sentence)| (*sentence).to_owned()).collect()
    }

    fn field(object: &Object, field: &str) -> Option<String> {
        (field == "spec.unschedulable").then(|| print::flag(object, &["spec", "unschedulable"]).to_string())
    }

    fn cells(object: &Object, now: Now) -> Vec<Value> {
        let info = |field: &str| print::text_or(object, &["status", "nodeInfo", field], print::UNKNOWN).to_owned();
        cells![
            print::name(object),
            readiness(object),
            roles(object),
            print::age(object, now),
            print::text(object, &["status", "nodeInfo", "kubeletVersion"]),
            address(object, "InternalIP"),
            address(object, "ExternalIP"),
            info("osImage"),
            info("kernelVersion"),
            info("containerRuntimeVersion"),
        ]
    }
}

fn readiness(object: &Object) -> String {
    let ready = print::list(object, &["status", "conditions"]).iter().find(|c| print::str_in(c, &["type"]) == "Ready");
    let mut words = match ready.map(|condition| print::str_in(condition, &["status"])) {
        Some("True") => "Ready".to_owned(),
        Some(_) => "NotReady".to_owned(),
        None => "Unknown".to_owned(),
    };
    if print::flag(object, &["spec", "unschedulable"]) {
        words.push_str(",SchedulingDisabled");
    }
    words
}

fn roles(object: &Object) -> String {
    let role = |(key, value): (&str, &str)| match key.strip_prefix("node-role.kubernetes.io/") {
        Some(role) if !role.is_empty() => Some(role.to_owned()),
        None if key == "kubernetes.io/role" && !value.is_empty() => Some(value.to_owned()),
        _ => None,
    };
    let roles: BTreeSet<String> = object.labels().filter_map(role).collect();
    if roles.is_empty() { print::NONE.to_owned() } else { roles.into_iter().collect::<Vec<_>>().join(",") }
}

/// The first address of a type.
fn address(object: &Object, kind: &str) -> String {
    let of_type = print::list(object, &["status", "addresses"]).iter().find(|a| print::str_in(a, &["type"]) == kind);
    of_type.map_or(print::NONE, |address| print::str_in(address, &["address"])).to_owned()
}

/// The old field holds the first of the new one. Where only one is set, or they differ, the old one is meant.
fn first_of_both(first: &mut Option<String>, all: &mut Option<Vec<String>>) {
    match (first.as_deref().unwrap_or_default(), all.as_ref().and_then(|all| all.first())) {
        ("", Some(in_list)) => *first = Some(in_list.clone()),
        ("", None) => {}
        (only, in_list) if in_list.map(String::as_str) != Some(only) => *all = Some(vec![only.to_owned()]),
        _ => {}
    }
}
