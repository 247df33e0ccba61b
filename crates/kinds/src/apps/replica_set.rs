//! `ReplicaSet`: a number of like pods.

use api::apps::v1;
use apimachinery::Object;
use serde_json::Value;

use crate::core::pod_spec;
use crate::print;
use crate::{Column, Facts, Kind, Now, Subresource};

pub struct ReplicaSet;

impl Kind for ReplicaSet {
    type Object = v1::ReplicaSet;

    const FACTS: Facts = Facts {
        group: "apps",
        kind: "ReplicaSet",
        plural: "replicasets",
        singular: "replicaset",
        short_names: &["rs"],
        categories: &["all"],
        subresources: &[Subresource::Scale, Subresource::Status],
        definition: "io.k8s.api.apps.v1.ReplicaSet",
        storage: "replicasets",
        generation: true,
        columns: &[
            Column::name(),
            Column::new("Desired", "integer", "Pods wanted."),
            Column::new("Current", "integer", "Pods that exist."),
            Column::new("Ready", "integer", "Pods that are ready."),
            Column::age(),
            Column::wide("Containers", "string", "Names of the template's containers."),
            Column::wide("Images", "string", "Images of the template's containers."),
            Column::wide("Selector", "string", "Labels by which the pods are found."),
        ],
        ..Facts::NAMESPACED
    };

    fn default(object: &mut v1::ReplicaSet) {
        pod_spec::defaults::template(object.spec.template.get_or_insert_default());
        object.spec.replicas.get_or_insert(1);
        object.status.get_or_insert_default();
    }

    fn cells(object: &Object, now: Now) -> Vec<Value> {
        let (containers, images) = print::containers(object, &["spec", "template", "spec"]);
        cells![
            print::name(object),
            print::number(object, &["spec", "replicas"]),
            print::number(object, &["status", "replicas"]),
            print::number(object, &["status", "readyReplicas"]),
            print::age(object, now),
            containers,
            images,
            print::selector(object.get(&["spec", "selector"])),
        ]
    }
}
