//! The node authorizer: a node reads what the pods bound to it refer to, and writes what is its own.
//!
//! Reads of secrets, config maps, claims, volumes and tokens follow a graph from node over pod to object, fed by
//! whoever watches pods. All else is granted by static rules, and narrowed further by admission (`NodeRestriction`).

mod graph;

use apimachinery::UserInfo;

pub use graph::{Graph, Referent, ReferentKind};

use crate::{Attributes, Authorizer, Decision, Rule};

const LEASE_NAMESPACE: &str = "kube-node-lease";
const NODE_PREFIX: &str = "system:node:";
const NODES_GROUP: &str = "system:nodes";

/// The node a user is, when it is one: its name alone is not enough, it must be in the group.
pub fn node_of(user: &UserInfo) -> Option<&str> {
    let name = user.username.strip_prefix(NODE_PREFIX)?;
    user.in_group(NODES_GROUP).then_some(name)
}

/// Authorizes nodes and has no opinion on others.
pub struct NodeAuthorizer {
    graph: std::sync::Arc<Graph>,
    rules: Vec<Rule>,
}

impl NodeAuthorizer {
    /// `rules` is what every node may do where the graph is not asked.
    pub fn new(graph: std::sync::Arc<Graph>, rules: Vec<Rule>) -> Self {
        Self { graph, rules }
    }

    fn read_related(&self, node: &str, kind: ReferentKind, a: &Attributes) -> Decision {
        if !a.is_read_only() {
            return no("can only read resources of this type");
        }
        if !a.subresource.is_empty() {
            return no("cannot read subresource");
        }
        self.related(node, kind, a)
    }

    fn get_related(&self, node: &str, kind: ReferentKind, a: &Attributes) -> Decision {
        if a.verb != "get" {
            return no("can only get individual resources of this type");
        }
        if !a.subresource.is_empty() {
            return no("cannot get subresource");
        }
        self.related(node, kind, a)
    }

    fn update_status(&self, node: &str, kind: ReferentKind, a: &Attributes) -> Decision {
        if !matches!(a.verb.as_str(), "update" | "patch") {
            return no("can only get/update/patch this type");
        }
        self.related(node, kind, a)
    }

    fn related(&self, node: &str, kind: ReferentKind, a: &Attributes) -> Decision {
        if a.name.is_empty() {
            return no("No Object name found");
        }
        let referent = Referent { kind, namespace: a.namespace.clone(), name: a.name.clone() };
        if self.graph.reaches(node, &referent) {
            Decision::Allow(String::new())
        } else {
            no(format!("no relationship found between node '{node}' and this object"))
        }
    }

    fn service_account(&self, node: &str, a: &Attributes) -> Decision {
        if a.verb == "get" && a.subresource.is_empty() {
            return self.get_related(node, ReferentKind::ServiceAccount, a);
        }
        if a.verb != "create" || a.name.is_empty() {
            return no("can only create tokens for individual service accounts");
        }
        if a.subresource != "token" {
            return no("can only create token subresource of serviceaccount");
        }
        self.related(node, ReferentKind::ServiceAccount, a)
    }

    fn lease(&self, node: &str, a: &Attributes) -> Decision {
        if !matches!(a.verb.as_str(), "get" | "create" | "update" | "patch" | "delete") {
            return no("can only get, create, update, patch, or delete a node lease");
        }
        if a.namespace != LEASE_NAMESPACE {
            return no(format!("can only access leases in the \"{LEASE_NAMESPACE}\" system namespace"));
        }
        // The name of what is created is not known here; admission checks it.
        if a.verb != "create" && a.name != node {
            return no("can only access node lease with the same name as the requesting node");
        }
        Decision::Allow(String::new())
    }

    fn csi_node(&self, node: &str, a: &Attributes) -> Decision {
        if !matches!(a.verb.as_str(), "get" | "create" | "update" | "patch" | "delete") {
            return no("can only get, create, update, patch, or delete a CSINode");
        }
        if !a.subresource.is_empty() {
            return no("cannot authorize CSINode subresources");
        }
        if a.verb != "create" && a.name != node {
            return no("can only access CSINode with the same name as the requesting node");
        }
        Decision::Allow(String::new())
    }

    fn node(&self, node: &str, a: &Attributes) -> Decision {
        match a.subresource.as_str() {
            "" => match a.verb.as_str() {
                "create" | "update" | "patch" => Decision::Allow(String::new()),
                "get" | "list" | "watch" => {
                    if a.name == node || a.field_selector.exact("metadata.name") == Some(node) {
                        Decision::Allow(String::new())
                    } else {
                        no(format!("node '{node}' cannot read '{}', only its own Node object", a.name))
                    }
                }
                _ => self.by_rules(a),
            },
            _ => self.by_rules(a),
        }
    }

    fn pod(&self, node: &str, a: &Attributes) -> Decision {
        match (a.verb.as_str(), a.subresource.as_str()) {
            ("get", "") => self.related(node, ReferentKind::Pod, a),
            ("list" | "watch", "") => {
                if a.field_selector.exact("spec.nodeName") == Some(node) {
                    Decision::Allow(String::new())
                } else {
                    self.named_pod(node, a)
                }
            }
            _ => self.by_rules(a),
        }
    }

    /// A list or watch of a single pod is as good as a get of it.
    fn named_pod(&self, node: &str, a: &Attributes) -> Decision {
        if a.name.is_empty() {
            no("can only list/watch pods with spec.nodeName field selector")
        } else {
            self.related(node, ReferentKind::Pod, a)
        }
    }

    fn by_rules(&self, a: &Attributes) -> Decision {
        if self.rules.iter().any(|rule| rule.allows(a)) {
            Decision::Allow(String::new())
        } else {
            Decision::NoOpinion(String::new())
        }
    }
}

fn no(reason: impl Into<String>) -> Decision {
    Decision::NoOpinion(reason.into())
}

impl Authorizer for NodeAuthorizer {
    fn authorize(&self, a: &Attributes) -> Decision {
        let Some(node) = node_of(&a.user) else { return Decision::NoOpinion(String::new()) };
        if node.is_empty() {
            return no(format!("unknown node for user {}", apimachinery::field::quote(&a.user.username)));
        }
        if !a.resource_request {
            return self.by_rules(a);
        }
        match (a.api_group.as_str(), a.resource.as_str()) {
            ("", "secrets") => self.read_related(node, ReferentKind::Secret, a),
            ("", "configmaps") => self.read_related(node, ReferentKind::ConfigMap, a),
            ("", "persistentvolumeclaims") if a.subresource == "status" => {
                self.update_status(node, ReferentKind::Claim, a)
            }
            ("", "persistentvolumeclaims") => self.get_related(node, ReferentKind::Claim, a),
            ("", "serviceaccounts") => self.service_account(node, a),
            ("", "nodes") => self.node(node, a),
            ("", "pods") => self.pod(node, a),
            ("coordination.k8s.io", "leases") => self.lease(node, a),
            ("storage.k8s.io", "csinodes") => self.csi_node(node, a),
            _ => self.by_rules(a),
        }
    }
}

#[cfg(test)]
mod tests;
