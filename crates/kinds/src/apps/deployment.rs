//! `Deployment`: replicas of a pod, replaced step by step when the template changes.

use api::apps::v1;
use apimachinery::Object;
use serde_json::Value;

use crate::{Column, Facts, Kind, Now, Subresource};
use apimachinery::LabelSelector;

use crate::print;

pub struct Deployment;

impl Kind for Deployment {
    type Object = v1::Deployment;

    const FACTS: Facts = Facts {
        group: "apps",
        kind: "Deployment",
        plural: "deployments",
        singular: "deployment",
        short_names: &["deploy"],
        categories: &["all"],
        subresources: &[Subresource::Scale, Subresource::Status],
        definition: "io.k8s.api.apps.v1.Deployment",
        storage: "deployments",
        generation: true,
        columns: &[
            Column::name(),
            Column::new("Ready", "string", "Pods that are ready, of those wanted."),
            Column::new("Up-to-date", "string", "Pods made from the present template."),
            Column::new("Available", "string", "Pods ready for at least the minimum time."),
            Column::age(),
            Column::wide("Containers", "string", "Names of the template's containers."),
            Column::wide("Images", "string", "Images of the template's containers."),
            Column::wide("Selector", "string", "Labels by which the pods are found."),
        ],
        ..Facts::NAMESPACED
    };

    fn cells(object: &Object, now: Now) -> Vec<Value> {
        let status = |field: &str| print::number(object, &["status", field]);
        let (containers, images) = print::containers(object, &["spec", "template", "spec"]);
        let selector = LabelSelector::from_object(object.get(&["spec", "selector"]));
        cells![
            print::name(object),
            format!("{}/{}", status("readyReplicas"), print::number(object, &["spec", "replicas"])),
            status("updatedReplicas"),
            status("availableReplicas"),
            print::age(object, now),
            containers,
            images,
            selector.map(|selector| selector.to_string()).unwrap_or_default(),
        ]
    }
}
