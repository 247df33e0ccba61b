//! `SubjectAccessReview`: asks whether somebody may do something.

use api::authorization::v1;
use apimachinery::Object;
use serde_json::Value;

use crate::print;
use crate::{Facts, Kind, Now};

pub struct SubjectAccessReview;

impl Kind for SubjectAccessReview {
    type Object = v1::SubjectAccessReview;

    const FACTS: Facts = Facts {
        group: "authorization.k8s.io",
        kind: "SubjectAccessReview",
        plural: "subjectaccessreviews",
        singular: "subjectaccessreview",
        definition: "io.k8s.api.authorization.v1.SubjectAccessReview",
        storage: "",
        ..Facts::REVIEW
    };

    fn cells(object: &Object, _now: Now) -> Vec<Value> {
        vec![print::name(object), print::created_at(object)]
    }
}
