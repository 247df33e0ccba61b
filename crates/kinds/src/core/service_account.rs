//! `ServiceAccount`: the identity of a pod.

use api::core::v1;
use apimachinery::Object;
use serde_json::Value;

use crate::print;
use crate::{Column, Facts, Kind, Now, Subresource, UpdateRules};

pub struct ServiceAccount;

impl Kind for ServiceAccount {
    type Object = v1::ServiceAccount;

    const RETURNS_DELETED: bool = true;

    const FACTS: Facts = Facts {
        kind: "ServiceAccount",
        plural: "serviceaccounts",
        singular: "serviceaccount",
        short_names: &["sa"],
        subresources: &[Subresource::Token],
        definition: "io.k8s.api.core.v1.ServiceAccount",
        storage: "serviceaccounts",
        update: UpdateRules { create_on_update: false, unconditional: false },
        columns: &[Column::name(), Column::age()],
        ..Facts::NAMESPACED
    };

    fn cells(object: &Object, now: Now) -> Vec<Value> {
        vec![print::name(object), print::age(object, now)]
    }
}
