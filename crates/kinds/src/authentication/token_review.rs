//! `TokenReview`: asks whom a token stands for.

use api::authentication::v1;
use apimachinery::Object;
use serde_json::Value;

use crate::print;
use crate::{Facts, Kind, Now};

pub struct TokenReview;

impl Kind for TokenReview {
    type Object = v1::TokenReview;

    const FACTS: Facts = Facts {
        group: "authentication.k8s.io",
        kind: "TokenReview",
        plural: "tokenreviews",
        singular: "tokenreview",
        definition: "io.k8s.api.authentication.v1.TokenReview",
        storage: "",
        ..Facts::REVIEW
    };

    fn cells(object: &Object, _now: Now) -> Vec<Value> {
        vec![print::name(object), print::created_at(object)]
    }
}
