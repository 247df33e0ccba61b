//! `SelfSubjectReview`: asks who the asker is.

use api::authentication::v1;
use apimachinery::Object;
use serde_json::Value;

use crate::print;
use crate::{Facts, Kind, Now};

pub struct SelfSubjectReview;

impl Kind for SelfSubjectReview {
    type Object = v1::SelfSubjectReview;

    const FACTS: Facts = Facts {
        group: "authentication.k8s.io",
        kind: "SelfSubjectReview",
        plural: "selfsubjectreviews",
        singular: "selfsubjectreview",
        definition: "io.k8s.api.authentication.v1.SelfSubjectReview",
        storage: "",
        ..Facts::REVIEW
    };

    fn cells(object: &Object, _now: Now) -> Vec<Value> {
        vec![print::name(object), print::created_at(object)]
    }
}
