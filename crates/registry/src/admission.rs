//! What may change or refuse a write between decoding and storing. The pipeline calls it; the API server brings it.

use apimachinery::{Object, Status, UserInfo};
use async_trait::async_trait;
use serde_json::Value;

use crate::{Resource, Warnings};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Create,
    Update,
    Delete,
    Connect,
}

impl Operation {
    /// As admission reviews spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }
}

/// What admission may know of a request besides the object.
#[derive(Clone, Copy)]
pub struct Attributes<'a> {
    pub operation: Operation,
    pub resource: &'a dyn Resource,
    /// Empty for the resource itself.
    pub subresource: &'a str,
    pub namespace: &'a str,
    /// Empty while a generated name is not known yet.
    pub name: &'a str,
    pub user: &'a UserInfo,
    /// The stored object of an update or a deletion.
    pub old: Option<&'a Object>,
    /// The options of the request (`DeleteOptions`, `CreateOptions` …) as an object.
    pub options: &'a Value,
    pub dry_run: bool,
    pub warnings: &'a Warnings,
}

/// The chain of admission. `object` is absent in deletions.
#[async_trait]
pub trait Admission: Send + Sync + 'static {
    /// May change the object. The pipeline defaults and decodes it again afterwards.
    async fn mutate(&self, attributes: &Attributes<'_>, object: Option<&mut Object>) -> Result<(), Status>;

    /// Sees the object as it will be stored.
    async fn validate(&self, attributes: &Attributes<'_>, object: Option<&Object>) -> Result<(), Status>;
}

/// Admits everything: for tests, and for the server's own writes before its chain stands.
pub struct AdmitAll;

#[async_trait]
impl Admission for AdmitAll {
    async fn mutate(&self, _: &Attributes<'_>, _: Option<&mut Object>) -> Result<(), Status> {
        Ok(())
    }

    async fn validate(&self, _: &Attributes<'_>, _: Option<&Object>) -> Result<(), Status> {
        Ok(())
    }
}
