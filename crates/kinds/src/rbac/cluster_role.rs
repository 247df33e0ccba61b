//! `ClusterRole`: permissions in the whole cluster.

use api::rbac::v1;
use apimachinery::Object;
use serde_json::Value;

use crate::rules;
use crate::{Facts, Kind, Now, UpdateRules};
use crate::{names, print};
use apimachinery::field::{Error, ErrorList, Path};

pub struct ClusterRole;

impl Kind for ClusterRole {
    type Object = v1::ClusterRole;

    const FACTS: Facts = Facts {
        group: "rbac.authorization.k8s.io",
        kind: "ClusterRole",
        plural: "clusterroles",
        singular: "clusterrole",
        definition: "io.k8s.api.rbac.v1.ClusterRole",
        storage: "clusterroles",
        name_rule: names::path_segment,
        update: UpdateRules { create_on_update: true, unconditional: true },
        ..Facts::CLUSTER
    };

    fn validate(role: &v1::ClusterRole) -> ErrorList {
        let mut errors = super::validate::policy_rules(&role.rules, false);
        if let Some(aggregation) = &role.aggregation_rule {
            let path = Path::new("aggregationRule").child("clusterRoleSelectors");
            let selectors = rules::slice(&aggregation.cluster_role_selectors);
            if selectors.is_empty() {
                let why = "at least one clusterRoleSelector required if aggregationRule is non-nil";
                errors.push(Error::required(&path, why));
            }
            for (index, selector) in selectors.iter().enumerate() {
                rules::label_selector(selector, &path.index(index), &mut errors);
            }
        }
        errors
    }

    fn cells(object: &Object, _now: Now) -> Vec<Value> {
        vec![print::name(object), print::created_at(object)]
    }
}
