//! Who owns which field, kept up to date on every write.

use apimachinery::{Object, Status};
use kinds::Subresource;
use merge::managed::Write;
use serde_json::Value;

use crate::{RequestContext, Resource, patch::Target};

const STATUS: &[&str] = &["status"];
const SPEC: &[&str] = &["spec"];
const CERTIFICATE: &[&str] = &["status", "certificate"];

/// The parts a write leaves alone, whatever the body says.
fn reset(resource: &dyn Resource, subresource: &str) -> &'static [&'static [&'static str]] {
    match subresource {
        "status" => &[SPEC],
        "approval" => &[SPEC, CERTIFICATE],
        _ if resource.facts().has(Subresource::Status) => &[STATUS],
        _ => &[],
    }
}

fn with_write<T>(
    resource: &dyn Resource,
    cx: &RequestContext,
    subresource: &str,
    write: impl FnOnce(&Write<'_>) -> T,
) -> T {
    write(&Write {
        manager: cx.manager(),
        kind: &resource.facts().gvk,
        subresource,
        now: &cx.timestamp(),
        reset: reset(resource, subresource),
    })
}

/// A new object: everything in it belongs to its creator.
pub(crate) fn created(resource: &dyn Resource, cx: &RequestContext, object: &mut Object) {
    with_write(resource, cx, "", |write| {
        object.with_value(|new| merge::managed::update(resource.node(), None, new, write));
    });
}

/// A changed object: what changed belongs to who changed it.
pub(crate) fn changed(resource: &dyn Resource, cx: &RequestContext, subresource: &str, new: &mut Object, old: &Value) {
    with_write(resource, cx, subresource, |write| {
        new.with_value(|new| merge::managed::update(resource.node(), Some(old), new, write));
    });
}

/// Server-side apply onto an object, or onto nothing.
pub(crate) fn applied(
    of: Target<'_>,
    cx: &RequestContext,
    subresource: &str,
    old: Option<&Object>,
    config: &Value,
    force: bool,
) -> Result<Value, Status> {
    let live = old.map(|old| old.clone().into_value());
    let reset: &[&[&str]] = match subresource {
        "status" => &[SPEC],
        "approval" => &[SPEC, CERTIFICATE],
        _ if of.node.field("status").is_some() => &[STATUS],
        _ => &[],
    };
    let write = Write { manager: cx.manager(), kind: of.gvk, subresource, now: &cx.timestamp(), reset };
    merge::managed::apply(of.node, live.as_ref(), config, force, &write).map_err(|e| e.status())
}

/// A change of nothing but the times of managed fields is none.
pub(crate) fn ignore_times(old: &Value, new: &mut Object) {
    new.with_value(|new| merge::managed::ignore_times(old, new));
}
