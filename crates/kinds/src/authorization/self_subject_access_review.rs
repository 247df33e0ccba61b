//! `SelfSubjectAccessReview`: asks whether the asker may do something.

use api::authorization::v1;
use apimachinery::Object;
use serde_json::Value;

use crate::print;
use crate::{Facts, Kind, Now};

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

    fn cells(object: &Object, _now: Now) -> Vec<Value> {
        vec![print::name(object), print::created_at(object)]
    }
}
