//! The cluster role aggregation controller: a role with an aggregation rule holds the rules of the roles it selects.

use api::rbac::v1::{ClusterRole, PolicyRule};
use client::{ApiError, Patch, PatchParams};
use controller_runtime::{Controller, Error, Key, Lister, Next, Watch};
use serde_json::json;

use crate::{claim, context::Context};

/// Owns the rules of aggregated roles.
const FIELD_MANAGER: &str = "clusterrole-aggregation-controller";

pub(crate) struct ClusterRoleAggregator {
    context: Context,
    roles: Lister<ClusterRole>,
}

impl ClusterRoleAggregator {
    pub(crate) fn new(context: Context) -> Self {
        Self { roles: context.informers.watch(), context }
    }
}

/// Pure: the rules the role should have, if it has others. `selected` is what each of its selectors finds.
fn plan(role: &ClusterRole, selected: Vec<Vec<ClusterRole>>) -> Option<Vec<PolicyRule>> {
    let mut rules: Vec<PolicyRule> = Vec::new();
    for mut roles in selected {
        roles.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        let others = roles.into_iter().filter(|other| other.metadata.name != role.metadata.name);
        for rule in others.flat_map(|other| other.rules.unwrap_or_default()) {
            if !rules.contains(&rule) {
                rules.push(rule);
            }
        }
    }
    (role.rules.as_deref().unwrap_or_default() != rules).then_some(rules)
}

impl Controller for ClusterRoleAggregator {
    const NAME: &'static str = "ClusterRoleAggregator";

    fn watches(&self) -> Vec<Watch> {
        let roles = self.roles.clone();
        // Any role may come into or go out of any aggregate.
        vec![Watch::mapped(&self.roles, move |_| roles.entries().iter().map(|e| e.header.key.clone()).collect())]
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(role) = self.roles.fetch(key)? else { return Ok(Next::Settled) };
        let Some(aggregation) = &role.aggregation_rule else { return Ok(Next::Settled) };
        let selectors = aggregation.cluster_role_selectors.iter().flatten().filter_map(claim::selector);
        let selected = selectors.map(|selector| self.roles.fetch_selected("", &selector));
        let Some(rules) = plan(&role, selected.collect::<Result<_, _>>()?) else { return Ok(Next::Settled) };
        let wanted = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": &*key.name},
            "rules": rules,
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        match self.context.client.all::<ClusterRole>().patch(&key.name, &params, &Patch::Apply(wanted)).await {
            Ok(_) => Ok(Next::Settled),
            Err(error) if error.is_not_found() => Ok(Next::Settled),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn role(name: &str, verbs: &[&str]) -> ClusterRole {
        let rules: Vec<_> = verbs.iter().map(|verb| json!({"verbs": [verb], "resources": ["pods"]})).collect();
        serde_json::from_value(json!({"metadata": {"name": name}, "rules": rules})).unwrap()
    }

    #[test]
    fn rules_come_once_in_the_order_of_names() {
        let verbs = |rules: Vec<PolicyRule>| -> Vec<String> { rules.into_iter().flat_map(|rule| rule.verbs).collect() };
        let (a, b) = (role("a", &["get", "list"]), role("b", &["list", "watch"]));
        let empty = role("all", &[]);
        let planned = plan(&empty, vec![vec![b.clone(), a.clone(), role("all", &["own"])], vec![b.clone()]]).unwrap();
        assert_eq!(verbs(planned.clone()), ["get", "list", "watch"]);
        let settled = ClusterRole { rules: Some(planned), ..empty.clone() };
        assert_eq!(plan(&settled, vec![vec![a, b]]), None);
        assert_eq!(plan(&empty, Vec::new()), None);
        assert_eq!(plan(&settled, Vec::new()), Some(Vec::new()));
    }
}
