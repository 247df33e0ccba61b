//! `ReplicaSet`: a number of like pods.

use api::apps::v1;
use apimachinery::Object;
use serde_json::Value;

use super::workload;
use crate::core::pod_spec;
use crate::print;
use crate::rules;
use crate::{Column, Facts, Kind, Now, Subresource};
use apimachinery::field::{ErrorList, Path};

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
        object.spec.min_ready_seconds = object.spec.min_ready_seconds.filter(|seconds| *seconds != 0);
        object.status.get_or_insert_default();
    }

    fn validate(set: &v1::ReplicaSet) -> ErrorList {
        let mut errors = ErrorList::new();
        let (spec, path) = (&set.spec, Path::new("spec"));
        rules::not_negative(spec.replicas.unwrap_or_default().into(), &path.child("replicas"), &mut errors);
        let min_ready = spec.min_ready_seconds.unwrap_or_default();
        rules::not_negative(min_ready.into(), &path.child("minReadySeconds"), &mut errors);
        let template = spec.template.clone().unwrap_or_default();
        workload::selector_and_template(&spec.selector, &template, &path, &mut errors);
        errors
    }

    fn validate_update(new: &v1::ReplicaSet, old: &v1::ReplicaSet) -> ErrorList {
        let mut errors = Self::validate(new);
        let path = Path::new("spec").child("selector");
        rules::immutable(&new.spec.selector, &old.spec.selector, &path, &mut errors);
        errors
    }

    fn validate_status_update(new: &v1::ReplicaSet, _old: &v1::ReplicaSet) -> ErrorList {
        let mut errors = ErrorList::new();
        let status = new.status.clone().unwrap_or_default();
        let number = |value: Option<i32>| i64::from(value.unwrap_or_default());
        let replicas = i64::from(status.replicas);
        let (labeled, ready) = (number(status.fully_labeled_replicas), number(status.ready_replicas));
        let available = number(status.available_replicas);
        workload::counts(
            &[
                (replicas, "replicas"),
                (labeled, "fullyLabeledReplicas"),
                (ready, "readyReplicas"),
                (available, "availableReplicas"),
                (number(status.terminating_replicas), "terminatingReplicas"),
                (status.observed_generation.unwrap_or_default(), "observedGeneration"),
            ],
            &mut errors,
        );
        workload::part_of((labeled, "fullyLabeledReplicas"), (replicas, "status.replicas"), &mut errors);
        workload::part_of((ready, "readyReplicas"), (replicas, "status.replicas"), &mut errors);
        workload::part_of((available, "availableReplicas"), (replicas, "status.replicas"), &mut errors);
        workload::part_of((available, "availableReplicas"), (ready, "readyReplicas"), &mut errors);
        errors
    }

    fn warnings(set: &v1::ReplicaSet) -> Vec<String> {
        let template = set.spec.template.clone().unwrap_or_default();
        pod_spec::warnings::template(&template, &Path::new("spec").child("template"))
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
