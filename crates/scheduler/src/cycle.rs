//! One pod, one snapshot: which node, or why none.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use rand::Rng;

use crate::{
    cache::Nodes,
    node_info::NodeInfo,
    plugins::{self, Plugin, Prepared, Verdict},
    pod_info::PodInfo,
};

/// Below this many nodes all are looked at; above, enough to choose well from.
const MIN_FEASIBLE: usize = 100;
/// The share looked at never falls below this many hundredths.
const MIN_PERCENT: usize = 5;

/// Why no node was found, in upstream's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FitError {
    nodes: usize,
    /// How many nodes were refused for each reason.
    reasons: BTreeMap<Cow<'static, str>, usize>,
    /// The names of the plugins that refused.
    pub(crate) refused_by: Vec<&'static str>,
}

impl std::fmt::Display for FitError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.nodes == 0 {
            return f.write_str("no nodes available to schedule pods");
        }
        let mut reasons: Vec<String> = self.reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        reasons.sort();
        write!(f, "0/{} nodes are available: {}.", self.nodes, reasons.join(", "))
    }
}

/// Where to begin looking, so that not always the same nodes are looked at in a large cluster.
#[derive(Default)]
pub(crate) struct Rotation(usize);

struct Active {
    plugin: &'static dyn Plugin,
    prepared: Box<dyn Prepared>,
}

/// Chooses the best node for the pod.
pub(crate) fn choose(
    pod: &Arc<PodInfo>,
    nodes: &Arc<Nodes>,
    rotation: &mut Rotation,
    rng: &mut impl Rng,
) -> Result<String, FitError> {
    let all: Vec<&NodeInfo> = nodes.values().map(Arc::as_ref).filter(|n| n.exists).collect();
    let active: Vec<Active> = plugins::ALL
        .iter()
        .filter_map(|plugin| Some(Active { plugin: *plugin, prepared: plugin.prepare(pod, nodes)? }))
        .collect();
    let feasible = feasible(&all, &active, rotation)?;
    match feasible.as_slice() {
        [only] => Ok(only.name.clone()),
        _ => Ok(best(&feasible, &active, rng).name.clone()),
    }
}

fn enough(nodes: usize) -> usize {
    if nodes < MIN_FEASIBLE {
        return nodes;
    }
    let percent = 50_usize.saturating_sub(nodes / 125).max(MIN_PERCENT);
    (nodes * percent / 100).max(MIN_FEASIBLE)
}

fn feasible<'a>(
    all: &[&'a NodeInfo],
    active: &[Active],
    rotation: &mut Rotation,
) -> Result<Vec<&'a NodeInfo>, FitError> {
    let mut error = FitError { nodes: all.len(), reasons: BTreeMap::new(), refused_by: Vec::new() };
    let wanted = enough(all.len());
    let mut found = Vec::new();
    let mut seen = 0;
    for node in all.iter().copied().cycle().skip(rotation.0 % all.len().max(1)).take(all.len()) {
        seen += 1;
        let refusal = active.iter().find_map(|a| match a.prepared.filter(node) {
            Verdict::Fits => None,
            Verdict::Refused(reasons) => Some((a.plugin.name(), reasons)),
        });
        match refusal {
            None => found.push(node),
            Some((plugin, reasons)) => {
                if !error.refused_by.contains(&plugin) {
                    error.refused_by.push(plugin);
                }
                for reason in reasons {
                    *error.reasons.entry(reason).or_default() += 1;
                }
            }
        }
        if found.len() >= wanted {
            break;
        }
    }
    rotation.0 = (rotation.0 + seen) % all.len().max(1);
    if found.is_empty() { Err(error) } else { Ok(found) }
}

/// The node with the highest weighted sum of scores; one of them at random where several have it.
fn best<'a>(feasible: &[&'a NodeInfo], active: &[Active], rng: &mut impl Rng) -> &'a NodeInfo {
    let mut totals = vec![0; feasible.len()];
    for Active { plugin, prepared } in active.iter().filter(|a| a.plugin.weight() > 0) {
        let Some(mut scores) = feasible.iter().map(|node| prepared.score(node)).collect::<Option<Vec<i64>>>() else {
            continue;
        };
        prepared.normalize(&mut scores);
        for (total, score) in totals.iter_mut().zip(scores) {
            *total += score * plugin.weight();
        }
    }
    let most = totals.iter().copied().max().unwrap_or_default();
    let winners: Vec<usize> = (0..totals.len()).filter(|i| totals[*i] == most).collect();
    feasible[winners[rng.random_range(0..winners.len())]]
}
