//! Who makes a request.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// An authenticated user, as `authentication.k8s.io/v1` writes one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UserInfo {
    pub username: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Vec<String>>,
}

impl UserInfo {
    pub const ANONYMOUS: &'static str = "system:anonymous";

    /// A user of the given groups, and of `system:authenticated` as every user with a name is.
    pub fn new(username: impl Into<String>, groups: &[&str]) -> Self {
        let mut groups: Vec<String> = groups.iter().map(|g| g.to_string()).collect();
        if !groups.iter().any(|g| g == "system:authenticated") {
            groups.push("system:authenticated".to_owned());
        }
        Self { username: username.into(), groups, ..Self::default() }
    }

    pub fn anonymous() -> Self {
        Self {
            username: Self::ANONYMOUS.to_owned(),
            groups: vec!["system:unauthenticated".to_owned()],
            ..Self::default()
        }
    }

    /// The user of a service account, with the groups upstream gives one.
    pub fn service_account(namespace: &str, name: &str) -> Self {
        let all_in_namespace = format!("system:serviceaccounts:{namespace}");
        Self::new(format!("system:serviceaccount:{namespace}:{name}"), &["system:serviceaccounts", &all_in_namespace])
    }

    pub fn in_group(&self, group: &str) -> bool {
        self.groups.iter().any(|g| g == group)
    }
}

/// A request extension by which a caller in the same process says who it is. Only code in this process can set
/// one: the socket adapter never copies it from anything a peer sent.
#[derive(Clone, Debug)]
pub struct Identity(pub UserInfo);
