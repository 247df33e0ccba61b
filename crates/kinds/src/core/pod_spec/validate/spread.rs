//! How pods spread over parts of the cluster.

use api::core::v1::TopologySpreadConstraint;
use apimachinery::field::{Error, ErrorList, Path};

use crate::rules;

pub(super) fn validate(constraints: &[TopologySpreadConstraint], path: &Path, errors: &mut ErrorList) {
    for (index, constraint) in constraints.iter().enumerate() {
        let path = path.index(index);
        if constraint.max_skew <= 0 {
            errors.push(Error::invalid(&path.child("maxSkew"), constraint.max_skew, "must be greater than zero"));
        }
        if constraint.topology_key.is_empty() {
            errors.push(Error::required(&path.child("topologyKey"), "can not be empty"));
        } else {
            rules::qualified_name(&constraint.topology_key, &path.child("topologyKey"), errors);
        }
        let when = constraint.when_unsatisfiable.as_str();
        rules::one_of(when, &["DoNotSchedule", "ScheduleAnyway"], &path.child("whenUnsatisfiable"), errors);
        let same = |c: &TopologySpreadConstraint| {
            c.topology_key == constraint.topology_key && c.when_unsatisfiable == constraint.when_unsatisfiable
        };
        if constraints[index + 1..].iter().any(same) {
            let at = path.child("{topologyKey, whenUnsatisfiable}");
            errors.push(Error::duplicate(&at, format!("{{{}, {when}}}", constraint.topology_key)));
        }
        min_domains(constraint, &path.child("minDomains"), errors);
        let policies = [
            (&constraint.node_affinity_policy, "nodeAffinityPolicy"),
            (&constraint.node_taints_policy, "nodeTaintsPolicy"),
        ];
        for (policy, field) in policies {
            if let Some(policy) = policy {
                rules::one_of(policy, &["Honor", "Ignore"], &path.child(field), errors);
            }
        }
        label_keys(constraint, &path.child("matchLabelKeys"), errors);
        if let Some(selector) = &constraint.label_selector {
            rules::label_selector(selector, &path.child("labelSelector"), errors);
        }
    }
}

fn min_domains(constraint: &TopologySpreadConstraint, path: &Path, errors: &mut ErrorList) {
    let Some(domains) = constraint.min_domains else { return };
    if domains <= 0 {
        errors.push(Error::invalid(path, domains, "must be greater than zero"));
    }
    if constraint.when_unsatisfiable != "DoNotSchedule" {
        let why = format!(
            "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {}",
            constraint.when_unsatisfiable
        );
        errors.push(Error::invalid(path, domains, why));
    }
}

fn label_keys(constraint: &TopologySpreadConstraint, path: &Path, errors: &mut ErrorList) {
    let keys = rules::slice(&constraint.match_label_keys);
    if !keys.is_empty() && constraint.label_selector.is_none() {
        errors.push(Error::forbidden(path, "must not be specified when labelSelector is not set"));
    }
    for (index, key) in keys.iter().enumerate() {
        rules::qualified_name(key, &path.index(index), errors);
        let selected = constraint.label_selector.as_ref().and_then(|s| s.match_labels.as_ref());
        if selected.is_some_and(|labels| labels.contains_key(key)) {
            let why = "exists in both matchLabelKeys and labelSelector";
            errors.push(Error::invalid(&path.index(index), key.as_str(), why));
        }
    }
}
