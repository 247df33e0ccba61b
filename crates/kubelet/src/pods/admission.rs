//! Whether this node takes a pod that was bound to it. A refusal is final: the pod fails, with upstream's reason.

use std::{collections::HashMap, sync::Arc};

use api::{
    core::v1::{Node, Pod, PodSpec},
    resources::{Amounts, pod_requests},
};

use super::sysctls;
use crate::{agent::Agent, eviction, pod::status::Verdict};

/// What the status says before the reason an event gives.
pub(super) const REJECTED: &str = "Pod was rejected: ";

/// None where the pod is welcome, or was taken before.
pub(crate) fn refuse(agent: &Agent, pod: &Pod) -> Option<Verdict> {
    let status = pod.status.as_ref();
    let finished = api::conditions::is_pod_finished(pod);
    if finished || pod.metadata.deletion_timestamp.is_some() || status.is_some_and(|s| s.start_time.is_some()) {
        return None;
    }
    if let Some(message) = agent.pressure.refuse(pod) {
        return Some(verdict(eviction::REASON, message));
    }
    if let Some(message) = pod.spec.as_ref().and_then(|s| sysctls::refuse(s, &agent.config.allowed_unsafe_sysctls)) {
        return Some(verdict("SysctlForbidden", message));
    }
    let others: Vec<Arc<Pod>> = agent.table.all().iter().map(|s| s.pod()).collect();
    let node = agent.node.entries().first().and_then(|entry| entry.decode::<Node>().ok());
    let limits = Limits { allocatable: &agent.facts.allocatable, max_pods: agent.config.max_pods };
    judge(pod, &others, node.as_ref(), &limits).err()
}

struct Limits<'a> {
    allocatable: &'a Amounts,
    max_pods: u32,
}

fn verdict(reason: impl Into<String>, message: impl AsRef<str>) -> Verdict {
    Verdict { reason: reason.into(), message: format!("{REJECTED}{}", message.as_ref()), disruption: None }
}

fn judge(pod: &Pod, others: &[Arc<Pod>], node: Option<&Node>, limits: &Limits<'_>) -> Result<(), Verdict> {
    let Some(spec) = &pod.spec else { return Ok(()) };
    unsupported(spec)?;
    if let Some(node) = node {
        selector(spec, node)?;
        taints(spec, node)?;
    }
    let active: Vec<&PodSpec> = others
        .iter()
        .filter(|p| p.metadata.uid != pod.metadata.uid && !api::conditions::is_pod_finished(p))
        .filter_map(|p| p.spec.as_ref())
        .collect();
    ports(spec, &active)?;
    resources(spec, &active, limits)
}

/// What this node cannot enforce is refused rather than ignored.
fn unsupported(spec: &PodSpec) -> Result<(), Verdict> {
    if spec.os.as_ref().is_some_and(|os| os.name != "linux") {
        let message = "Failed to admit pod as the OS field doesn't match node OS";
        return Err(verdict("PodOSNotSupported", message));
    }
    if spec.host_users == Some(false) {
        let message = "User namespaces are not supported by this node: set hostUsers to true or leave it out";
        return Err(verdict("UserNamespacesNotSupported", message));
    }
    let all = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    if all.filter_map(|c| c.lifecycle.as_ref()).any(|l| l.stop_signal.is_some()) {
        let message = "Stop signals of the pod are not supported by this node: leave lifecycle.stopSignal to the image";
        return Err(verdict("StopSignalNotSupported", message));
    }
    if spec.runtime_class_name.as_deref().is_some_and(|n| !n.is_empty()) {
        return Err(verdict("RuntimeClassNotSupported", "Runtime classes are not supported by this node"));
    }
    let whole = spec.security_context.as_ref().and_then(|s| s.app_armor_profile.as_ref());
    let each = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let mut profiles = each.filter_map(|c| c.security_context.as_ref()?.app_armor_profile.as_ref()).chain(whole);
    if profiles.any(|p| p.type_ != "Unconfined") && !std::path::Path::new("/sys/kernel/security/apparmor").exists() {
        return Err(verdict("AppArmor", "Cannot enforce AppArmor: AppArmor is not enabled on the host"));
    }
    Ok(())
}

/// The node selector, and the required affinity, which has to hold for one of its terms.
fn selector(spec: &PodSpec, node: &Node) -> Result<(), Verdict> {
    let labels = node.metadata.labels.clone().unwrap_or_default();
    let name = node.metadata.name.clone().unwrap_or_default();
    let plain = spec.node_selector.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    let required = spec
        .affinity
        .as_ref()
        .and_then(|a| a.node_affinity.as_ref())
        .and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
    let fits = required.is_none_or(|required| {
        required.node_selector_terms.iter().any(|term| {
            let empty = term.match_expressions.is_none() && term.match_fields.is_none();
            let by_label = term.match_expressions.iter().flatten().all(|r| {
                let value = labels.get(&r.key).map(String::as_str);
                holds(&r.operator, value, r.values.as_deref().unwrap_or_default())
            });
            let by_field = term.match_fields.iter().flatten().all(|r| {
                r.key == "metadata.name" && holds(&r.operator, Some(&name), r.values.as_deref().unwrap_or_default())
            });
            !empty && by_label && by_field
        })
    });
    if plain && fits {
        return Ok(());
    }
    Err(verdict("NodeAffinity", "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"))
}

fn holds(operator: &str, value: Option<&str>, values: &[String]) -> bool {
    let number = |text: &str| text.parse::<i64>().ok();
    let compare = |fits: fn(i64, i64) -> bool| {
        let limit = values.first().and_then(|v| number(v));
        value.and_then(number).zip(limit).is_some_and(|(a, b)| fits(a, b))
    };
    match operator {
        "In" => value.is_some_and(|v| values.iter().any(|x| x == v)),
        "NotIn" => value.is_none_or(|v| values.iter().all(|x| x != v)),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compare(|a, b| a > b),
        "Lt" => compare(|a, b| a < b),
        _ => false,
    }
}

/// A pod that would be evicted at once is not begun.
fn taints(spec: &PodSpec, node: &Node) -> Result<(), Verdict> {
    let taints = node.spec.as_ref().and_then(|s| s.taints.as_deref()).unwrap_or_default();
    let tolerations = spec.tolerations.as_deref().unwrap_or_default();
    let hard = |taint: &&api::core::v1::Taint| taint.effect == "NoExecute";
    match taints.iter().filter(hard).find(|taint| !tolerations.iter().any(|t| tolerated(t, taint))) {
        None => Ok(()),
        Some(_) => {
            let message = "Predicate TaintToleration failed: node(s) had taints that the pod didn't tolerate";
            Err(verdict("TaintToleration", message))
        }
    }
}

fn tolerated(toleration: &api::core::v1::Toleration, taint: &api::core::v1::Taint) -> bool {
    let effect = toleration.effect.as_deref().unwrap_or_default();
    let key = toleration.key.as_deref().unwrap_or_default();
    let same_value = || toleration.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default();
    let exists = toleration.operator.as_deref() == Some("Exists");
    (effect.is_empty() || effect == taint.effect)
        && (if key.is_empty() { exists } else { key == taint.key && (exists || same_value()) })
}

fn host_ports(spec: &PodSpec) -> Vec<(String, String, i32)> {
    let sidecars = spec.init_containers.iter().flatten().filter(|c| api::resources::is_restartable_init(c));
    let ports = spec.containers.iter().chain(sidecars).flat_map(|c| c.ports.iter().flatten());
    ports
        .filter_map(|p| {
            let port = p.host_port.filter(|port| *port > 0)?;
            let ip = p.host_ip.clone().filter(|ip| !ip.is_empty()).unwrap_or_else(|| "0.0.0.0".to_owned());
            Some((ip, p.protocol.clone().unwrap_or_else(|| "TCP".to_owned()), port))
        })
        .collect()
}

fn ports(spec: &PodSpec, others: &[&PodSpec]) -> Result<(), Verdict> {
    let wanted = host_ports(spec);
    if wanted.is_empty() {
        return Ok(());
    }
    let taken: Vec<_> = others.iter().flat_map(|s| host_ports(s)).collect();
    let clash = |a: &(String, String, i32), b: &(String, String, i32)| {
        a.1 == b.1 && a.2 == b.2 && (a.0 == b.0 || a.0 == "0.0.0.0" || b.0 == "0.0.0.0")
    };
    if wanted.iter().any(|a| taken.iter().any(|b| clash(a, b))) {
        let message = "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports";
        return Err(verdict("NodePorts", message));
    }
    Ok(())
}

fn resources(spec: &PodSpec, others: &[&PodSpec], limits: &Limits<'_>) -> Result<(), Verdict> {
    let max = limits.max_pods as usize;
    if others.len() + 1 > max {
        let used = others.len();
        let message = format!("Node didn't have enough resource: pods, requested: 1, used: {used}, capacity: {max}");
        return Err(verdict("OutOfpods", message));
    }
    let mut used: HashMap<String, apimachinery::Quantity> = HashMap::new();
    for (name, amount) in others.iter().flat_map(|s| pod_requests(s)) {
        let sum = used.entry(name).or_default();
        *sum = sum.plus(amount);
    }
    for (name, wanted) in pod_requests(spec).into_iter().filter(|(_, q)| !q.is_zero()) {
        let capacity = limits.allocatable.get(&name).copied().unwrap_or_default();
        let used = used.get(&name).copied().unwrap_or_default();
        if wanted.plus(used) > capacity {
            let units = |q: apimachinery::Quantity| if name == "cpu" { q.milli() } else { q.units() };
            let message = format!(
                "Node didn't have enough resource: {name}, requested: {}, used: {}, capacity: {}",
                units(wanted),
                units(used),
                units(capacity)
            );
            return Err(verdict(format!("OutOf{name}"), message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use serde_json::{Value, json};

    fn pod(uid: &str, spec: Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": uid, "uid": uid}, "spec": spec})).unwrap()
    }

    fn check(spec: Value, others: &[Value]) -> Result<(), (String, String)> {
        let node: Node = serde_json::from_value(json!({"metadata": {"name": "n", "labels": {"disk": "ssd"}},
            "spec": {"taints": [{"key": "k", "value": "v", "effect": "NoExecute"}]}}))
        .unwrap();
        let wire: std::collections::BTreeMap<String, api::Quantity> =
            serde_json::from_value(json!({"cpu": "2", "memory": "1Gi"})).unwrap();
        let allocatable = api::resources::amounts(Some(&wire));
        let others: Vec<Arc<Pod>> =
            others.iter().enumerate().map(|(i, s)| Arc::new(pod(&format!("o{i}"), s.clone()))).collect();
        let mut spec = spec;
        spec["tolerations"] = spec.get("tolerations").cloned().unwrap_or(json!([{"operator": "Exists"}]));
        spec["containers"] = spec.get("containers").cloned().unwrap_or(json!([{"name": "c"}]));
        let limits = Limits { allocatable: &allocatable, max_pods: 2 };
        judge(&pod("p", spec), &others, Some(&node), &limits).map_err(|v| (v.reason, v.message))
    }

    fn reason(spec: Value, others: &[Value]) -> String {
        check(spec, others).err().map(|(reason, _)| reason).unwrap_or_default()
    }

    #[test]
    fn refusals() {
        let asks = |cpu: &str| json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]});
        let port =
            |port: i32| json!({"containers": [{"name": "c", "ports": [{"containerPort": 1, "hostPort": port}]}]});
        assert_eq!(reason(asks("2"), &[]), "");
        let (why, message) = check(asks("1500m"), &[asks("1")]).unwrap_err();
        assert_eq!(why, "OutOfcpu");
        let text =
            "Pod was rejected: Node didn't have enough resource: cpu, requested: 1500, used: 1000, capacity: 2000";
        assert_eq!(message, text);
        assert_eq!(reason(asks("1"), &[asks("0"), asks("0")]), "OutOfpods");
        assert_eq!(reason(port(80), &[port(80)]), "NodePorts");
        assert_eq!(reason(port(80), &[port(81)]), "");
        assert_eq!(reason(json!({"nodeSelector": {"disk": "ssd"}}), &[]), "");
        assert_eq!(reason(json!({"nodeSelector": {"disk": "hdd"}}), &[]), "NodeAffinity");
        assert_eq!(reason(json!({"tolerations": []}), &[]), "TaintToleration");
        let exact = json!([{"key": "k", "operator": "Equal", "value": "v", "effect": "NoExecute"}]);
        assert_eq!(reason(json!({"tolerations": exact}), &[]), "");
        assert_eq!(reason(json!({"os": {"name": "windows"}}), &[]), "PodOSNotSupported");
        assert_eq!(reason(json!({"hostUsers": false}), &[]), "UserNamespacesNotSupported");
        let signal = json!({"containers": [{"name": "c", "lifecycle": {"stopSignal": "SIGUSR1"}}]});
        assert_eq!(reason(signal, &[]), "StopSignalNotSupported");
    }
}
