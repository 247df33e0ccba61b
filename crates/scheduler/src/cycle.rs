//! One pod, one snapshot: which node, or why none.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use rand::Rng;

use crate::{
    cache::Nodes,
    node_info::NodeInfo,
    nominated::Nominated,
    plugins::{self, Plugin, Prepared, Verdict},
    pod_info::PodInfo,
};

/// Below this many nodes all are looked at; above, enough to choose well from.
const MIN_FEASIBLE: usize = 100;
/// The share looked at never falls below this many hundredths.
const MIN_PERCENT: usize = 5;

/// Why no node was found, in upstream's words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FitError {
    nodes: usize,
    /// How many nodes were refused for each reason.
    reasons: BTreeMap<Cow<'static, str>, usize>,
    /// The names of the plugins that refused.
    pub(crate) refused_by: Vec<&'static str>,
    /// The nodes that could take the pod if others went away from there.
    pub(crate) hopeful: Vec<String>,
}

impl FitError {
    pub(crate) fn new(nodes: usize) -> Self {
        Self { nodes, ..Self::default() }
    }

    pub(crate) fn nodes(&self) -> usize {
        self.nodes
    }

    pub(crate) fn count(&mut self, reason: Cow<'static, str>, nodes: usize) {
        *self.reasons.entry(reason).or_default() += nodes;
    }

    fn take(&mut self, node: &str, refusal: Refusal) {
        if !self.refused_by.contains(&refusal.plugin) {
            self.refused_by.push(refusal.plugin);
        }
        if !refusal.hopeless {
            self.hopeful.push(node.to_owned());
        }
        for reason in refusal.reasons {
            self.count(reason, 1);
        }
    }
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

/// Why a node does not take the pod.
pub(crate) struct Refusal {
    plugin: &'static str,
    pub(crate) reasons: Vec<Cow<'static, str>>,
    /// No pod that goes away changes it.
    hopeless: bool,
}

/// Where to begin looking, so that not always the same nodes are looked at in a large cluster.
#[derive(Default)]
pub(crate) struct Rotation(usize);

struct Active {
    plugin: &'static dyn Plugin,
    prepared: Box<dyn Prepared>,
}

/// A pod to be placed, and the cluster as it is.
pub(crate) struct Cycle<'a> {
    pub(crate) pod: &'a Arc<PodInfo>,
    pub(crate) nodes: &'a Arc<Nodes>,
    pub(crate) nominated: &'a Nominated,
}

impl<'a> Cycle<'a> {
    /// Chooses the best node for the pod.
    pub(crate) fn choose(&self, rotation: &mut Rotation, rng: &mut impl Rng) -> Result<String, FitError> {
        let all: Vec<&NodeInfo> = self.nodes.values().map(Arc::as_ref).filter(|n| n.exists).collect();
        let active = prepare(self.pod, self.nodes);
        let promised = self.nominated.node_of(&self.pod.uid).and_then(|name| self.nodes.get(name));
        if let Some(node) = promised.filter(|n| n.exists)
            && self.refusal(&active, node).is_none()
        {
            return Ok(node.name.clone());
        }
        let feasible = self.feasible(&all, &active, rotation)?;
        match feasible.as_slice() {
            [only] => Ok(only.name.clone()),
            _ => Ok(best(&feasible, &active, rng).name.clone()),
        }
    }

    fn feasible(
        &self,
        all: &[&'a NodeInfo],
        active: &[Active],
        rotation: &mut Rotation,
    ) -> Result<Vec<&'a NodeInfo>, FitError> {
        let mut error = FitError::new(all.len());
        let wanted = enough(all.len());
        let mut found = Vec::new();
        let mut seen = 0;
        for node in all.iter().copied().cycle().skip(rotation.0 % all.len().max(1)).take(all.len()) {
            seen += 1;
            match self.refusal(active, node) {
                None => found.push(node),
                Some(refusal) => error.take(&node.name, refusal),
            }
            if found.len() >= wanted {
                break;
            }
        }
        rotation.0 = (rotation.0 + seen) % all.len().max(1);
        if found.is_empty() { Err(error) } else { Ok(found) }
    }

    /// Asks the plugins twice where others have been promised the node: they may come or not.
    fn refusal(&self, active: &[Active], node: &NodeInfo) -> Option<Refusal> {
        self.refusal_with_promised(node).or_else(|| ask(active, node))
    }

    fn refusal_with_promised(&self, node: &NodeInfo) -> Option<Refusal> {
        let promised = self.nominated.before(self.pod, &node.name);
        if promised.is_empty() {
            return None;
        }
        let mut full = node.clone();
        promised.into_iter().for_each(|pod| full.add(pod));
        self.ask_about(&full)
    }

    /// Why the node would not take the pod if it were as given.
    pub(crate) fn refusal_if(&self, node: &NodeInfo) -> Option<Refusal> {
        self.refusal_with_promised(node).or_else(|| self.ask_about(node))
    }

    fn ask_about(&self, node: &NodeInfo) -> Option<Refusal> {
        let mut nodes = (**self.nodes).clone();
        nodes.insert(node.name.clone(), Arc::new(node.clone()));
        ask(&prepare(self.pod, &Arc::new(nodes)), node)
    }
}

fn prepare(pod: &Arc<PodInfo>, nodes: &Arc<Nodes>) -> Vec<Active> {
    let all = plugins::ALL.iter();
    all.filter_map(|plugin| Some(Active { plugin: *plugin, prepared: plugin.prepare(pod, nodes)? })).collect()
}

fn ask(active: &[Active], node: &NodeInfo) -> Option<Refusal> {
    active.iter().find_map(|a| {
        let (reasons, hopeless) = match a.prepared.filter(node) {
            Verdict::Fits => return None,
            Verdict::Refused(reasons) => (reasons, false),
            Verdict::Hopeless(reasons) => (reasons, true),
        };
        Some(Refusal { plugin: a.plugin.name(), reasons, hopeless })
    })
}

fn enough(nodes: usize) -> usize {
    if nodes < MIN_FEASIBLE {
        return nodes;
    }
    let percent = 50_usize.saturating_sub(nodes / 125).max(MIN_PERCENT);
    (nodes * percent / 100).max(MIN_FEASIBLE)
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
