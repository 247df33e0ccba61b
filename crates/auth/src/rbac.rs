//! Role-based access control over an index of roles and bindings, fed by whoever watches them.
//!
//! A request is judged by its subjects: the bindings of its user and of each of its groups are looked up, never all
//! bindings walked.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, PoisonError, RwLock},
};

use apimachinery::{Object, UserInfo, field::quote};
use serde::Deserialize;
use serde_json::Value;

use crate::{Attributes, Authorizer, Decision, Rule};

/// The API group of roles, bindings and of the subjects that are users and groups.
pub const GROUP: &str = "rbac.authorization.k8s.io";

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Subject {
    pub kind: String,
    pub name: String,
    pub namespace: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct RoleRef {
    pub kind: String,
    pub name: String,
}

#[derive(Debug)]
struct Binding {
    namespace: String,
    name: String,
    subjects: Vec<Subject>,
    role: RoleRef,
}

/// Who a binding is looked up by. Service accounts are users here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    User(String),
    Group(String),
}

impl Subject {
    fn key(&self, binding_namespace: &str) -> Option<Key> {
        match self.kind.as_str() {
            "User" => Some(Key::User(self.name.clone())),
            "Group" => Some(Key::Group(self.name.clone())),
            "ServiceAccount" => {
                let namespace = if self.namespace.is_empty() { binding_namespace } else { &self.namespace };
                (!namespace.is_empty()).then(|| Key::User(format!("system:serviceaccount:{namespace}:{}", self.name)))
            }
            _ => None,
        }
    }

    fn describe(&self) -> String {
        if self.kind == "ServiceAccount" {
            format!("{} {}", self.kind, quote(&format!("{}/{}", self.name, self.namespace)))
        } else {
            format!("{} {}", self.kind, quote(&self.name))
        }
    }
}

#[derive(Default)]
struct Index {
    cluster_roles: HashMap<String, Arc<Vec<Rule>>>,
    roles: HashMap<(String, String), Arc<Vec<Rule>>>,
    /// By namespace and name; the namespace of a cluster role binding is empty.
    bindings: HashMap<(String, String), Arc<Binding>>,
    /// By namespace and subject, then by name so that the same request is always allowed by the same binding.
    by_subject: HashMap<(String, Key), BTreeMap<String, Arc<Binding>>>,
}

/// The four kinds this index holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RbacKind {
    ClusterRole,
    Role,
    ClusterRoleBinding,
    RoleBinding,
}

impl RbacKind {
    pub const ALL: [Self; 4] = [Self::ClusterRole, Self::Role, Self::ClusterRoleBinding, Self::RoleBinding];

    pub fn plural(self) -> &'static str {
        match self {
            Self::ClusterRole => "clusterroles",
            Self::Role => "roles",
            Self::ClusterRoleBinding => "clusterrolebindings",
            Self::RoleBinding => "rolebindings",
        }
    }
}

/// The RBAC authorizer and rule resolver.
#[derive(Default)]
pub struct Rbac {
    index: RwLock<Index>,
}

/// The rules a role grants. What does not read as rules grants nothing.
pub fn rules_of(role: &Object) -> Vec<Rule> {
    match role.get(&["rules"]) {
        Some(Value::Array(rules)) => rules.iter().filter_map(|rule| Rule::deserialize(rule).ok()).collect(),
        _ => Vec::new(),
    }
}

/// The subjects of a binding.
pub fn subjects_of(binding: &Object) -> Vec<Subject> {
    match binding.get(&["subjects"]) {
        Some(Value::Array(subjects)) => subjects.iter().filter_map(|s| Subject::deserialize(s).ok()).collect(),
        _ => Vec::new(),
    }
}

/// The role a binding refers to.
pub fn role_ref_of(binding: &Object) -> RoleRef {
    binding.get(&["roleRef"]).and_then(|r| RoleRef::deserialize(r).ok()).unwrap_or_default()
}

impl Rbac {
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a new or changed object.
    pub fn put(&self, kind: RbacKind, object: &Object) {
        self.index.write().unwrap_or_else(PoisonError::into_inner).put(kind, object);
    }

    /// Takes a fresh list in place of everything of a kind. Requests are judged by what was or by what is, and never
    /// by what is between.
    pub fn replace(&self, kind: RbacKind, objects: &[Object]) {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        index.clear(kind);
        objects.iter().for_each(|object| index.put(kind, object));
    }

    /// Forgets a deleted object.
    pub fn delete(&self, kind: RbacKind, namespace: &str, name: &str) {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        match kind {
            RbacKind::ClusterRole => {
                index.cluster_roles.remove(name);
            }
            RbacKind::Role => {
                index.roles.remove(&(namespace.to_owned(), name.to_owned()));
            }
            RbacKind::ClusterRoleBinding => index.unbind("", name),
            RbacKind::RoleBinding => index.unbind(namespace, name),
        }
    }

    /// The rules of a role, as a binding in `namespace` refers to it. `None` when there is no such role.
    pub fn role_rules(&self, role: &RoleRef, namespace: &str) -> Option<Arc<Vec<Rule>>> {
        self.index.read().unwrap_or_else(PoisonError::into_inner).rules(role, namespace).cloned()
    }

    /// Everything RBAC grants a user in a namespace (the cluster's grants included), and the names of roles that
    /// bindings refer to in vain.
    pub fn rules_for(&self, user: &UserInfo, namespace: &str) -> (Vec<Rule>, Vec<String>) {
        let (mut rules, mut missing) = (Vec::new(), Vec::new());
        self.visit(user, namespace, |binding, _, found| {
            match found {
                Some(found) => rules.extend(found.iter().cloned()),
                None => missing.push(missing_role(&binding.role)),
            }
            false
        });
        (rules, missing)
    }

    /// Visits the bindings of a user, the cluster's first, until the visitor says it has seen enough.
    fn visit(
        &self,
        user: &UserInfo,
        namespace: &str,
        mut visitor: impl FnMut(&Binding, &Subject, Option<&Arc<Vec<Rule>>>) -> bool,
    ) {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        let scopes: &[&str] = if namespace.is_empty() { &[""] } else { &["", namespace] };
        for scope in scopes {
            let keys =
                std::iter::once(Key::User(user.username.clone())).chain(user.groups.iter().cloned().map(Key::Group));
            for key in keys {
                let Some(bindings) = index.by_subject.get(&((*scope).to_owned(), key.clone())) else { continue };
                for binding in bindings.values() {
                    let Some(subject) =
                        binding.subjects.iter().find(|s| s.key(&binding.namespace).as_ref() == Some(&key))
                    else {
                        continue;
                    };
                    if visitor(binding, subject, index.rules(&binding.role, &binding.namespace)) {
                        return;
                    }
                }
            }
        }
    }
}

/// Upstream's text for a binding that points nowhere.
pub fn missing_role(role: &RoleRef) -> String {
    let plural = if role.kind == "ClusterRole" { "clusterroles" } else { "roles" };
    format!("{plural}.{GROUP} {} not found", quote(&role.name))
}

impl Index {
    fn rules(&self, role: &RoleRef, namespace: &str) -> Option<&Arc<Vec<Rule>>> {
        if role.kind == "ClusterRole" {
            self.cluster_roles.get(&role.name)
        } else {
            self.roles.get(&(namespace.to_owned(), role.name.clone()))
        }
    }

    fn put(&mut self, kind: RbacKind, object: &Object) {
        let (namespace, name) = (object.namespace().to_owned(), object.name().to_owned());
        match kind {
            RbacKind::ClusterRole => {
                self.cluster_roles.insert(name, Arc::new(rules_of(object)));
            }
            RbacKind::Role => {
                self.roles.insert((namespace, name), Arc::new(rules_of(object)));
            }
            RbacKind::ClusterRoleBinding | RbacKind::RoleBinding => {
                let namespace = if kind == RbacKind::ClusterRoleBinding { String::new() } else { namespace };
                let (subjects, role) = (subjects_of(object), role_ref_of(object));
                self.unbind(&namespace, &name);
                self.bind(Arc::new(Binding { namespace, name, subjects, role }));
            }
        }
    }

    fn clear(&mut self, kind: RbacKind) {
        match kind {
            RbacKind::ClusterRole => self.cluster_roles.clear(),
            RbacKind::Role => self.roles.clear(),
            RbacKind::ClusterRoleBinding | RbacKind::RoleBinding => {
                let cluster = kind == RbacKind::ClusterRoleBinding;
                self.bindings.retain(|(namespace, _), _| namespace.is_empty() != cluster);
                self.by_subject.retain(|(namespace, _), _| namespace.is_empty() != cluster);
            }
        }
    }

    fn bind(&mut self, binding: Arc<Binding>) {
        for key in binding.subjects.iter().filter_map(|s| s.key(&binding.namespace)) {
            let of_subject = self.by_subject.entry((binding.namespace.clone(), key)).or_default();
            of_subject.insert(binding.name.clone(), Arc::clone(&binding));
        }
        self.bindings.insert((binding.namespace.clone(), binding.name.clone()), binding);
    }

    fn unbind(&mut self, namespace: &str, name: &str) {
        let Some(binding) = self.bindings.remove(&(namespace.to_owned(), name.to_owned())) else { return };
        for key in binding.subjects.iter().filter_map(|s| s.key(&binding.namespace)) {
            let place = (namespace.to_owned(), key);
            if let Some(of_subject) = self.by_subject.get_mut(&place) {
                of_subject.remove(name);
                if of_subject.is_empty() {
                    self.by_subject.remove(&place);
                }
            }
        }
    }
}

impl Authorizer for Rbac {
    fn authorize(&self, attributes: &Attributes) -> Decision {
        let mut allowed = None;
        self.visit(&attributes.user, &attributes.namespace, |binding, subject, rules| {
            if !rules.is_some_and(|rules| rules.iter().any(|rule| rule.allows(attributes))) {
                return false;
            }
            let (kind, name) = if binding.namespace.is_empty() {
                ("ClusterRoleBinding", binding.name.clone())
            } else {
                ("RoleBinding", format!("{}/{}", binding.name, binding.namespace))
            };
            allowed = Some(format!(
                "RBAC: allowed by {kind} {} of {} {} to {}",
                quote(&name),
                binding.role.kind,
                quote(&binding.role.name),
                subject.describe()
            ));
            true
        });
        match allowed {
            Some(reason) => Decision::Allow(reason),
            None => Decision::NoOpinion(String::new()),
        }
    }
}

#[cfg(test)]
mod tests;
