//! Revisions and the annotations that carry them from a deployment to its replica sets.

use std::collections::BTreeMap;

use api::{
    apps::v1::{Deployment, ReplicaSet},
    meta::ObjectMeta,
};

pub(crate) const REVISION: &str = "deployment.kubernetes.io/revision";
const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
const DESIRED_REPLICAS: &str = "deployment.kubernetes.io/desired-replicas";
const MAX_REPLICAS: &str = "deployment.kubernetes.io/max-replicas";
/// What stays a deployment's or a set's own.
const NOT_COPIED: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED_REPLICAS,
    MAX_REPLICAS,
    "deprecated.deployment.rollback.to",
];
const HISTORY_LIMIT_CHARS: usize = 2000;

fn annotation<'a>(metadata: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

fn annotations(metadata: &mut ObjectMeta) -> &mut BTreeMap<String, String> {
    metadata.annotations.get_or_insert_default()
}

pub(crate) fn revision(metadata: &ObjectMeta) -> i64 {
    annotation(metadata, REVISION).and_then(|text| text.parse().ok()).unwrap_or(0)
}

pub(crate) fn max_revision<'a>(sets: impl Iterator<Item = &'a ReplicaSet>) -> i64 {
    sets.map(|set| revision(&set.metadata)).max().unwrap_or(0)
}

fn number(metadata: &ObjectMeta, key: &str) -> Option<i32> {
    annotation(metadata, key)?.parse().ok()
}

/// The deployment's size when the set was last scaled.
pub(crate) fn desired_replicas(set: &ReplicaSet) -> Option<i32> {
    number(&set.metadata, DESIRED_REPLICAS)
}

/// That size with surge.
pub(crate) fn max_replicas(set: &ReplicaSet) -> Option<i32> {
    number(&set.metadata, MAX_REPLICAS)
}

/// Notes the deployment's size on the set; says whether that changed anything.
pub(crate) fn set_replicas_annotations(set: &mut ReplicaSet, desired: i32, max: i32) -> bool {
    let annotations = annotations(&mut set.metadata);
    let mut changed = false;
    for (key, value) in [(DESIRED_REPLICAS, desired), (MAX_REPLICAS, max)] {
        changed |= annotations.insert(key.to_owned(), value.to_string()) != Some(value.to_string());
    }
    changed
}

/// Copies the deployment's annotations to its newest set and raises the set's revision, keeping those it had in its
/// history; says whether that changed anything.
pub(crate) fn set_new_annotations(deployment: &Deployment, set: &mut ReplicaSet, new_revision: i64) -> bool {
    let mut changed = false;
    for (key, value) in deployment.metadata.annotations.iter().flatten() {
        if !NOT_COPIED.contains(&key.as_str()) && annotation(&set.metadata, key) != Some(value) {
            annotations(&mut set.metadata).insert(key.clone(), value.clone());
            changed = true;
        }
    }
    let old = annotation(&set.metadata, REVISION).map(str::to_owned);
    if old.as_deref().unwrap_or("0").parse::<i64>().is_ok_and(|old| old >= new_revision) {
        return changed;
    }
    if let Some(old) = old {
        let history = annotation(&set.metadata, REVISION_HISTORY).unwrap_or_default();
        let history = extended_history(history, &old);
        annotations(&mut set.metadata).insert(REVISION_HISTORY.to_owned(), history);
    }
    annotations(&mut set.metadata).insert(REVISION.to_owned(), new_revision.to_string());
    true
}

fn extended_history(history: &str, old: &str) -> String {
    let mut revisions: Vec<&str> = history.split(',').filter(|r| !r.is_empty()).collect();
    revisions.push(old);
    while revisions.len() > 1 && revisions.iter().map(|r| r.len() + 1).sum::<usize>() - 1 > HISTORY_LIMIT_CHARS {
        revisions.remove(0);
    }
    revisions.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_that_becomes_newest_again_remembers_its_revisions() {
        let mut deployment = Deployment::default();
        annotations(&mut deployment.metadata).insert("note".to_owned(), "kept".to_owned());
        annotations(&mut deployment.metadata).insert(REVISION.to_owned(), "9".to_owned());
        let mut set = ReplicaSet::default();
        assert!(set_new_annotations(&deployment, &mut set, 1));
        assert_eq!(annotation(&set.metadata, REVISION_HISTORY), None);
        assert!(!set_new_annotations(&deployment, &mut set, 1));
        assert!(set_new_annotations(&deployment, &mut set, 3));
        assert!(set_new_annotations(&deployment, &mut set, 5));
        assert_eq!(annotation(&set.metadata, REVISION), Some("5"));
        assert_eq!(annotation(&set.metadata, REVISION_HISTORY), Some("1,3"));
        assert_eq!(annotation(&set.metadata, "note"), Some("kept"));
    }

    #[test]
    fn history_has_a_bound() {
        let long = (0..600).map(|n| format!("{n:03}")).collect::<Vec<_>>().join(",");
        let history = extended_history(&long, "600");
        assert!(history.len() <= HISTORY_LIMIT_CHARS && history.ends_with(",599,600"));
    }
}
