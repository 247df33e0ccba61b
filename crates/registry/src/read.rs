//! Reads of one object: the store's bytes, as they are.

use std::sync::Arc;

use apimachinery::Status;
use bytes::Bytes;

use crate::{GetOptions, Registry, RequestContext, Resource, View, keys, view};

impl Registry {
    pub(crate) async fn read_one(
        &self,
        resource: &Arc<dyn Resource>,
        cx: &RequestContext,
        options: &GetOptions,
        view: View,
    ) -> Result<Bytes, Status> {
        let facts = resource.facts();
        let snapshot = self.state(&options.resource_version).await?;
        let key = keys::object(facts, cx.namespace(), &cx.name);
        let stored = snapshot.get(&key).ok_or_else(|| Status::not_found(&facts.group_resource(), &cx.name))?;
        view::object(resource.as_ref(), &stored.value, view, cx.now.as_second())
    }
}
