//! What this server serves, as clients ask for it: plain and aggregated discovery, made once from the table of kinds.

mod aggregated;
mod catalog;

pub(crate) use aggregated::aggregated;
pub(crate) use catalog::{Catalog, Entry};

use serde_json::{Value, json};

impl Catalog {
    /// `/api`.
    pub(crate) fn api_versions(&self, address: &str) -> Value {
        json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
        })
    }

    /// `/apis`.
    pub(crate) fn group_list(&self) -> Value {
        let groups: Vec<Value> = self.groups().filter(|g| !g.is_empty()).map(|g| self.group_value(g)).collect();
        json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
    }

    /// `/apis/{group}`.
    pub(crate) fn group(&self, name: &str) -> Option<Value> {
        if name.is_empty() || !self.groups().any(|g| g == name) {
            return None;
        }
        let mut group = json!({"kind": "APIGroup", "apiVersion": "v1"});
        for (key, value) in self.group_value(name).as_object().into_iter().flatten() {
            group[key] = value.clone();
        }
        Some(group)
    }

    fn group_value(&self, name: &str) -> Value {
        let versions: Vec<Value> = self
            .versions(name)
            .map(|version| json!({"groupVersion": format!("{name}/{version}"), "version": version}))
            .collect();
        json!({"name": name, "versions": versions, "preferredVersion": versions.first()})
    }

    /// `/api/v1` and `/apis/{group}/{version}`.
    pub(crate) fn resource_list(&self, group: &str, version: &str) -> Option<Value> {
        let entries = self.entries(group, version)?;
        let resources: Vec<Value> = entries.iter().map(Entry::api_resource).collect();
        let group_version = apimachinery::GroupVersion::new(group, version).to_string();
        let mut list = json!({"kind": "APIResourceList", "groupVersion": group_version, "resources": resources});
        if !group.is_empty() {
            list["apiVersion"] = "v1".into();
        }
        Some(list)
    }
}

#[cfg(test)]
mod tests;
