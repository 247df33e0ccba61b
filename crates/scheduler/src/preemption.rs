//! A pod that fits nowhere may put pods of lower priority off a node: which node, and which pods. Upstream's
//! DefaultPreemption; there are no PodDisruptionBudgets yet.

use std::{borrow::Cow, cmp::Reverse, sync::Arc};

use api::meta::Time;

use crate::{
    cycle::{Cycle, FitError},
    node_info::NodeInfo,
    pod_info::PodInfo,
};

/// At most a tenth of the nodes are tried, but so many at least.
const MIN_CANDIDATES: usize = 100;
const MIN_CANDIDATES_PER_HUNDRED: usize = 10;

/// Whom to put off, and from where.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) node: String,
    pub(crate) victims: Vec<Arc<PodInfo>>,
}

/// Why nobody is put off.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoPlan {
    /// The pod may not, or has done so and waits for them to go.
    NotNow(&'static str),
    /// It would not help; what was promised to the pod before is void.
    Useless(FitError),
}

impl std::fmt::Display for NoPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotNow(why) => write!(f, "preemption: {why}"),
            Self::Useless(error) => write!(f, "preemption: {error}"),
        }
    }
}

/// Chooses after `refused` said that the pod fits nowhere.
pub(crate) fn plan(cycle: &Cycle<'_>, refused: &FitError) -> Result<Plan, NoPlan> {
    let pod = cycle.pod;
    if !pod.preempts {
        return Err(NoPlan::NotNow("not eligible due to preemptionPolicy=Never."));
    }
    let promised = cycle.nominated.node_of(&pod.uid).filter(|node| refused.hopeful.iter().any(|n| n == node));
    if let Some(node) = promised.and_then(|name| cycle.nodes.get(name))
        && node.pods.iter().any(|p| p.priority < pod.priority && p.terminating && p.preempted)
    {
        return Err(NoPlan::NotNow("not eligible due to a terminating pod on the nominated node."));
    }
    let mut useless = FitError::new(refused.nodes());
    let enough = MIN_CANDIDATES.max(refused.nodes() * MIN_CANDIDATES_PER_HUNDRED / 100);
    let mut candidates = Vec::new();
    for node in refused.hopeful.iter().filter_map(|name| cycle.nodes.get(name)) {
        match victims_on(cycle, node) {
            Ok(victims) => candidates.push(Plan { node: node.name.clone(), victims }),
            Err(reasons) => reasons.into_iter().for_each(|reason| useless.count(reason, 1)),
        }
        if candidates.len() >= enough {
            break;
        }
    }
    if let Some(best) = candidates.into_iter().min_by_key(cost) {
        return Ok(best);
    }
    let hopeless = refused.nodes() - refused.hopeful.len();
    if hopeless > 0 {
        useless.count("Preemption is not helpful for scheduling".into(), hopeless);
    }
    Err(NoPlan::Useless(useless))
}

/// The fewest and least of the pods on the node without which the pod fits, the most important first.
fn victims_on(cycle: &Cycle<'_>, node: &NodeInfo) -> Result<Vec<Arc<PodInfo>>, Vec<Cow<'static, str>>> {
    let mut lower: Vec<Arc<PodInfo>> = node.pods.iter().filter(|p| p.priority < cycle.pod.priority).cloned().collect();
    if lower.is_empty() {
        return Err(vec!["No preemption victims found for incoming pod".into()]);
    }
    let mut cleared = node.clone();
    lower.iter().for_each(|pod| cleared.remove(&pod.uid));
    if let Some(refusal) = cycle.refusal_if(&cleared) {
        return Err(refusal.reasons);
    }
    lower.sort_by_key(|pod| (Reverse(pod.priority), started(pod)));
    let mut victims = Vec::new();
    for pod in lower {
        cleared.add(pod.clone());
        if cycle.refusal_if(&cleared).is_some() {
            cleared.remove(&pod.uid);
            victims.push(pod);
        }
    }
    Ok(victims)
}

/// Pods that have not started come after all that have.
fn started(pod: &PodInfo) -> (bool, Option<Time>) {
    (pod.started.is_none(), pod.started.clone())
}

/// The least is the node that loses least: by its most important victim, then the sum of priorities, then the number
/// of victims, then by whose most important victims have run for the shortest time.
fn cost(plan: &Plan) -> (i32, i64, usize, Reverse<(bool, Option<Time>)>) {
    let highest = plan.victims.first().map_or(i32::MIN, |p| p.priority);
    let sum = plan.victims.iter().map(|p| i64::from(p.priority) + i64::from(i32::MAX) + 1).sum();
    let earliest = plan.victims.iter().filter(|p| p.priority == highest).map(|p| started(p)).min();
    (highest, sum, plan.victims.len(), Reverse(earliest.unwrap_or((true, None))))
}

#[cfg(test)]
mod tests;
