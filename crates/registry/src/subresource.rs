//! Subresources by name: which exist, and who does the work.

pub(crate) mod approval;
mod binding;
pub(crate) mod ephemeral;
mod eviction;
mod scale;

use std::sync::Arc;

use apimachinery::{GroupResource, Status};
use bytes::Bytes;

use crate::{
    Body, GetOptions, Patch, Registry, RequestContext, Resource, View, Written,
    update::{Source, Update},
};

type Result<T> = std::result::Result<T, Status>;

impl Registry {
    /// PUT of `/status`, `/scale`, `/finalize`, `/approval` and `/ephemeralcontainers`.
    pub async fn update_subresource(
        &self,
        resource: &Arc<dyn Resource>,
        subresource: &str,
        cx: &RequestContext,
        body: Body,
    ) -> Result<Written> {
        match subresource {
            "status" | "finalize" | "ephemeralcontainers" | "approval" => {
                self.put_body(resource, subresource, cx, body).await
            }
            "scale" => self.put_scale(resource, cx, body).await,
            _ => Err(unsupported(resource.as_ref(), subresource, "update")),
        }
    }

    pub async fn patch_subresource(
        &self,
        resource: &Arc<dyn Resource>,
        subresource: &str,
        cx: &RequestContext,
        patch: Patch,
    ) -> Result<Written> {
        match subresource {
            "status" | "ephemeralcontainers" | "approval" => {
                self.change(&Update { resource, cx, subresource, source: Source::Patch(&patch) }).await
            }
            "scale" => self.patch_scale(resource, cx, &patch).await,
            _ => Err(unsupported(resource.as_ref(), subresource, "patch")),
        }
    }

    pub async fn get_subresource(
        &self,
        resource: &Arc<dyn Resource>,
        subresource: &str,
        cx: &RequestContext,
        options: &GetOptions,
    ) -> Result<Bytes> {
        match subresource {
            "status" | "ephemeralcontainers" | "resize" | "approval" => {
                self.read_one(resource, cx, options, View::Object).await
            }
            "scale" => self.get_scale(resource, cx, options).await,
            _ => Err(unsupported(resource.as_ref(), subresource, "get")),
        }
    }

    /// POST of `/binding` and `/eviction`, and of the kind `Binding` itself. Answers with a `Success`.
    pub async fn create_subresource(
        &self,
        resource: &Arc<dyn Resource>,
        subresource: &str,
        cx: &RequestContext,
        body: Body,
    ) -> Result<Status> {
        let facts = resource.facts();
        let done = match (subresource, facts.plural.as_str()) {
            ("binding", "pods") | ("", "bindings") => self.bind(cx, body).await,
            ("eviction", "pods") => self.evict(cx, body).await,
            _ => Err(unsupported(resource.as_ref(), subresource, "create")),
        };
        done.map(|()| Status { code: 201, ..Status::success() })
    }
}

fn unsupported(resource: &dyn Resource, subresource: &str, action: &str) -> Status {
    let facts = resource.facts();
    let name = if subresource.is_empty() { facts.plural.clone() } else { format!("{}/{subresource}", facts.plural) };
    Status::method_not_supported(&GroupResource::new(facts.gvk.group.clone(), name), action)
}
