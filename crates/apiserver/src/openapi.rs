//! OpenAPI documents. They are made once, when first asked for, and kept compressed, which is how most clients want
//! them: all together a few hundred kilobytes.

use std::{
    collections::BTreeMap,
    io::Write as _,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderValue, Response, StatusCode, header};
use kinds::Subresource;
use parking_lot::Mutex;
use schema::openapi::{self, V2_PROTOBUF_CONTENT_TYPE, V2_PROTOBUF_MEDIA_TYPE};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    discovery::{Catalog, Entry},
    paths::{if_changed, tagged},
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

/// A document as it is kept: compressed.
struct Kept {
    gzip: Bytes,
    media_type: &'static str,
    /// Of what it is when not compressed, in capitals.
    hash: String,
}

impl Kept {
    fn new(bytes: &[u8], media_type: &'static str) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).expect("memory takes all");
        let gzip = encoder.finish().expect("memory takes all").into();
        let hash = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02X}")).collect();
        Self { gzip, media_type, hash }
    }

    fn json(document: &Value) -> Self {
        Self::new(document.to_string().as_bytes(), "application/json")
    }

    fn answer(&self, cx: &Cx) -> Response<Body> {
        let tag = format!("\"{}\"", self.hash);
        if let Some(unchanged) = if_changed(cx.request.headers(), &tag) {
            return unchanged;
        }
        let looks = cx.looks(crate::negotiation::Accepted::default());
        tagged(looks.kept(self.media_type, self.gzip.clone()), &tag)
    }
}

/// The documents of one catalog, each made when first asked for.
#[derive(Default)]
struct Set {
    v2_json: OnceLock<Kept>,
    v2_protobuf: OnceLock<Kept>,
    /// By the path below `/openapi/v3/`. The index names the hash of each, so all are made at once.
    v3: OnceLock<BTreeMap<String, Kept>>,
}

/// The documents of the catalog that was asked for last.
#[derive(Default)]
pub(crate) struct Documents {
    kept: Mutex<Option<(Arc<Catalog>, Arc<Set>)>>,
}

impl Documents {
    fn of(&self, catalog: &Arc<Catalog>) -> Arc<Set> {
        let mut kept = self.kept.lock();
        match kept.as_ref() {
            Some((of, set)) if Arc::ptr_eq(of, catalog) => set.clone(),
            _ => {
                let set = Arc::<Set>::default();
                *kept = Some((catalog.clone(), set.clone()));
                set
            }
        }
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
        let set = self.of(catalog);
        let kept = if protobuf {
            set.v2_protobuf.get_or_init(|| Kept::new(&openapi::v2_protobuf(&v2(catalog)), V2_PROTOBUF_CONTENT_TYPE))
        } else {
            set.v2_json.get_or_init(|| Kept::json(&v2(catalog)))
        };
        kept.answer(cx)
    }

    /// `/openapi/v3`: which documents there are.
    pub(crate) fn v3_index(&self, catalog: &Arc<Catalog>, cx: &Cx) -> Response<Body> {
        let set = self.of(catalog);
        let paths: serde_json::Map<String, Value> = set
            .v3(catalog)
            .iter()
            .map(|(path, kept)| {
                let hash = &kept.hash;
                (path.clone(), json!({"serverRelativeURL": format!("/openapi/v3/{path}?hash={hash}")}))
            })
            .collect();
        let index = json!({"paths": paths}).to_string();
        Kept::new(index.as_bytes(), "text/plain; charset=utf-8").answer(cx)
    }

    /// `/openapi/v3/…`: one document.
    pub(crate) fn v3(&self, catalog: &Arc<Catalog>, cx: &Cx, path: &str) -> Response<Body> {
        let path = path.trim_end_matches('/');
        let set = self.of(catalog);
        let Some(kept) = set.v3(catalog).get(path) else {
            let mut response = Response::new(respond::empty());
            *response.status_mut() = StatusCode::NOT_FOUND;
            return response;
        };
        let asked = cx.query.first("hash").filter(|h| !h.is_empty());
        if asked.is_some_and(|asked| asked != kept.hash) {
            let mut response = Response::new(respond::empty());
            *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
            let location = format!("/openapi/v3/{path}?hash={}", kept.hash);
            if let Ok(location) = HeaderValue::from_str(&location) {
                response.headers_mut().insert(header::LOCATION, location);
            }
            return response;
        }
        let mut response = kept.answer(cx);
        if asked.is_some() {
            // What is asked for by its hash never changes.
            let headers = response.headers_mut();
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
        }
        response
    }
}

impl Set {
    fn v3(&self, catalog: &Catalog) -> &BTreeMap<String, Kept> {
        self.v3.get_or_init(|| {
            let plain = PLAIN.iter().map(|(path, _)| (*path).to_owned());
            let groups = catalog.groups().filter(|g| !g.is_empty()).map(|g| format!("apis/{g}"));
            let versions = parts(catalog);
            let paths = plain.chain(groups).chain(versions.iter().map(Part::path));
            paths.filter_map(|path| document(catalog, &path).map(|d| (path, Kept::json(&d)))).collect()
        })
    }
}

fn v2(catalog: &Catalog) -> Value {
    let parts = parts(catalog);
    let group_versions: Vec<openapi::GroupVersion<'_>> = parts.iter().map(Part::as_group_version).collect();
    openapi::v2(&group_versions, server_version())
}
