//! Writes of namespaces: labels must mean something, and who enforces more hears which pods would not be let in.

use std::collections::BTreeMap;

use apimachinery::{GroupKind, Object, Status, field::quote};
use serde_json::Value;

use super::{
    checks,
    policy::{Level, Policy, Standard},
};
use crate::{Objects, Request};

/// So many pods are looked at when a namespace enforces more than before.
const MAX_PODS: usize = 3000;

pub(super) async fn check(request: &Request<'_>, object: &Object, objects: &dyn Objects) -> Result<(), Status> {
    if !request.subresource.is_empty() {
        return Ok(());
    }
    let (policy, errors) = Policy::of(object);
    let before = request.old.map(Policy::of);
    if !errors.is_empty() && before.as_ref().is_none_or(|(_, before)| *before != errors) {
        return Err(Status::invalid(&GroupKind::new("", "Namespace"), object.name(), &errors));
    }
    let Some((before, _)) = before else { return Ok(()) };
    let (now, was) = (policy.enforce, before.enforce);
    let relaxed = now.version == was.version && now.level <= was.level;
    if now == was || now.level == Level::Privileged || relaxed {
        return Ok(());
    }
    let pods = objects.list(("", "v1", "pods"), object.name()).await?;
    warnings(object.name(), now, &pods).iter().for_each(|sentence| (request.warn)(sentence));
    Ok(())
}

/// What to say of the pods that are there already.
fn warnings(namespace: &str, standard: Standard, pods: &[Object]) -> Vec<String> {
    // By what is wrong: the first pod by name, and how many there are.
    let mut groups: BTreeMap<String, (&str, usize)> = BTreeMap::new();
    for pod in pods.iter().take(MAX_PODS) {
        let part = |path: &[&str]| pod.get(path).cloned().unwrap_or(Value::Null);
        let found = checks::run(standard, &part(&["metadata", "annotations"]), &part(&["spec"]));
        if found.is_empty() {
            continue;
        }
        let reasons = found.iter().map(|finding| finding.reason).collect::<Vec<_>>().join(", ");
        let group = groups.entry(reasons).or_insert((pod.name(), 0));
        group.0 = group.0.min(pod.name());
        group.1 += 1;
    }
    let mut said = Vec::new();
    if pods.len() > MAX_PODS {
        let all = pods.len();
        said.push(format!(
            "new PodSecurity enforce level only checked against the first {MAX_PODS} of {all} existing pods"
        ));
    }
    if !groups.is_empty() {
        let standard = quote(&standard.to_string());
        said.push(format!(
            "existing pods in namespace {} violate the new PodSecurity enforce level {standard}",
            quote(namespace)
        ));
    }
    let mut of_pods: Vec<String> = groups
        .into_iter()
        .map(|(reasons, (first, count))| match count {
            1 => format!("{first}: {reasons}"),
            2 => format!("{first} (and 1 other pod): {reasons}"),
            count => format!("{first} (and {} other pods): {reasons}", count - 1),
        })
        .collect();
    of_pods.sort();
    said.extend(of_pods);
    said
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use serde_json::json;

    use super::*;

    #[test]
    fn pods_with_the_same_faults_are_told_of_together() {
        let pod = |name: &str, privileged: bool| {
            let container = json!({"name": "c", "securityContext": {"privileged": privileged}});
            Object::from_value(json!({"metadata": {"name": name}, "spec": {"containers": [container]}})).unwrap()
        };
        let standard = Standard { level: Level::Baseline, ..Standard::default() };
        let all = [pod("c", true), pod("a", false), pod("b", true)];
        assert_eq!(
            warnings("n", standard, &all),
            [
                "existing pods in namespace \"n\" violate the new PodSecurity enforce level \"baseline:latest\"",
                "b (and 1 other pod): privileged",
            ]
        );
        assert!(warnings("n", standard, &all[1..2]).is_empty());
    }
}
