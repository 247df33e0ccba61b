//! `Deployment`: replicas of a pod, replaced step by step when the template changes.

mod validate;

use api::{IntOrString, apps::v1};
use apimachinery::Object;
use serde_json::Value;

use crate::core::pod_spec;
use crate::{Column, Facts, Kind, Now, Subresource};
use apimachinery::LabelSelector;

use crate::print;
use crate::rules;
use apimachinery::field::{ErrorList, Path};

pub struct Deployment;

impl Kind for Deployment {
    type Object = v1::Deployment;

    const STATUS_KEEPS_LABELS: bool = true;

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

    fn default(deployment: &mut v1::Deployment) {
        let spec = &mut deployment.spec;
        pod_spec::defaults::template(&mut spec.template);
        spec.replicas.get_or_insert(1);
        spec.revision_history_limit.get_or_insert(10);
        spec.progress_deadline_seconds.get_or_insert(600);
        let strategy = spec.strategy.get_or_insert_default();
        pod_spec::defaults::set_text(&mut strategy.type_, "RollingUpdate");
        if strategy.type_.as_deref() == Some("RollingUpdate") {
            let rolling = strategy.rolling_update.get_or_insert_default();
            let quarter = || IntOrString::String("25%".to_owned());
            rolling.max_unavailable.get_or_insert_with(quarter);
            rolling.max_surge.get_or_insert_with(quarter);
        }
        spec.paused = spec.paused.filter(|set| *set);
        spec.min_ready_seconds = spec.min_ready_seconds.filter(|seconds| *seconds != 0);
        deployment.status.get_or_insert_default();
    }

    fn validate(deployment: &v1::Deployment) -> ErrorList {
        validate::deployment(deployment)
    }

    /// Annotations count too, because they are copied to the replica sets.
    fn prepare_for_update(new: &mut v1::Deployment, old: &v1::Deployment) {
        if new.metadata.annotations != old.metadata.annotations {
            new.metadata.generation = Some(old.metadata.generation.unwrap_or_default() + 1);
        }
    }

    fn validate_update(new: &v1::Deployment, old: &v1::Deployment) -> ErrorList {
        let mut errors = validate::deployment(new);
        let path = Path::new("spec").child("selector");
        rules::immutable(&new.spec.selector, &old.spec.selector, &path, &mut errors);
        errors
    }

    fn validate_status_update(new: &v1::Deployment, old: &v1::Deployment) -> ErrorList {
        validate::status(new, old)
    }

    fn warnings(deployment: &v1::Deployment) -> Vec<String> {
        pod_spec::warnings::template(&deployment.spec.template, &Path::new("spec").child("template"))
    }

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
