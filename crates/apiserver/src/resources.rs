//! Requests for resources: which route, which verb, and the way to the registry and back.

mod delete;
mod read;
mod write;

use apimachinery::Status;
use futures::{FutureExt, future::BoxFuture};
use http::{Method, Response};
use kinds::Subresource;
use registry::{FieldValidation, RequestContext};

use crate::{
    discovery::Entry,
    negotiation::{self, Accepted, View, Views},
    query::WriteOptions,
    respond::{self, Body, Looks},
    server::{ApiServer, Cx},
};

/// A request that has found its resource.
pub(crate) struct Call {
    pub(crate) cx: Cx,
    pub(crate) entry: Entry,
    pub(crate) looks: Looks,
}

/// Which part of a resource a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// All namespaces of what lives in namespaces: read only.
    Everywhere,
    Collection,
    Item,
}

impl ApiServer {
    pub(crate) async fn serve_resource(&self, cx: Cx) -> Response<Body> {
        let catalog = self.inner.catalog.load_full();
        let info = &cx.info;
        if catalog.versions(&info.api_group).next().is_none() {
            return respond::not_found_page();
        }
        let found = catalog.find(&info.api_group, &info.api_version, &info.resource, &info.subresource);
        let Some(entry) = found.cloned() else { return self.refuse(&cx, &respond::no_such_resource()) };
        let Some(shape) = shape(&cx, &entry) else { return self.refuse(&cx, &respond::no_such_resource()) };
        let verbs = verbs_of(shape, &entry);
        if verbs.is_empty() {
            return self.refuse(&cx, &respond::no_such_resource());
        }
        let Some(verb) = verb_of(cx.request.method(), shape).filter(|verb| verbs.contains(verb)) else {
            return self.refuse(&cx, &respond::method_not_allowed());
        };
        if connects(&entry) {
            return self.connect(Call { cx, entry, looks: Looks::default() }).await;
        }
        match self.negotiated(cx, entry, shape) {
            Err(refusal) => refusal,
            Ok(call) => {
                let looks = call.looks.clone();
                self.dispatch(call, verb, shape).await.unwrap_or_else(|status| looks.status(&status))
            }
        }
    }

    fn refuse(&self, cx: &Cx, status: &Status) -> Response<Body> {
        cx.looks(Accepted::default()).status(status)
    }

    fn negotiated(&self, cx: Cx, entry: Entry, shape: Shape) -> Result<Call, Response<Body>> {
        let accept = cx.accept();
        let plain = |status: Status| respond::status(&status);
        let listing = shape != Shape::Item && cx.request.method() == Method::GET;
        negotiation::representable(accept.as_deref(), listing).map_err(plain)?;
        let views = if entry.facts().storage_prefix.is_empty() { Views::None } else { Views::Objects };
        let accepted = negotiation::accept(accept.as_deref(), views).map_err(plain)?;
        let looks = cx.looks(accepted);
        Ok(Call { cx, entry, looks })
    }

    fn dispatch<'a>(&'a self, call: Call, verb: &str, shape: Shape) -> BoxFuture<'a, Result<Response<Body>, Status>> {
        match (verb, shape) {
            ("get", Shape::Item) if call.cx.info.verb == "watch" => self.watch(call).boxed(),
            ("get", Shape::Item) => self.get(call).boxed(),
            ("list", _) if call.cx.info.verb == "watch" => self.watch(call).boxed(),
            ("list", _) => self.list(call).boxed(),
            ("create", _) => self.create(call).boxed(),
            ("update", _) => self.update(call).boxed(),
            ("patch", _) => self.patch(call).boxed(),
            ("delete", _) => self.delete(call).boxed(),
            ("deletecollection", _) => self.delete_collection(call).boxed(),
            _ => std::future::ready(Err(respond::method_not_allowed())).boxed(),
        }
    }
}

/// Subresources that are connections to somewhere else.
fn connects(entry: &Entry) -> bool {
    use Subresource::{Attach, Exec, Log, PortForward, Proxy};
    matches!(entry.subresource, Some(Attach | Exec | Log | PortForward | Proxy))
}

fn shape(cx: &Cx, entry: &Entry) -> Option<Shape> {
    let info = &cx.info;
    let named = !info.name.is_empty() && !info.name_from_selector;
    let namespace_itself = entry.facts().plural == "namespaces" && entry.facts().gvk.group.is_empty();
    let in_namespace = !info.namespace.is_empty() && !namespace_itself;
    if info.rest.is_some() && !matches!(entry.subresource, Some(Subresource::Proxy)) {
        return None;
    }
    match (entry.facts().namespaced, in_namespace, named) {
        (true, true, true) | (false, false, true) => Some(Shape::Item),
        (true, true, false) | (false, false, false) => Some(Shape::Collection),
        (true, false, false) => Some(Shape::Everywhere),
        (true, false, true) | (false, true, _) => None,
    }
}

/// The verbs a path of this shape has.
fn verbs_of(shape: Shape, entry: &Entry) -> Vec<&'static str> {
    let of_shape: &[&str] = match (shape, entry.subresource) {
        // Reviews and bindings are collections one only posts to.
        (Shape::Item, None) => &["get", "update", "patch", "delete"],
        (Shape::Item, Some(_)) => &["get", "update", "patch", "delete", "create"],
        (Shape::Collection, _) => &["list", "create", "deletecollection"],
        (Shape::Everywhere, _) => &["list"],
    };
    let verbs: Vec<&str> = of_shape.iter().copied().filter(|verb| entry.can(verb)).collect();
    // A path that exists only to be posted to in namespaces answers a POST without one as not allowed.
    if shape == Shape::Everywhere && verbs.is_empty() && entry.can("create") && entry.subresource.is_none() {
        return vec!["none"];
    }
    verbs
}

fn verb_of(method: &Method, shape: Shape) -> Option<&'static str> {
    Some(match (method, shape) {
        (&Method::GET, Shape::Item) => "get",
        (&Method::GET, _) => "list",
        (&Method::POST, _) => "create",
        (&Method::PUT, _) => "update",
        (&Method::PATCH, _) => "patch",
        (&Method::DELETE, Shape::Item) => "delete",
        (&Method::DELETE, _) => "deletecollection",
        _ => return None,
    })
}

impl Call {
    /// The request as the registry needs to know it.
    pub(crate) fn context(&self) -> RequestContext {
        let info = &self.cx.info;
        let namespace = self.entry.facts().namespaced.then_some(info.namespace.as_str()).filter(|ns| !ns.is_empty());
        let name = if info.name_from_selector { "" } else { info.name.as_str() };
        let mut context = RequestContext::new(self.cx.user.clone(), namespace, name);
        context.user_agent = self.cx.header(http::header::USER_AGENT).unwrap_or_default().to_owned();
        context
    }

    /// The same for a write with its options.
    pub(crate) fn write_context(&self, options: WriteOptions) -> RequestContext {
        let mut context = self.context();
        context.dry_run = options.dry_run;
        context.field_manager = options.field_manager;
        context.field_validation = match options.field_validation.as_str() {
            "Ignore" => FieldValidation::Ignore,
            "Strict" => FieldValidation::Strict,
            _ => FieldValidation::Warn,
        };
        context
    }

    /// The name of a subresource, empty for the resource itself.
    pub(crate) fn subresource(&self) -> &str {
        &self.cx.info.subresource
    }

    pub(crate) fn is_table(&self) -> bool {
        matches!(self.looks.accepted.view, View::Table(_))
    }
}
