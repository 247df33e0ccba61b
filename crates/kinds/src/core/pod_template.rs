//! `PodTemplate`: a description of a pod, kept for later.

use api::core::v1;
use apimachinery::Object;
use serde_json::Value;

use super::pod_spec;
use crate::print;
use crate::{Column, Facts, Kind, Now};
use apimachinery::field::{ErrorList, Path};

pub struct PodTemplate;

impl Kind for PodTemplate {
    type Object = v1::PodTemplate;

    const RETURNS_DELETED: bool = true;

    const FACTS: Facts = Facts {
        kind: "PodTemplate",
        plural: "podtemplates",
        singular: "podtemplate",
        definition: "io.k8s.api.core.v1.PodTemplate",
        storage: "podtemplates",
        generation: true,
        columns: &[
            Column::name(),
            Column::new("Containers", "string", "Names of the template's containers."),
            Column::new("Images", "string", "Images of the template's containers."),
            Column::new("Pod Labels", "string", "Labels that pods made from the template get."),
        ],
        ..Facts::NAMESPACED
    };

    fn default(object: &mut v1::PodTemplate) {
        pod_spec::defaults::template(object.template.get_or_insert_default());
    }

    fn validate(object: &v1::PodTemplate) -> ErrorList {
        let mut errors = ErrorList::new();
        let template = object.template.clone().unwrap_or_default();
        pod_spec::validate::template(&template, &Path::new("template"), &mut errors);
        errors
    }

    fn warnings(object: &v1::PodTemplate) -> Vec<String> {
        let template = object.template.clone().unwrap_or_default();
        pod_spec::warnings::template(&template, &Path::new("template"))
    }

    fn cells(object: &Object, _now: Now) -> Vec<Value> {
        let (containers, images) = print::containers(object, &["template", "spec"]);
        cells![print::name(object), containers, images, print::labels(object.get(&["template", "metadata", "labels"]))]
    }
}
