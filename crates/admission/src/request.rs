//! What plug-ins know of a write, and where they look other objects up.

use apimachinery::{GroupResource, Object, Status, UserInfo};
use async_trait::async_trait;
use serde_json::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Create,
    Update,
    Delete,
    Connect,
}

/// Group, version, plural.
pub type Gvr<'a> = (&'a str, &'a str, &'a str);

/// Reads objects as they are now.
#[async_trait]
pub trait Objects: Send + Sync {
    /// `None` when there is none; a failed read is an error.
    async fn get(&self, resource: Gvr<'_>, namespace: &str, name: &str) -> Result<Option<Object>, Status>;

    /// Everything of a resource, in one namespace or (where it is empty) in all.
    async fn list(&self, resource: Gvr<'_>, namespace: &str) -> Result<Vec<Object>, Status>;
}

/// A write on its way.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    pub operation: Operation,
    pub group: &'a str,
    pub kind: &'a str,
    /// Plural.
    pub resource: &'a str,
    pub namespaced: bool,
    /// Empty for the resource itself.
    pub subresource: &'a str,
    pub namespace: &'a str,
    /// Empty while a generated name is not known yet.
    pub name: &'a str,
    pub user: &'a UserInfo,
    pub old: Option<&'a Object>,
    pub options: &'a Value,
    pub dry_run: bool,
    /// Takes a sentence for the client.
    pub warn: &'a (dyn Fn(&str) + Sync),
}

impl Request<'_> {
    /// The core group's resource itself.
    pub fn is(&self, resource: &str) -> bool {
        self.group.is_empty() && self.resource == resource && self.subresource.is_empty()
    }

    /// A subresource of the core group.
    pub fn is_sub(&self, resource: &str, subresource: &str) -> bool {
        self.group.is_empty() && self.resource == resource && self.subresource == subresource
    }

    pub fn group_resource(&self) -> GroupResource {
        GroupResource::new(self.group, self.resource)
    }

    /// Refuses, naming the object by what is known of its name.
    pub fn forbidden(&self, object: Option<&Object>, why: &str) -> Status {
        let name = [self.name, object.map_or("", Object::name), object.map_or("", Object::generate_name)]
            .into_iter()
            .find(|name| !name.is_empty())
            .unwrap_or("Unknown");
        Status::forbidden(&self.group_resource(), name, why)
    }
}
