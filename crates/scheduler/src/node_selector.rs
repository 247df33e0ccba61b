//! Which nodes a pod may or would rather run on, by the nodes' labels.

use api::core::v1::{NodeSelectorRequirement, NodeSelectorTerm, PodSpec};
use apimachinery::{Operator, Requirement};

use crate::node_info::NodeInfo;

/// Labels and name must fit; a term without requirements fits nothing.
#[derive(Clone, Debug)]
struct Term {
    labels: Vec<Requirement>,
    fields: Vec<Requirement>,
}

/// `nodeSelector` and node affinity together.
#[derive(Clone, Debug, Default)]
pub(crate) struct NodeRequirement {
    selector: Vec<Requirement>,
    /// Any one must fit; `None` asks for nothing.
    required: Option<Vec<Term>>,
    preferred: Vec<(i64, Term)>,
}

impl NodeRequirement {
    pub(crate) fn new(spec: &PodSpec) -> Self {
        let selector = spec.node_selector.iter().flatten().map(|(key, value)| Requirement {
            key: key.clone(),
            operator: Operator::In,
            values: vec![value.clone()],
        });
        let affinity = spec.affinity.as_ref().and_then(|a| a.node_affinity.as_ref());
        let required = affinity.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
        let preferred = affinity.and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_ref());
        Self {
            selector: selector.collect(),
            required: required.map(|r| r.node_selector_terms.iter().map(Term::new).collect()),
            preferred: preferred.into_iter().flatten().map(|p| (p.weight.into(), Term::new(&p.preference))).collect(),
        }
    }

    pub(crate) fn asks_nothing(&self) -> bool {
        self.selector.is_empty() && self.required.is_none()
    }

    pub(crate) fn prefers_nothing(&self) -> bool {
        self.preferred.is_empty()
    }

    pub(crate) fn fits(&self, node: &NodeInfo) -> bool {
        self.selector.iter().all(|r| r.matches(|key| node.label(key)))
            && self.required.as_ref().is_none_or(|terms| terms.iter().any(|t| t.fits(node)))
    }

    /// The sum of the weights of the preferences that fit.
    pub(crate) fn preference(&self, node: &NodeInfo) -> i64 {
        self.preferred.iter().filter(|(_, term)| term.fits(node)).map(|(weight, _)| weight).sum()
    }
}

impl Term {
    fn new(term: &NodeSelectorTerm) -> Self {
        let read = |requirements: &Option<Vec<NodeSelectorRequirement>>| {
            requirements.iter().flatten().map(requirement).collect()
        };
        Self { labels: read(&term.match_expressions), fields: read(&term.match_fields) }
    }

    fn fits(&self, node: &NodeInfo) -> bool {
        let field = |key: &str| (key == "metadata.name").then_some(node.name.as_str());
        !(self.labels.is_empty() && self.fields.is_empty())
            && self.labels.iter().all(|r| r.matches(|key| node.label(key)))
            && self.fields.iter().all(|r| r.matches(field))
    }
}

fn requirement(wire: &NodeSelectorRequirement) -> Requirement {
    let operator = match wire.operator.as_str() {
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        "Gt" => Operator::GreaterThan,
        "Lt" => Operator::LessThan,
        // `In`; validation refuses the rest.
        _ => Operator::In,
    };
    Requirement { key: wire.key.clone(), operator, values: wire.values.clone().unwrap_or_default() }
}
