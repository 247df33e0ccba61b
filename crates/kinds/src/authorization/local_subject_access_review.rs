//! `LocalSubjectAccessReview`: asks whether somebody may do something in one namespace.

use api::authorization::v1;
use apimachinery::Object;
use serde_json::Value;

use super::attributes;
use crate::print;
use crate::{Facts, Kind, Now, Scope};
use apimachinery::GroupKind;
use apimachinery::field::{Error, ErrorList, Path};

pub struct LocalSubjectAccessReview;

impl Kind for LocalSubjectAccessReview {
    type Object = v1::LocalSubjectAccessReview;

    const FACTS: Facts = Facts {
        group: "authorization.k8s.io",
        kind: "LocalSubjectAccessReview",
        plural: "localsubjectaccessreviews",
        singular: "localsubjectaccessreview",
        definition: "io.k8s.api.authorization.v1.LocalSubjectAccessReview",
        storage: "",
        scope: Scope::Namespaced,
        ..Facts::REVIEW
    };

    fn blamed() -> GroupKind {
        attributes::blamed()
    }

    fn validate(review: &v1::LocalSubjectAccessReview) -> ErrorList {
        let mut errors = ErrorList::new();
        let spec = &review.spec;
        attributes::validate(spec.resource_attributes.as_ref(), spec.non_resource_attributes.as_ref(), &mut errors);
        attributes::somebody(&spec.user, &spec.groups, &mut errors);
        let path = Path::new("spec");
        if let Some(asked) = &spec.resource_attributes
            && asked.namespace != review.metadata.namespace
        {
            let at = path.children(&["resourceAttributes", "namespace"]);
            let namespace = asked.namespace.clone().unwrap_or_default();
            errors.push(Error::invalid(&at, namespace, "must match metadata.namespace"));
        }
        if let Some(asked) = &spec.non_resource_attributes {
            let value = serde_json::to_value(asked).unwrap_or_default();
            let at = path.child("nonResourceAttributes");
            errors.push(Error::invalid(&at, value, "disallowed on this kind of request"));
        }
        errors
    }

    fn cells(object: &Object, _now: Now) -> Vec<Value> {
        vec![print::name(object), print::created_at(object)]
    }
}
