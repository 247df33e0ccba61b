//! What the server serves, from aggregated discovery, and what a person may call it.

use apimachinery::GroupVersionKind;
use serde::Deserialize;

use crate::{
    failure::{Result, refuse},
    server::Server,
};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
    application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

/// One resource of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resource {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) kind: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) namespaced: bool,
    pub(crate) verbs: Vec<String>,
}

impl Resource {
    /// `deployments.apps`, `pods`.
    pub(crate) fn full_name(&self) -> String {
        join(&self.plural, &self.group)
    }

    /// `deployment.apps`, `pod`: how a single object is told.
    pub(crate) fn singular_name(&self) -> String {
        join(&self.singular, &self.group)
    }

    /// `deployment.apps`: the kind in lower case, as printers tell it.
    pub(crate) fn kind_name(&self) -> String {
        join(&self.kind.to_lowercase(), &self.group)
    }

    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    pub(crate) fn allows(&self, verb: &str) -> bool {
        self.verbs.iter().any(|v| v == verb)
    }

    /// The path of the objects of a namespace, or of all.
    pub(crate) fn path(&self, namespace: Option<&str>) -> String {
        let base = if self.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", self.group) };
        match namespace.filter(|_| self.namespaced) {
            Some(namespace) => format!("{base}/{}/namespaces/{namespace}/{}", self.version, self.plural),
            None => format!("{base}/{}/{}", self.version, self.plural),
        }
    }

    pub(crate) fn object_path(&self, namespace: Option<&str>, name: &str) -> String {
        let name = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC).to_string();
        // What names are made of needs no escape.
        let name = name.replace("%2D", "-").replace("%2E", ".").replace("%3A", ":").replace("%5F", "_");
        format!("{}/{name}", self.path(namespace))
    }
}

fn join(name: &str, group: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{name}.{group}") }
}

/// Everything served, in the server's order of preference.
#[derive(Debug, Default)]
pub(crate) struct Discovery {
    pub(crate) resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    items: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    #[serde(default)]
    metadata: GroupName,
    #[serde(default)]
    versions: Vec<Version>,
}

#[derive(Deserialize, Default)]
struct GroupName {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Version {
    version: String,
    #[serde(default)]
    resources: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    resource: String,
    response_kind: Option<Kind>,
    scope: String,
    #[serde(default)]
    singular_resource: String,
    #[serde(default)]
    verbs: Vec<String>,
    #[serde(default)]
    short_names: Vec<String>,
    #[serde(default)]
    categories: Vec<String>,
}

#[derive(Deserialize)]
struct Kind {
    #[serde(default)]
    kind: String,
}

impl Discovery {
    pub(crate) async fn ask(server: &Server) -> Result<Self> {
        let mut resources = Vec::new();
        for path in ["/api", "/apis"] {
            let answer = server.get(path, AGGREGATED).await?;
            let list: List = serde_json::from_value(answer)
                .map_err(|e| crate::failure::Failure::Request { reason: format!("discovery at {path}: {e}") })?;
            if list.kind != "APIGroupDiscoveryList" {
                return refuse(format!("the server at {} has no aggregated discovery", server.host));
            }
            for group in list.items {
                let name = &group.metadata.name;
                resources.extend(group.versions.into_iter().flat_map(|version| read(name, version)));
            }
        }
        Ok(Self { resources })
    }

    /// The resource a person means: plural, singular, kind or short name, alone or with version and group behind.
    pub(crate) fn find(&self, typed: &str) -> Result<&Resource> {
        let lower = typed.to_lowercase();
        let mut parts = lower.splitn(2, '.');
        let (name, rest) = (parts.next().unwrap_or_default(), parts.next());
        let found = match rest {
            None => self.named(name).next(),
            Some(rest) => {
                let (version, group) = rest.split_once('.').unwrap_or((rest, ""));
                self.named(name)
                    .find(|r| r.version == version && r.group == group)
                    .or_else(|| self.named(name).find(|r| r.group == rest))
            }
        };
        match found {
            Some(found) => Ok(found),
            None => refuse(format!("the server doesn't have a resource type {name:?}")),
        }
    }

    fn named<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a Resource> + use<'a, 'n> {
        let exact = move |r: &&Resource| r.plural == name || r.singular == name || r.kind.to_lowercase() == name;
        let short = move |r: &&Resource| r.short_names.iter().any(|s| s == name);
        self.resources.iter().filter(exact).chain(self.resources.iter().filter(short))
    }

    /// Those of a category such as `all`, one version each.
    pub(crate) fn category(&self, name: &str) -> Vec<&Resource> {
        let mut found: Vec<&Resource> = Vec::new();
        for resource in self.resources.iter().filter(|r| r.categories.iter().any(|c| c == name)) {
            if !found.iter().any(|f| f.group == resource.group && f.plural == resource.plural) {
                found.push(resource);
            }
        }
        found
    }

    /// The resource of an object's kind.
    pub(crate) fn of_kind(&self, kind: &GroupVersionKind) -> Option<&Resource> {
        self.resources.iter().find(|r| r.group == kind.group && r.version == kind.version && r.kind == kind.kind)
    }
}

fn read(group: &str, version: Version) -> Vec<Resource> {
    let make = |entry: Entry| Resource {
        group: group.to_owned(),
        version: version.version.clone(),
        kind: entry.response_kind.map(|k| k.kind).unwrap_or_default(),
        singular: if entry.singular_resource.is_empty() { entry.resource.clone() } else { entry.singular_resource },
        plural: entry.resource,
        short_names: entry.short_names,
        categories: entry.categories,
        namespaced: entry.scope == "Namespaced",
        verbs: entry.verbs,
    };
    version.resources.into_iter().map(make).collect()
}
