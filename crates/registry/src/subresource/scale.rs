//! `Scale`: how many replicas something has and shall have, the same for every kind that can be scaled.

use std::sync::Arc;

use apimachinery::{GroupResource, LabelSelector, Object, Status, field};
use bytes::Bytes;
use kinds::Subresource;
use merge::managed;
use schema::Node;
use serde_json::{Value, json};

use crate::{
    Body, GetOptions, Patch, Registry, RequestContext, Resource, Written, decode,
    encode::encode,
    keys, patch, prepare,
    update::{Source, Update},
};

const REPLICAS: &[&str] = &["spec", "replicas"];
const API_VERSION: &str = "autoscaling/v1";

fn node() -> Result<Node<'static>, Status> {
    schema::builtin()
        .definition("io.k8s.api.autoscaling.v1.Scale")
        .ok_or_else(|| Status::internal("the schema lacks scales"))
}

impl Registry {
    pub(super) async fn get_scale(
        &self,
        resource: &Arc<dyn Resource>,
        cx: &RequestContext,
        options: &GetOptions,
    ) -> Result<Bytes, Status> {
        let facts = resource.facts();
        let snapshot = self.state(&options.resource_version).await?;
        let stored = snapshot.get(&keys::object(facts, cx.namespace(), &cx.name)).ok_or_else(|| {
            let name = GroupResource::new(facts.gvk.group.clone(), format!("{}/scale", facts.plural));
            Status::not_found(&name, &cx.name)
        })?;
        let parent = decode::stored(resource.as_ref(), &stored.value)?;
        shown(resource.as_ref(), &parent)
    }

    pub(super) async fn put_scale(
        &self,
        resource: &Arc<dyn Resource>,
        cx: &RequestContext,
        body: Body,
    ) -> Result<Written, Status> {
        let expected = decode::Expected { node: node()?, api_version: API_VERSION.to_owned(), kind: "Scale" };
        let scale = decode::body(self.resources(), &expected, cx, body)?;
        prepare::check_name(cx, &scale)?;
        self.rescale(resource, cx, &|_| Ok(scale.clone())).await
    }

    pub(super) async fn patch_scale(
        &self,
        resource: &Arc<dyn Resource>,
        cx: &RequestContext,
        patch: &Patch,
    ) -> Result<Written, Status> {
        self.rescale(resource, cx, &|scale| patch::patched_as(&gvk(), node()?, cx, "scale", patch, scale)).await
    }

    async fn rescale(
        &self,
        resource: &Arc<dyn Resource>,
        cx: &RequestContext,
        make: &(dyn Fn(&Object) -> Result<Object, Status> + Send + Sync),
    ) -> Result<Written, Status> {
        if !resource.facts().has(Subresource::Scale) {
            return Err(super::unsupported(resource.as_ref(), "scale", "update"));
        }
        let edit = |parent: &mut Object| {
            let before = scale_of(resource.as_ref(), parent)?;
            let mut scale = make(&before)?;
            prepare::check_name(cx, &scale)?;
            check(&cx.name, &scale)?;
            own(resource.as_ref(), cx, parent, &before, &mut scale)?;
            let replicas = scale.get(REPLICAS).and_then(Value::as_i64).unwrap_or_default();
            parent.set(REPLICAS, replicas);
            let version = scale.resource_version().to_owned();
            parent.set(&["metadata", "resourceVersion"], version);
            Ok(())
        };
        let written = self.change(&Update { resource, cx, subresource: "scale", source: Source::Edit(&edit) }).await?;
        let parent = Object::from_slice(&written.bytes).map_err(Status::internal)?;
        Ok(Written { bytes: shown(resource.as_ref(), &parent)?, created: false })
    }
}

fn gvk() -> apimachinery::GroupVersionKind {
    apimachinery::GroupVersionKind::new("autoscaling", "v1", "Scale")
}

/// The scale as it is answered: who owns it is told by the parent.
fn shown(resource: &dyn Resource, parent: &Object) -> Result<Bytes, Status> {
    let mut scale = scale_of(resource, parent)?;
    scale.remove(&["metadata", "managedFields"]);
    Ok(encode(&scale))
}

fn entries(object: &Object) -> Vec<Value> {
    object.get(&["metadata", "managedFields"]).and_then(Value::as_array).cloned().unwrap_or_default()
}

/// The scale that shows a parent.
fn scale_of(resource: &dyn Resource, parent: &Object) -> Result<Object, Status> {
    let mut scale = Object::default();
    scale.set_gvk(&gvk());
    for name in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = parent.get(&["metadata", name]) {
            scale.set(&["metadata", name], value.clone());
        }
    }
    let shared = managed::Scale { kind: &resource.facts().gvk, replicas: REPLICAS };
    let owners = shared.of_parent(&entries(parent)).map_err(Status::internal)?;
    if !owners.is_empty() {
        scale.set(&["metadata", "managedFields"], owners);
    }
    scale.set(&["spec"], json!({}));
    match parent.get(REPLICAS).and_then(Value::as_i64) {
        Some(replicas) if replicas != 0 => scale.set(REPLICAS, replicas),
        _ => {}
    }
    let replicas = parent.get(&["status", "replicas"]).and_then(Value::as_i64).unwrap_or_default();
    scale.set(&["status"], json!({ "replicas": replicas }));
    let selector = LabelSelector::from_object(parent.get(&["spec", "selector"]))
        .map_err(|errors| Status::internal(errors.to_string()))?;
    let selector = ordered(selector);
    if !selector.is_empty() {
        scale.set(&["status", "selector"], selector);
    }
    Ok(scale)
}

/// Upstream prints an exact label as `a=b`.
fn ordered(selector: LabelSelector) -> String {
    let mut terms: Vec<String> = selector
        .requirements()
        .iter()
        .map(|r| match (r.operator, r.values.as_slice()) {
            (apimachinery::Operator::In, [value]) => format!("{}={value}", r.key),
            _ => r.to_string(),
        })
        .collect();
    terms.sort();
    terms.join(",")
}

fn check(name: &str, scale: &Object) -> Result<(), Status> {
    let replicas = scale.get(REPLICAS).and_then(Value::as_i64).unwrap_or_default();
    if replicas >= 0 {
        return Ok(());
    }
    let path = field::Path::new("spec").child("replicas");
    let error = field::Error::invalid(&path, replicas, "must be greater than or equal to 0");
    Err(Status::invalid(&gvk().group_kind(), name, &error.into()))
}

/// Records in the parent who set the replicas.
fn own(
    resource: &dyn Resource,
    cx: &RequestContext,
    parent: &mut Object,
    before: &Object,
    scale: &mut Object,
) -> Result<(), Status> {
    let applied = entries(scale);
    let changed = scale.get(&["metadata", "managedFields"]) != before.get(&["metadata", "managedFields"]);
    if !changed || applied.is_empty() {
        let live = before.clone().into_value();
        let write = managed::Write {
            manager: cx.manager(),
            kind: &gvk(),
            subresource: "scale",
            now: &cx.timestamp(),
            reset: &[&["status"]],
        };
        let node = node()?;
        scale.with_value(|new| managed::update(node, Some(&live), new, &write));
    }
    let shared = managed::Scale { kind: &resource.facts().gvk, replicas: REPLICAS };
    let owners = shared.to_parent(&entries(parent), &entries(scale)).map_err(Status::internal)?;
    if owners.is_empty() {
        parent.remove(&["metadata", "managedFields"]);
    } else {
        parent.set(&["metadata", "managedFields"], owners);
    }
    Ok(())
}
