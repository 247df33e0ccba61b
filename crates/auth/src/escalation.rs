//! Nobody grants more than he holds: checks of writes to roles and bindings, unless the writer has the verbs
//! `escalate` or `bind`. Errors are the sentences upstream puts into its `Forbidden`.

use apimachinery::{LabelSelector, Object, UserInfo, field::quote};

use crate::{
    Attributes, Authorizer, Rbac, Rule,
    rbac::{GROUP, missing_role, role_ref_of, rules_of},
    rule::{compact_rules, quoted_list, uncovered},
};

/// Why a write is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Escalation {
    #[error("{0}")]
    NotHeld(String),
    #[error("must have cluster-admin privileges to use the aggregationRule")]
    AggregationRule,
    /// The referred role does not exist: answered as not found, not as forbidden.
    #[error("{0}")]
    NoSuchRole(String),
}

/// A write of a role or binding by somebody.
pub struct Write<'a> {
    pub user: &'a UserInfo,
    /// `roles`, `clusterroles`, `rolebindings` or `clusterrolebindings`.
    pub resource: &'a str,
    /// Empty for what is not namespaced.
    pub namespace: &'a str,
    pub new: &'a Object,
    pub old: Option<&'a Object>,
}

impl Write<'_> {
    /// Refuses what would give away more than the writer holds.
    pub fn check(&self, rbac: &Rbac, authorizer: &dyn Authorizer) -> Result<(), Escalation> {
        if self.user.in_group("system:masters") {
            return Ok(());
        }
        match self.resource {
            "roles" | "clusterroles" => self.check_role(rbac, authorizer),
            "rolebindings" | "clusterrolebindings" => self.check_binding(rbac, authorizer),
            _ => Ok(()),
        }
    }

    fn may(&self, authorizer: &dyn Authorizer, verb: &str, resource: &str, namespace: &str, name: &str) -> bool {
        authorizer
            .authorize(&Attributes {
                namespace: namespace.to_owned(),
                api_version: "v1".to_owned(),
                name: name.to_owned(),
                ..Attributes::resource(self.user, verb, GROUP, resource)
            })
            .allows()
    }

    fn check_role(&self, rbac: &Rbac, authorizer: &dyn Authorizer) -> Result<(), Escalation> {
        let unchanged = self.old.is_some_and(|old| {
            old.get(&["rules"]) == self.new.get(&["rules"])
                && old.get(&["aggregationRule"]) == self.new.get(&["aggregationRule"])
        });
        if unchanged || self.may(authorizer, "escalate", self.resource, self.namespace, self.new.name()) {
            return Ok(());
        }
        if has_aggregation(self.new) || self.old.is_some_and(has_aggregation) {
            let everything = [
                Rule { verbs: all(), api_groups: all(), resources: all(), ..Rule::default() },
                Rule { verbs: all(), non_resource_urls: all(), ..Rule::default() },
            ];
            self.confirm_held(rbac, &everything).map_err(|_| Escalation::AggregationRule)?;
        }
        self.confirm_held(rbac, &rules_of(self.new))
    }

    fn check_binding(&self, rbac: &Rbac, authorizer: &dyn Authorizer) -> Result<(), Escalation> {
        let unchanged = self.old.is_some_and(|old| {
            old.get(&["roleRef"]) == self.new.get(&["roleRef"]) && old.get(&["subjects"]) == self.new.get(&["subjects"])
        });
        if unchanged {
            return Ok(());
        }
        let role = role_ref_of(self.new);
        let resource = if role.kind == "ClusterRole" { "clusterroles" } else { "roles" };
        if self.may(authorizer, "bind", resource, self.namespace, &role.name) {
            return Ok(());
        }
        let rules =
            rbac.role_rules(&role, self.namespace).ok_or_else(|| Escalation::NoSuchRole(missing_role(&role)))?;
        self.confirm_held(rbac, &rules)
    }

    fn confirm_held(&self, rbac: &Rbac, wanted: &[Rule]) -> Result<(), Escalation> {
        let (held, problems) = rbac.rules_for(self.user, self.namespace);
        let missing = uncovered(&held, wanted);
        if missing.is_empty() {
            return Ok(());
        }
        let mut lines: Vec<String> = compact_rules(missing).iter().map(Rule::compact).collect();
        lines.sort();
        let mut message = format!(
            "user {} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
            quote(&self.user.username),
            quoted_list(&self.user.groups),
            lines.join("\n")
        );
        if !problems.is_empty() {
            message.push_str(&format!("; resolution errors: [{}]", problems.join(", ")));
        }
        Err(Escalation::NotHeld(message))
    }
}

fn all() -> Vec<String> {
    vec!["*".to_owned()]
}

fn has_aggregation(role: &Object) -> bool {
    role.get(&["aggregationRule"]).is_some_and(|rule| !rule.is_null())
}

/// The rules an aggregated cluster role gets: those of all roles its selectors match, in the roles' order, each once.
/// `None` when the role is not aggregated.
pub fn aggregate<'a>(role: &Object, others: impl Iterator<Item = &'a Object>) -> Option<Vec<Rule>> {
    let selectors: Vec<LabelSelector> = role
        .get(&["aggregationRule", "clusterRoleSelectors"])?
        .as_array()?
        .iter()
        .filter_map(|s| LabelSelector::from_object(Some(s)).ok())
        .collect();
    let mut rules: Vec<Rule> = Vec::new();
    for other in others.filter(|o| o.name() != role.name()) {
        if selectors.iter().any(|s| s.matches(|key| other.label(key))) {
            for rule in rules_of(other) {
                if !rules.contains(&rule) {
                    rules.push(rule);
                }
            }
        }
    }
    Some(rules)
}
