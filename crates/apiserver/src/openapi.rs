//! OpenAPI documents. They are made when asked for and not kept: clients keep them by their hash, and the memory of a
//! server at rest is worth more than the milliseconds. Only the hashes are kept.

use std::{collections::BTreeMap, sync::Arc};

use http::{HeaderValue, Response, StatusCode, header};
use kinds::Subresource;
use parking_lot::Mutex;
use schema::openapi::{self, V2_PROTOBUF_CONTENT_TYPE, V2_PROTOBUF_MEDIA_TYPE};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    discovery::{Catalog, Entry},
    paths::{etag, if_changed, tagged},
    respond::{self, Body},
    server::Cx,
    version::GIT_VERSION,
};

/// Documents about paths that are no resources: the document's path, and the path it is about.
const PLAIN: [(&str, &str); 5] = [
    (".well-known/openid-configuration", "/.well-known/openid-configuration/"),
    ("api", "/api/"),
    ("apis", "/apis/"),
    ("openid/v1/jwks", "/openid/v1/jwks/"),
    ("version", "/version/"),
];

/// The hash of each document by its path.
type Hashes = Arc<BTreeMap<String, String>>;

/// Hashes of the documents of one catalog.
#[derive(Default)]
pub(crate) struct Documents {
    hashes: Mutex<Option<(Arc<Catalog>, Hashes)>>,
}

/// One group and version out of the catalog, in the generator's words.
struct Part<'a> {
    group: &'a str,
    version: &'a str,
    resources: Vec<openapi::Resource<'a>>,
}

fn part<'a>(catalog: &'a Catalog, group: &'a str, version: &'a str) -> Option<Part<'a>> {
    let resources = catalog.entries(group, version)?.iter().map(resource).collect();
    Some(Part { group, version, resources })
}

fn resource(entry: &Entry) -> openapi::Resource<'_> {
    let facts = entry.facts();
    let gvk = &facts.gvk;
    let (group, version) = entry.foreign.unwrap_or((&gvk.group, &gvk.version));
    let table = schema::builtin();
    let streams = matches!(
        entry.subresource,
        Some(
            Subresource::Attach | Subresource::Exec | Subresource::Log | Subresource::PortForward | Subresource::Proxy
        )
    );
    let node = match entry.subresource {
        _ if streams => None,
        None => Some(entry.resource.node()),
        Some(_) => table.by_gvk(group, version, &entry.kind),
    };
    let listed = entry.subresource.is_none() && entry.can("list");
    openapi::Resource {
        plural: &facts.plural,
        subresource: entry.name.split_once('/').map_or("", |(_, sub)| sub),
        kind: &gvk.kind,
        namespaced: facts.namespaced,
        verbs: &entry.verbs,
        body: (group, version, &entry.kind),
        node,
        list: listed.then(|| table.by_gvk(&gvk.group, &gvk.version, &format!("{}List", gvk.kind))).flatten(),
    }
}

impl Part<'_> {
    fn as_group_version(&self) -> openapi::GroupVersion<'_> {
        openapi::GroupVersion { group: self.group, version: self.version, resources: &self.resources }
    }

    /// Where its document stands below `/openapi/v3/`.
    fn path(&self) -> String {
        match self.group {
            "" => format!("api/{}", self.version),
            group => format!("apis/{group}/{}", self.version),
        }
    }
}

/// All groups and versions.
fn parts(catalog: &Catalog) -> Vec<Part<'_>> {
    catalog
        .groups()
        .flat_map(|group| catalog.versions(group).filter_map(move |version| part(catalog, group, version)))
        .collect()
}

fn server_version() -> &'static str {
    GIT_VERSION.split('+').next().unwrap_or(GIT_VERSION)
}

/// A document about one path that takes a GET and answers JSON.
fn plain(path: &str) -> Value {
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": server_version()},
        "paths": {path: {"get": {"responses": {"200": {"description": "OK"}, "401": {"description": "Unauthorized"}}}}},
    })
}

/// The document at a path below `/openapi/v3/`.
fn document(catalog: &Catalog, path: &str) -> Option<Value> {
    if let Some((_, about)) = PLAIN.iter().find(|(at, _)| *at == path) {
        return Some(plain(about));
    }
    let segments: Vec<&str> = path.split('/').collect();
    let (group, version) = match segments.as_slice() {
        ["api", version] => ("", *version),
        ["apis", group] => {
            catalog.group(group)?;
            return Some(plain(&format!("/apis/{group}/")));
        }
        ["apis", group, version] => (*group, *version),
        _ => return None,
    };
    let group = catalog.groups().find(|g| *g == group)?;
    let version = catalog.versions(group).find(|v| *v == version)?;
    Some(openapi::v3(&part(catalog, group, version)?.as_group_version(), server_version()))
}

fn hash(document: &Value) -> String {
    Sha256::digest(document.to_string()).iter().map(|byte| format!("{byte:02X}")).collect()
}

impl Documents {
    /// The hash of every version 3 document by its path.
    fn hashes(&self, catalog: &Arc<Catalog>) -> Hashes {
        let mut known = self.hashes.lock();
        if let Some((of, hashes)) = known.as_ref()
            && Arc::ptr_eq(of, catalog)
        {
            return Arc::clone(hashes);
        }
        let mut paths: Vec<String> = PLAIN.iter().map(|(p, _)| (*p).to_owned()).collect();
        paths.extend(catalog.groups().filter(|g| !g.is_empty()).map(|g| format!("apis/{g}")));
        paths.extend(parts(catalog).iter().map(Part::path));
        let hashes: BTreeMap<String, String> =
            paths.into_iter().filter_map(|path| document(catalog, &path).map(|d| (path, hash(&d)))).collect();
        let hashes = Arc::new(hashes);
        *known = Some((Arc::clone(catalog), Arc::clone(&hashes)));
        hashes
    }

    /// `/openapi/v2`, as JSON or as the protobuf that kubectl prefers.
    pub(crate) fn v2(&self, catalog: &Arc<Catalog>, cx: &Cx) -> Response<Body> {
        let accept = cx.accept().unwrap_or_default();
        let protobuf = [V2_PROTOBUF_MEDIA_TYPE, V2_PROTOBUF_CONTENT_TYPE].iter().any(|media| accept.contains(media));
        let json = accept.is_empty() || ["application/json", "*/*", "application/*"].iter().any(|m| accept.contains(m));
        if !protobuf && !json {
            return respond::status(&apimachinery::Status::not_acceptable(&[
                "application/json",
                V2_PROTOBUF_CONTENT_TYPE,
            ]));
        }
        let parts = parts(catalog);
        let group_versions: Vec<openapi::GroupVersion<'_>> = parts.iter().map(Part::as_group_version).collect();
        let document = openapi::v2(&group_versions, server_version());
        let (bytes, media) = if protobuf {
            (openapi::v2_protobuf(&document), V2_PROTOBUF_CONTENT_TYPE)
        } else {
            (document.to_string().into_bytes(), "application/json")
        };
        answer(cx, bytes, media)
    }

    /// `/openapi/v3`: which documents there are.
    pub(crate) fn v3_index(&self, catalog: &Arc<Catalog>, cx: &Cx) -> Response<Body> {
        let paths: serde_json::Map<String, Value> = self
            .hashes(catalog)
            .iter()
            .map(|(path, hash)| (path.clone(), json!({"serverRelativeURL": format!("/openapi/v3/{path}?hash={hash}")})))
            .collect();
        let index = json!({"paths": paths}).to_string();
        answer(cx, index.into_bytes(), "text/plain; charset=utf-8")
    }

    /// `/openapi/v3/…`: one document.
    pub(crate) fn v3(&self, catalog: &Arc<Catalog>, cx: &Cx, path: &str) -> Response<Body> {
        let path = path.trim_end_matches('/');
        let hashes = self.hashes(catalog);
        let (Some(known), Some(document)) = (hashes.get(path), document(catalog, path)) else {
            let mut response = Response::new(respond::empty());
            *response.status_mut() = StatusCode::NOT_FOUND;
            return response;
        };
        let asked = cx.query.first("hash").filter(|h| !h.is_empty());
        if asked.is_some_and(|asked| asked != known) {
            let mut response = Response::new(respond::empty());
            *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
            let location = format!("/openapi/v3/{path}?hash={known}");
            if let Ok(location) = HeaderValue::from_str(&location) {
                response.headers_mut().insert(header::LOCATION, location);
            }
            return response;
        }
        let mut response = answer(cx, document.to_string().into_bytes(), "application/json");
        if asked.is_some() {
            // What is asked for by its hash never changes.
            let headers = response.headers_mut();
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
        }
        response
    }
}

fn answer(cx: &Cx, bytes: Vec<u8>, media_type: &'static str) -> Response<Body> {
    let tag = etag(&bytes);
    if let Some(unchanged) = if_changed(cx.request.headers(), &tag) {
        return unchanged;
    }
    let looks = cx.looks(crate::negotiation::Accepted::default());
    tagged(looks.compressed(StatusCode::OK, media_type, bytes.into()), &tag)
}
