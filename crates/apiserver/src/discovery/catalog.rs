//! The resources and subresources of every group and version.

use std::{collections::BTreeMap, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use kinds::{Subresource, Verb};
use registry::{Facts, Resource, Resources};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The order of groups in lists, which is the order in which clients look for an ambiguous name. Others follow by
/// name.
const GROUP_ORDER: [&str; 20] = [
    "",
    "apiregistration.k8s.io",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
    "flowcontrol.apiserver.k8s.io",
];

/// A resource or subresource.
#[derive(Clone)]
pub(crate) struct Entry {
    /// `pods`, `pods/log`.
    pub name: String,
    pub resource: Arc<dyn Resource>,
    pub subresource: Option<Subresource>,
    /// What is sent and answered where that is of another group than the resource.
    pub foreign: Option<(&'static str, &'static str)>,
    pub kind: String,
    /// Sorted.
    pub verbs: Vec<&'static str>,
}

type Versions = BTreeMap<String, Vec<Entry>>;

/// Everything that is served, by group and version.
#[derive(Clone, Default)]
pub(crate) struct Catalog {
    /// By (rank of the group, group), then version; entries by name.
    groups: BTreeMap<(usize, String), Versions>,
}

impl Catalog {
    pub(crate) fn of(resources: &Resources) -> Self {
        let mut catalog = Self::default();
        for resource in resources.all() {
            let gvk = &resource.facts().gvk;
            let rank = GROUP_ORDER.iter().position(|g| *g == gvk.group).unwrap_or(GROUP_ORDER.len());
            let versions = catalog.groups.entry((rank, gvk.group.clone())).or_default();
            let entries = versions.entry(gvk.version.clone()).or_default();
            entries.push(Entry::of(&resource));
            entries.extend(resource.facts().subresources.iter().map(|sub| Entry::sub(&resource, *sub)));
            entries.sort_by(|a, b| a.name.cmp(&b.name));
        }
        catalog
    }

    pub(crate) fn groups(&self) -> impl Iterator<Item = &str> {
        self.groups.keys().map(|(_, group)| group.as_str())
    }

    fn group_versions(&self, group: &str) -> Option<&Versions> {
        self.groups.iter().find(|((_, name), _)| *name == group).map(|(_, versions)| versions)
    }

    pub(crate) fn versions(&self, group: &str) -> impl Iterator<Item = &str> {
        self.group_versions(group).into_iter().flat_map(|versions| versions.keys().map(String::as_str))
    }

    pub(crate) fn entries(&self, group: &str, version: &str) -> Option<&[Entry]> {
        self.group_versions(group)?.get(version).map(Vec::as_slice)
    }

    /// A resource or subresource; `subresource` is empty for the resource itself.
    pub(crate) fn find(&self, group: &str, version: &str, resource: &str, subresource: &str) -> Option<&Entry> {
        self.entries(group, version)?.iter().find(|entry| {
            entry.facts().plural == resource && entry.subresource.map_or("", subresource_name) == subresource
        })
    }
}

pub(super) fn verb_name(verb: Verb) -> &'static str {
    match verb {
        Verb::Create => "create",
        Verb::Delete => "delete",
        Verb::DeleteCollection => "deletecollection",
        Verb::Get => "get",
        Verb::List => "list",
        Verb::Patch => "patch",
        Verb::Update => "update",
        Verb::Watch => "watch",
    }
}

pub(super) fn subresource_name(subresource: Subresource) -> &'static str {
    match subresource {
        Subresource::Approval => "approval",
        Subresource::Attach => "attach",
        Subresource::Binding => "binding",
        Subresource::EphemeralContainers => "ephemeralcontainers",
        Subresource::Eviction => "eviction",
        Subresource::Exec => "exec",
        Subresource::Finalize => "finalize",
        Subresource::Log => "log",
        Subresource::PortForward => "portforward",
        Subresource::Proxy => "proxy",
        Subresource::Resize => "resize",
        Subresource::Scale => "scale",
        Subresource::Status => "status",
        Subresource::Token => "token",
    }
}

impl Entry {
    pub(crate) fn facts(&self) -> &Facts {
        self.resource.facts()
    }

    fn of(resource: &Arc<dyn Resource>) -> Self {
        let facts = resource.facts();
        let mut verbs: Vec<&str> = facts.verbs.iter().map(|verb| verb_name(*verb)).collect();
        verbs.sort_unstable();
        Self {
            name: facts.plural.clone(),
            resource: Arc::clone(resource),
            subresource: None,
            foreign: None,
            kind: facts.gvk.kind.clone(),
            verbs,
        }
    }

    fn sub(resource: &Arc<dyn Resource>, subresource: Subresource) -> Self {
        const CONNECT: &[&str] = &["create", "get"];
        const EDIT: &[&str] = &["get", "patch", "update"];
        const ALL: &[&str] = &["create", "delete", "get", "patch", "update"];
        let own = resource.facts().gvk.kind.as_str();
        let (kind, foreign, verbs): (&str, Option<(&str, &str)>, &[&str]) = match subresource {
            Subresource::Attach => ("PodAttachOptions", None, CONNECT),
            Subresource::Exec => ("PodExecOptions", None, CONNECT),
            Subresource::PortForward => ("PodPortForwardOptions", None, CONNECT),
            Subresource::Proxy if own == "Node" => ("NodeProxyOptions", None, ALL),
            Subresource::Proxy if own == "Service" => ("ServiceProxyOptions", None, ALL),
            Subresource::Proxy => ("PodProxyOptions", None, ALL),
            Subresource::Binding => ("Binding", None, &["create"]),
            Subresource::Eviction => ("Eviction", Some(("policy", "v1")), &["create"]),
            Subresource::Token => ("TokenRequest", Some(("authentication.k8s.io", "v1")), &["create"]),
            Subresource::Scale => ("Scale", Some(("autoscaling", "v1")), EDIT),
            Subresource::Finalize => (own, None, &["update"]),
            Subresource::Log => (own, None, &["get"]),
            Subresource::Approval | Subresource::EphemeralContainers | Subresource::Resize | Subresource::Status => {
                (own, None, EDIT)
            }
        };
        Self {
            name: format!("{}/{}", resource.facts().plural, subresource_name(subresource)),
            resource: Arc::clone(resource),
            subresource: Some(subresource),
            foreign,
            kind: kind.to_owned(),
            verbs: verbs.to_vec(),
        }
    }

    pub(crate) fn can(&self, verb: &str) -> bool {
        self.verbs.contains(&verb)
    }

    /// As `APIResource`.
    pub(super) fn api_resource(&self) -> Value {
        let facts = self.facts();
        let singular = if self.subresource.is_some() { "" } else { facts.singular.as_str() };
        let mut resource = json!({
            "name": self.name,
            "singularName": singular,
            "namespaced": facts.namespaced,
            "kind": self.kind,
            "verbs": self.verbs,
        });
        if let Some((group, version)) = self.foreign {
            resource["group"] = group.into();
            resource["version"] = version.into();
        }
        if self.subresource.is_none() {
            if !facts.short_names.is_empty() {
                resource["shortNames"] = facts.short_names.clone().into();
            }
            if !facts.categories.is_empty() {
                resource["categories"] = facts.categories.clone().into();
            }
            if !facts.storage_prefix.is_empty() {
                resource["storageVersionHash"] = storage_version_hash(facts).into();
            }
        }
        resource
    }
}

/// Tells clients when the stored form of a kind changes.
fn storage_version_hash(facts: &Facts) -> String {
    let core = if facts.stored_api_version.contains('/') { "" } else { "/" };
    let digest = Sha256::digest(format!("{core}{}/{}", facts.stored_api_version, facts.gvk.kind));
    STANDARD.encode(&digest[..8])
}
