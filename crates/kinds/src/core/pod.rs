//! `Pod`: containers that run together on one node.

mod row;
mod strategy;
mod validate;
mod validate_status;
mod validate_update;

use api::core::v1;
use apimachinery::Object;
use apimachinery::field::{ErrorList, Path};
use serde_json::Value;

use super::pod_spec;
use crate::print;
use crate::{Column, Facts, Kind, Now, Subresource};

pub struct Pod;

impl Kind for Pod {
    type Object = v1::Pod;

    const RETURNS_DELETED: bool = true;

    const FACTS: Facts = Facts {
        kind: "Pod",
        plural: "pods",
        singular: "pod",
        short_names: &["po"],
        categories: &["all"],
        subresources: &[
            Subresource::Attach,
            Subresource::Binding,
            Subresource::EphemeralContainers,
            Subresource::Eviction,
            Subresource::Exec,
            Subresource::Log,
            Subresource::PortForward,
            Subresource::Proxy,
            Subresource::Resize,
            Subresource::Status,
        ],
        definition: "io.k8s.api.core.v1.Pod",
        storage: "pods",
        generation: true,
        selectable: &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ],
        columns: &[
            Column::name(),
            Column::new("Ready", "string", "Containers that are ready, of all."),
            Column::new("Status", "string", "What the containers together are doing."),
            Column::new("Restarts", "string", "How often containers were restarted, and when last."),
            Column::age(),
            Column::wide("IP", "string", "Address of the pod."),
            Column::wide("Node", "string", "The node the pod runs on."),
            Column::wide("Nominated Node", "string", "The node where room is being made for the pod."),
            Column::wide("Readiness Gates", "string", "Conditions met of those the pod waits for to be ready."),
        ],
        ..Facts::NAMESPACED
    };

    fn default(pod: &mut v1::Pod) {
        pod_spec::defaults::pod(pod.spec.get_or_insert_default());
        status(pod.status.get_or_insert_default());
    }

    fn prepare_for_create(pod: &mut v1::Pod) {
        strategy::prepare_for_create(pod);
    }

    fn prepare_for_status_update(new: &mut v1::Pod, old: &v1::Pod) {
        strategy::prepare_for_status_update(new, old);
    }

    fn validate(pod: &v1::Pod) -> ErrorList {
        validate::lasting(pod)
    }

    fn validate_create(pod: &v1::Pod) -> ErrorList {
        validate::create(pod)
    }

    fn validate_update(new: &v1::Pod, old: &v1::Pod) -> ErrorList {
        validate_update::update(new, old)
    }

    fn validate_status_update(new: &v1::Pod, old: &v1::Pod) -> ErrorList {
        validate_status::update(new, old)
    }

    fn warnings(pod: &v1::Pod) -> Vec<String> {
        let spec = pod.spec.clone().unwrap_or_default();
        let annotations = pod.metadata.annotations.as_ref();
        pod_spec::warnings::pod(&spec, annotations, &Path::new("spec"), &Path::new("metadata"))
    }

    fn field(object: &Object, field: &str) -> Option<String> {
        Some(match field {
            "spec.hostNetwork" => print::flag(object, &["spec", "hostNetwork"]).to_string(),
            "status.podIPs" => print::list(object, &["status", "podIPs"])
                .first()
                .map(|ip| print::str_in(ip, &["ip"]).to_owned())
                .unwrap_or_default(),
            _ if Self::FACTS.selectable.contains(&field) => {
                let (part, field) = field.split_once('.')?;
                print::text(object, &[part, field]).to_owned()
            }
            _ => return None,
        })
    }

    fn row_conditions(object: &Object) -> Vec<Value> {
        row::conditions_of_row(object)
    }

    fn cells(object: &Object, now: Now) -> Vec<Value> {
        row::cells(object, now)
    }
}

/// The old field holds the first of the new one. Where they differ, the old one is meant.
fn status(status: &mut v1::PodStatus) {
    let first = status.pod_ips.as_ref().and_then(|ips| ips.first()).map(|ip| ip.ip.clone());
    match (status.pod_ip.clone().filter(|ip| !ip.is_empty()), first) {
        (None, first) => status.pod_ip = first,
        (Some(ip), first) if first.as_ref() != Some(&ip) => status.pod_ips = Some(vec![v1::PodIP { ip }]),
        _ => {}
    }
}
