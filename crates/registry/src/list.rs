//! Lists: stored bytes strung together, page by page at one revision.

use std::sync::Arc;

use apimachinery::{Reason, Status};
use bytes::Bytes;
use kinds::Verb;
use serde_json::{Map, Value, json};
use store::{KeyValue, OutOfWindow, Revision, Snapshot};

use crate::{
    IncludeObject, ListOptions, Listed, Registry, RequestContext, Resource, View, continuation::Continuation, decode,
    failure, keys, options, selection::Selection, view,
};

/// What a list is made of: the objects and what the list says of itself.
pub(crate) struct Page {
    pub(crate) items: Vec<Arc<KeyValue>>,
    pub(crate) revision: u64,
    pub(crate) continue_token: String,
    pub(crate) remaining: Option<usize>,
}

impl Page {
    fn metadata(&self) -> Value {
        let mut metadata = Map::new();
        metadata.insert("resourceVersion".to_owned(), self.revision.to_string().into());
        if !self.continue_token.is_empty() {
            metadata.insert("continue".to_owned(), self.continue_token.as_str().into());
        }
        if let Some(remaining) = self.remaining {
            metadata.insert("remainingItemCount".to_owned(), remaining.into());
        }
        Value::Object(metadata)
    }
}

impl Registry {
    pub(crate) async fn list_view(
        &self,
        resource: &Arc<dyn Resource>,
        cx: &RequestContext,
        options: &ListOptions,
        view: View,
    ) -> Result<Listed, Status> {
        let page = self.page(resource.as_ref(), cx, options).await?;
        render(resource.as_ref(), &page, view, cx.now.as_second())
    }

    /// The objects of one page.
    pub(crate) async fn page(
        &self,
        resource: &dyn Resource,
        cx: &RequestContext,
        options: &ListOptions,
    ) -> Result<Page, Status> {
        let facts = resource.facts();
        if !facts.can(Verb::List) {
            return Err(Status::method_not_supported(&facts.group_resource(), "list"));
        }
        options::validate_list(options)?;
        let selection = Selection::parse(facts, cx, options)?;
        let prefix = keys::collection(facts, cx.namespace());
        let (snapshot, after) = self.state_for(options, &prefix).await?;
        if let (Some(name), true) = (&selection.name, !facts.namespaced || !cx.namespace().is_empty()) {
            let key = keys::object(facts, cx.namespace(), name);
            let found = snapshot.get(&key).filter(|kv| selection.matches(resource, &kv.value));
            let items = found.filter(|kv| after.as_ref().is_none_or(|after| &*kv.key > after.as_slice()));
            let items = items.into_iter().collect();
            return Ok(Page { items, revision: snapshot.revision().0, continue_token: String::new(), remaining: None });
        }
        Ok(select(resource, &selection, options, &snapshot, &prefix, after))
    }

    /// The state a list is answered from, and the key it goes on after.
    async fn state_for(&self, options: &ListOptions, prefix: &[u8]) -> Result<(Snapshot, Option<Vec<u8>>), Status> {
        if !options.continue_token.is_empty() {
            return self.continued(options, prefix).await;
        }
        let state = self.state(&options.resource_version).await?;
        let asked = failure::parse_version(&options.resource_version)?;
        // Upstream answers a limited list of a given version from just that version.
        let legacy_exact = options.resource_version_match.is_empty() && options.limit > 0 && asked > 0;
        if options.resource_version_match == "Exact" || legacy_exact {
            let snapshot = self.store().snapshot_at(Revision(asked)).map_err(|e| match e {
                OutOfWindow::Compacted { .. } => {
                    Status::expired("The provided resource version is too old.".to_owned())
                }
                OutOfWindow::Future { current, .. } => failure::too_large_version(asked, current.0),
            })?;
            return Ok((snapshot, None));
        }
        Ok((state, None))
    }

    async fn continued(&self, options: &ListOptions, prefix: &[u8]) -> Result<(Snapshot, Option<Vec<u8>>), Status> {
        let token = Continuation::decode(&options.continue_token)
            .map_err(|why| Status::bad_request(format!("invalid continue token: {why}")))?;
        if !matches!(options.resource_version.as_str(), "" | "0") {
            return Err(Status::bad_request("specifying resource version is not allowed when using continue"));
        }
        let after = [prefix, token.after.as_bytes()].concat();
        let Some(revision) = token.revision else { return Ok((self.current().await?, Some(after))) };
        // Another server may have given out the token a moment ago.
        if let Err(status) = self.at_least(revision).await {
            return Err(if status.is(Reason::Expired) { expired(&token) } else { status });
        }
        match self.store().snapshot_at(Revision(revision)) {
            Ok(snapshot) => Ok((snapshot, Some(after))),
            Err(OutOfWindow::Future { current, .. }) => Err(failure::too_large_version(revision, current.0)),
            Err(OutOfWindow::Compacted { .. }) => Err(expired(&token)),
        }
    }
}

/// The token's state is gone; the client may go on at the newest one, if it can live with the seam.
fn expired(token: &Continuation) -> Status {
    const WHY: &str = "The provided continue parameter is too old to display a consistent list result. You can start a \
        new list without the continue parameter, or use the continue token in this response to retrieve the remainder of \
        the results. Continuing with the provided token results in an inconsistent list - objects that were created, \
        modified, or deleted between the time the first chunk was returned and now may show up in the list.";
    let mut status = Status::failure(410, Reason::Expired, WHY);
    status.continue_token = Continuation::new(None, &token.after).encode();
    status
}

fn select(
    resource: &dyn Resource,
    selection: &Selection,
    options: &ListOptions,
    snapshot: &Snapshot,
    prefix: &[u8],
    after: Option<Vec<u8>>,
) -> Page {
    let limit = if options.limit == 0 { usize::MAX } else { usize::try_from(options.limit).unwrap_or(usize::MAX) };
    let everything = selection.is_everything();
    let mut walk =
        snapshot.walk(prefix, after.as_deref()).filter(|kv| everything || selection.matches(resource, &kv.value));
    let items: Vec<_> = walk.by_ref().take(limit).cloned().collect();
    let mut page = Page { items, revision: snapshot.revision().0, continue_token: String::new(), remaining: None };
    if walk.next().is_some()
        && let Some(last) = page.items.last()
    {
        let after = String::from_utf8_lossy(&last.key[prefix.len()..]).into_owned();
        page.continue_token = Continuation::new(Some(page.revision), &after).encode();
        page.remaining = everything.then(|| snapshot.count_after(prefix, &last.key));
    }
    page
}

/// A page in the form asked for.
pub(crate) fn render(resource: &dyn Resource, page: &Page, view: View, now: i64) -> Result<Listed, Status> {
    match view {
        View::Object => whole(resource, page),
        View::Metadata => {
            let items = trees(resource, page)?.map(|tree| Ok(view::partial(&tree?).into_value()));
            let items: Vec<Value> = items.collect::<Result<_, Status>>()?;
            let list = json!({
                "kind": "PartialObjectMetadataList",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": page.metadata(),
                "items": items,
            });
            Ok(Listed { chunks: vec![view::to_bytes(&list)] })
        }
        View::Table(include) => {
            let rows = trees(resource, page)?.map(|tree| Ok(row(resource, tree?, include, now)));
            let rows: Vec<Value> = rows.collect::<Result<_, Status>>()?;
            Ok(Listed { chunks: vec![view::to_bytes(&view::table(resource, page.metadata(), rows, true))] })
        }
    }
}

fn row(resource: &dyn Resource, tree: apimachinery::Object, include: IncludeObject, now: i64) -> Value {
    view::row(resource, tree, include, now)
}

fn trees<'a>(
    resource: &'a dyn Resource,
    page: &'a Page,
) -> Result<impl Iterator<Item = Result<apimachinery::Object, Status>> + 'a, Status> {
    Ok(page.items.iter().map(move |kv| decode::stored(resource, &kv.value)))
}

/// Whole objects: pieces of the store's own bytes, between commas.
fn whole(resource: &dyn Resource, page: &Page) -> Result<Listed, Status> {
    let facts = resource.facts();
    let gvk = &facts.gvk;
    let head = format!(
        "{{\"kind\":\"{}List\",\"apiVersion\":\"{}\",\"metadata\":{},\"items\":[",
        gvk.kind,
        gvk.api_version(),
        page.metadata()
    );
    let bare = format!("{{\"kind\":\"{}\",\"apiVersion\":\"{}\",", gvk.kind, gvk.api_version());
    let mut chunks = Vec::with_capacity(page.items.len() * 2 + 2);
    chunks.push(Bytes::from(head));
    for (index, kv) in page.items.iter().enumerate() {
        let bytes = view::object(resource, &kv.value, View::Object, 0)?;
        let comma = if index == 0 { "" } else { "," };
        if facts.bare_list_items && bytes.starts_with(bare.as_bytes()) {
            chunks.push(Bytes::from_static(if comma.is_empty() { b"{" } else { b",{" }));
            chunks.push(bytes.slice(bare.len()..));
        } else {
            if !comma.is_empty() {
                chunks.push(Bytes::from_static(b","));
            }
            chunks.push(bytes);
        }
    }
    chunks.push(Bytes::from_static(b"]}"));
    Ok(Listed { chunks })
}
