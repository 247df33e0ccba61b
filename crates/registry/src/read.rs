//! Reads of one object: the store's bytes, as they are.

use std::sync::Arc;

use apimachinery::Status;
use bytes::Bytes;

use crate::{GetOptions, Registry, RequestContext, Resource, View, failure, keys, view};

impl Registry {
    pub(crate) async fn read_one(
        &self,
        resource: &Arc<dyn Resource>,
        cx: &RequestContext,
        options: &GetOptions,
        view: View,
    ) -> Result<Bytes, Status> {
        let facts = resource.facts();
        let asked = failure::parse_version(&options.resource_version)?;
        let snapshot = self.store().snapshot();
        if asked > snapshot.revision().0 {
            return Err(failure::too_large_version(asked, snapshot.revision().0));
        }
        let key = keys::object(facts, cx.namespace(), &cx.name);
        let stored = snapshot.get(&key).ok_or_else(|| Status::not_found(&facts.group_resource(), &cx.name))?;
        view::object(resource.as_ref(), &stored.value, view, cx.now.as_second())
    }
}
