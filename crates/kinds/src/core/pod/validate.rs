//! Rules for pods beyond those of their specification.

use api::core::v1::{Container, Pod, PodSpec};
use apimachinery::field::{Error, ErrorList, Path};

use crate::core::pod_spec;
use crate::rules;

/// A new pod.
pub(super) fn create(pod: &Pod) -> ErrorList {
    let mut errors = lasting(pod);
    let Some(spec) = &pod.spec else { return errors };
    let path = Path::new("spec");
    if !rules::slice(&spec.ephemeral_containers).is_empty() {
        errors.push(Error::forbidden(&path.child("ephemeralContainers"), "cannot be set on create"));
    }
    if !rules::text(&spec.node_name).is_empty() && !rules::slice(&spec.scheduling_gates).is_empty() {
        let why = "cannot be set until all schedulingGates have been cleared";
        errors.push(Error::forbidden(&path.child("nodeName"), why));
    }
    pod_spec::annotations::match_fields(pod.metadata.annotations.as_ref(), spec, &path, &mut errors);
    errors
}

/// What must hold on every write.
pub(super) fn lasting(pod: &Pod) -> ErrorList {
    let mut list = ErrorList::new();
    let none = PodSpec::default();
    let (spec, errors) = (pod.spec.as_ref().unwrap_or(&none), &mut list);
    let path = Path::new("spec");
    let at = Path::new("metadata").child("annotations");
    pod_spec::annotations::validate(pod.metadata.annotations.as_ref(), spec, &at, errors);
    pod_spec::validate::pod_spec(spec, rules::text(&pod.metadata.name), &path, errors);
    if rules::text(&spec.service_account_name).is_empty() {
        no_tokens(spec, &path.child("volumes"), errors);
    }
    images(&spec.containers, &path.child("containers"), errors);
    images(rules::slice(&spec.init_containers), &path.child("initContainers"), errors);
    list
}

/// Without a service account there is nobody a token could stand for.
fn no_tokens(spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    for (index, volume) in rules::slice(&spec.volumes).iter().enumerate() {
        let sources = volume.projected.iter().flat_map(|projected| rules::slice(&projected.sources));
        for (source_index, source) in sources.enumerate() {
            if source.service_account_token.is_some() {
                let at = path.index(index).children(&["projected", "sources"]).index(source_index);
                let why = "must not be specified when serviceAccountName is not set";
                errors.push(Error::forbidden(&at.child("serviceAccountToken"), why));
            }
        }
    }
}

/// Templates once let spaces around images through; pods never did.
fn images(containers: &[Container], path: &Path, errors: &mut ErrorList) {
    for (index, ctr) in containers.iter().enumerate() {
        let image = rules::text(&ctr.image);
        if image.trim() != image {
            let why = "must not have leading or trailing whitespace";
            errors.push(Error::invalid(&path.index(index).child("image"), image, why));
        }
    }
}
