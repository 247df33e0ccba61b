//! Where authenticators look up the objects that credentials are bound to.

use apimachinery::{Object, Status};
use async_trait::async_trait;

/// Reads objects as they are now. The server implements it over its registry, so that a credential is void in the
/// moment its object is gone.
#[async_trait]
pub trait Reader: Send + Sync {
    /// A resource of `v1` of the core group by its plural; `namespace` is empty for what is not namespaced.
    /// `None` when there is no such object; a failed read is an error, never `None`.
    async fn core(&self, resource: &str, namespace: &str, name: &str) -> Result<Option<Object>, Status>;
}
