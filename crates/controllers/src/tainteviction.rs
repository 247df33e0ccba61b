//! The taint eviction controller: deletes pods from nodes with taints they do not tolerate, at once or when their
//! tolerance runs out.

use std::time::Duration;

use api::{
    core::v1::{Node, Pod, Taint, Toleration},
    jiff::Timestamp,
    object_reference, tolerates,
};
use client::{ApiError, DeleteParams, Patch, PatchParams, Preconditions};
use controller_runtime::{Controller, Error, Key, Lister, Next, Watch};
use serde_json::json;

use crate::context::Context;

pub(crate) struct TaintEvictionController {
    context: Context,
    nodes: Lister<Node>,
    pods: Lister<Pod>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    Stay,
    StayFor(Duration),
    Leave,
}

/// Pure: how long a pod with these tolerations may stay under these taints. The shortest of its tolerances counts,
/// from when the first of the taints was added.
fn plan(taints: &[Taint], tolerations: &[Toleration], now: Timestamp) -> Plan {
    let taints: Vec<&Taint> = taints.iter().filter(|taint| taint.effect == "NoExecute").collect();
    if taints.is_empty() {
        return Plan::Stay;
    }
    let mut shortest: Option<i64> = None;
    for taint in &taints {
        let mut bearing = tolerations.iter().filter(|toleration| tolerates(toleration, taint)).peekable();
        if bearing.peek().is_none() {
            return Plan::Leave;
        }
        let seconds = bearing.filter_map(|toleration| toleration.toleration_seconds).map(|s| s.max(0)).min();
        shortest = [shortest, seconds].into_iter().flatten().min();
    }
    let Some(seconds) = shortest else { return Plan::Stay };
    let since = taints.iter().filter_map(|taint| taint.time_added.as_ref()).map(|time| time.0).min().unwrap_or(now);
    let passed = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    match Duration::from_secs(seconds as u64).checked_sub(passed).filter(|left| !left.is_zero()) {
        Some(left) => Plan::StayFor(left),
        None => Plan::Leave,
    }
}

impl TaintEvictionController {
    pub(crate) fn new(context: Context) -> Self {
        let (nodes, pods) = (context.informers.watch(), context.informers.watch());
        Self { context, nodes, pods }
    }

    async fn evict(&self, key: &Key, pod: &Pod) -> Result<Next, Error> {
        let about = object_reference(pod);
        let pods = self.context.client.namespaced::<Pod>(&key.namespace);
        let condition = json!({
            "type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager",
            "message": "Taint manager: deleting due to NoExecute taint",
            "lastTransitionTime": api::meta::Time(Timestamp::now()),
        });
        let patch = json!({"metadata": {"uid": pod.metadata.uid}, "status": {"conditions": [condition]}});
        self.context.recorder.normal(&about, "TaintManagerEviction", format!("Marking for deletion Pod {key}"));
        let marked = pods.patch_status(&key.name, &PatchParams::default(), &Patch::Strategic(patch)).await;
        if let Err(error) = marked
            && !error.is_not_found()
            && !error.is_conflict()
        {
            return Err(error.into());
        }
        let preconditions = Preconditions { uid: pod.metadata.uid.clone(), resource_version: None };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        match pods.delete(&key.name, &params).await {
            Ok(_) => Ok(Next::Settled),
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(Next::Settled),
            Err(error) => Err(error.into()),
        }
    }
}

impl Controller for TaintEvictionController {
    const NAME: &'static str = "taint_eviction_controller";

    fn watches(&self) -> Vec<Watch> {
        let pods = self.pods.clone();
        vec![
            Watch::own(&self.pods),
            Watch::mapped(&self.nodes, move |change| {
                let taints = |entry: Option<&std::sync::Arc<controller_runtime::Entry>>| {
                    entry.and_then(|entry| entry.decode::<Node>().ok()).and_then(|node| node.spec?.taints)
                };
                if taints(change.old.as_ref()) == taints(change.new.as_ref()) {
                    return Vec::new();
                }
                pods.on_node(&change.key.name).iter().map(|pod| pod.header.key.clone()).collect()
            }),
        ]
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(entry) = self.pods.get(key) else { return Ok(Next::Settled) };
        if entry.header.deleting || entry.header.node.is_empty() {
            return Ok(Next::Settled);
        }
        let Some(node) = self.nodes.fetch(&Key::cluster(entry.header.node.clone()))? else { return Ok(Next::Settled) };
        let taints = node.spec.and_then(|spec| spec.taints).unwrap_or_default();
        if taints.is_empty() {
            return Ok(Next::Settled);
        }
        let pod: Pod = entry.decode()?;
        let tolerations = pod.spec.as_ref().and_then(|spec| spec.tolerations.clone()).unwrap_or_default();
        match plan(&taints, &tolerations, Timestamp::now()) {
            Plan::Stay => Ok(Next::Settled),
            Plan::StayFor(left) => Ok(Next::After(left)),
            Plan::Leave => self.evict(key, &pod).await,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use serde_json::{Value, json};

    use super::*;

    fn check(taints: Value, tolerations: Value, expect: Plan) {
        let now = "2026-01-01T00:01:00Z".parse().unwrap();
        let taints: Vec<Taint> = serde_json::from_value(taints).unwrap();
        let tolerations: Vec<Toleration> = serde_json::from_value(tolerations).unwrap();
        assert_eq!(plan(&taints, &tolerations, now), expect);
    }

    #[test]
    fn tolerances_run_out() {
        let taint = json!({"key": "k", "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:00Z"});
        let tolerate = |seconds: Option<i64>| json!({"key": "k", "operator": "Exists", "tolerationSeconds": seconds});
        check(json!([{"key": "k", "effect": "NoSchedule"}]), json!([]), Plan::Stay);
        check(json!([taint]), json!([]), Plan::Leave);
        check(json!([taint]), json!([tolerate(None)]), Plan::Stay);
        check(json!([taint]), json!([tolerate(Some(300))]), Plan::StayFor(Duration::from_secs(240)));
        check(json!([taint]), json!([tolerate(Some(300)), tolerate(Some(90))]), Plan::StayFor(Duration::from_secs(30)));
        check(json!([taint]), json!([tolerate(Some(60))]), Plan::Leave);
        check(json!([taint]), json!([tolerate(Some(-1))]), Plan::Leave);
        check(json!([taint, {"key": "other", "effect": "NoExecute"}]), json!([tolerate(None)]), Plan::Leave);
    }
}
