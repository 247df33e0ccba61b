//! Which resources the server has now, custom ones included.

use client::{ApiResource, Client, Error};
use futures::future::join_all;

/// A resource that can be listed and deleted.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    pub(crate) resource: ApiResource,
    pub(crate) namespaced: bool,
    pub(crate) verbs: Vec<String>,
}

impl Served {
    pub(crate) fn can(&self, verb: &str) -> bool {
        self.verbs.iter().any(|v| v == verb)
    }
}

/// What the server has, and why that may not be all.
pub(crate) struct Discovered {
    pub(crate) resources: Vec<Served>,
    /// Group versions that could not be asked.
    pub(crate) failures: Vec<String>,
}

/// Asks for every resource of every group's preferred version. A group that does not answer (its server may be
/// away) is a failure beside the others.
pub(crate) async fn discover(client: &Client) -> Result<Discovered, Error> {
    let kube = client.kube();
    let mut group_versions = Vec::new();
    for group in kube.list_api_groups().await?.groups {
        let preferred = group.preferred_version.or_else(|| group.versions.into_iter().next());
        group_versions.extend(preferred.map(|version| version.group_version));
    }
    let mut found = Discovered { resources: Vec::new(), failures: Vec::new() };
    found.add("v1", kube.list_core_api_resources("v1").await?.resources);
    let lists = join_all(group_versions.iter().map(|gv| kube.list_api_group_resources(gv))).await;
    for (group_version, list) in group_versions.iter().zip(lists) {
        match list {
            Ok(list) => found.add(group_version, list.resources),
            Err(error) => found.failures.push(format!("{group_version}: {error}")),
        }
    }
    Ok(found)
}

impl Discovered {
    fn add(&mut self, group_version: &str, resources: Vec<api::meta::APIResource>) {
        let (group, version) = group_version.split_once('/').unwrap_or(("", group_version));
        for resource in resources {
            // Subresources are no objects.
            if resource.name.contains('/') {
                continue;
            }
            self.resources.push(Served {
                resource: ApiResource {
                    group: group.to_owned(),
                    version: version.to_owned(),
                    api_version: group_version.to_owned(),
                    kind: resource.kind,
                    plural: resource.name,
                },
                namespaced: resource.namespaced,
                verbs: resource.verbs,
            });
        }
    }
}
