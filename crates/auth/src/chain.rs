//! The authorizers of this server in their order: the group of masters, nodes, RBAC.

use std::sync::Arc;

use apimachinery::UserInfo;

use crate::{Attributes, Authorizer, Decision, NodeAuthorizer, Rbac, Rule};

const MASTERS: &str = "system:masters";

/// Members may do everything; nobody can take that from them, so that there is a way back in.
pub struct Masters;

impl Authorizer for Masters {
    fn authorize(&self, attributes: &Attributes) -> Decision {
        if attributes.user.in_group(MASTERS) {
            Decision::Allow(String::new())
        } else {
            Decision::NoOpinion(String::new())
        }
    }
}

/// What a `SelfSubjectRulesReview` answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    pub rules: Vec<Rule>,
    /// Not everything the user may do is known as rules: nodes are judged by a graph.
    pub incomplete: bool,
    pub problem: String,
}

/// The first opinion counts.
pub struct Chain {
    links: Vec<Arc<dyn Authorizer>>,
    rbac: Option<Arc<Rbac>>,
    node: bool,
}

impl Chain {
    /// `node` and `rbac` as the authorization modes of the server name them; masters always come first.
    pub fn new(node: Option<NodeAuthorizer>, rbac: Option<Arc<Rbac>>) -> Self {
        let mut links: Vec<Arc<dyn Authorizer>> = vec![Arc::new(Masters)];
        let has_node = node.is_some();
        if let Some(node) = node {
            links.push(Arc::new(node));
        }
        if let Some(rbac) = &rbac {
            links.push(Arc::<Rbac>::clone(rbac));
        }
        Self { links, rbac, node: has_node }
    }

    /// The rules that are known of a user, the cluster's and those of the namespace.
    pub fn rules_for(&self, user: &UserInfo, namespace: &str) -> Held {
        let mut held = Held::default();
        if user.in_group(MASTERS) {
            let all = || vec!["*".to_owned()];
            held.rules.push(Rule { verbs: all(), api_groups: all(), resources: all(), ..Rule::default() });
            held.rules.push(Rule { verbs: all(), non_resource_urls: all(), ..Rule::default() });
        }
        if self.node && crate::node_of(user).is_some() {
            held.incomplete = true;
            held.problem = "node authorizer does not support user rule resolution".to_owned();
        }
        if let Some(rbac) = &self.rbac {
            let (rules, missing) = rbac.rules_for(user, namespace);
            held.rules.extend(rules);
            if !missing.is_empty() {
                held.incomplete = true;
                held.problem = missing.join(", ");
            }
        }
        held
    }
}

impl Authorizer for Chain {
    fn authorize(&self, attributes: &Attributes) -> Decision {
        let mut reasons: Vec<String> = Vec::new();
        for link in &self.links {
            match link.authorize(attributes) {
                Decision::NoOpinion(reason) if reason.is_empty() => {}
                Decision::NoOpinion(reason) => reasons.push(reason),
                Decision::Deny(reason) => {
                    reasons.push(reason);
                    return Decision::Deny(reasons.join("\n"));
                }
                allow @ Decision::Allow(_) => return allow,
            }
        }
        Decision::NoOpinion(reasons.join("\n"))
    }
}
