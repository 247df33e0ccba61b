//! `SelfSubjectAccessReview`: asks whether the asker may do something.

use api::authorization::v1;
use apimachinery::Object;
use serde_json::Value;

use super::attributes;
use crate::print;
use crate::{Facts, Kind, Now};
use apimachinery::GroupKind;
use apimachinery::field::ErrorList;

pub struct SelfSubjectAccessReview;

impl Kind for SelfSubjectAccessReview {
    type Object = v1::SelfSubjectAccessReview;

    const FACTS: Facts = Facts {
        group: "authorization.k8s.io",
        kind: "SelfSubjectAccessReview",
        plural: "selfsubjectaccessreviews",
        singular: "selfsubjectaccessreview",
        definition: "io.k8s.api.authorization.v1.SelfSubjectAccessReview",
        storage: "",
        ..Facts::REVIEW
    };

    fn blamed() -> GroupKind {
        attributes::blamed()
    }

    fn validate(review: &v1::SelfSubjectAccessReview) -> ErrorList {
        let mut errors = ErrorList::new();
        let spec = &review.spec;
        attributes::validate(spec.resource_attributes.as_ref(), spec.non_resource_attributes.as_ref(), &mut errors);
        errors
    }

    fn cells(object: &Object, _now: Now) -> Vec<Value> {
        vec![print::name(object), print::created_at(object)]
    }
}
